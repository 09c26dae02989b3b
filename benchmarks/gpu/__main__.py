"""Everything that wants a GPU, in parts of at most eight minutes: ``python -m benchmarks.gpu``.

Each part runs in a process of its own and is stored when it is done; the same command goes on with
those that are not. Each stores its measurements one by one, so that a part that was stopped goes on
behind them. ``--tiny --out FOLDER`` runs all of them at miniature size on a processor. It needs a
checkout or a pack (``benchmarks.gpu.pack``), a Python with torch 2.11 or newer, and the packages of
``gpu-base.txt`` and ``gpu-requirements.txt``; what is missing is named at the start. A part that
alone needs a missing package is left out, and the others run. States and versions go to
``summary.json``.
"""

import argparse
import sys
from pathlib import Path

from benchmarks.gpu.needs import lacking, notice, refusal, without
from benchmarks.gpu.parts import PARTS
from benchmarks.gpu.runner import OUT, clocks, run_part, write_summary
from benchmarks.sources import packed_parts


def main() -> int:
    """Command line; the exit status is the number of parts that failed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    packed = packed_parts()
    names = [part.name for part in PARTS if packed is None or part.name in packed]
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--parts", nargs="+", choices=names, default=names, metavar="PART")
    parser.add_argument("--tiny", action="store_true", help="miniature size, on a processor")
    parser.add_argument("--again", action="store_true", help="also what is stored already")
    parser.add_argument("--list", action="store_true", help="print the parts and stop")
    given = parser.parse_args()
    problems = lacking()
    asked = [part for part in PARTS if part.name in given.parts]
    left_out = without(asked, problems)
    chosen = [part for part in asked if part not in left_out]
    said = notice(left_out, problems) if left_out else ""
    if given.list:
        for part in chosen:
            print(f"{part.name:<16}{part.asks}")
        if said:
            print(said)
        return 0
    missing = refusal(problems)
    if missing:
        parser.error(missing)
    if not chosen:
        parser.error(f"no part can run\n{said}")
    if said:
        print(said, flush=True)
    if not given.tiny and not clocks():
        parser.error("no GPU answers nvidia-smi here; --tiny --out FOLDER is the dry run")
    failed, states = 0, dict[str, str]()
    for number, part in enumerate(chosen, start=1):
        print(f"{number} of {len(chosen)}, {part.name}: {part.asks}", flush=True)
        state = run_part(part, given.out, given.tiny, given.again)
        states[part.name] = state
        write_summary(given.out, states)
        print(f"  {state}", flush=True)
        failed += state == "failed"
    return failed


if __name__ == "__main__":
    sys.exit(main())
