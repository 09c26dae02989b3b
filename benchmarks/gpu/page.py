"""One page from the files of the GPU programme: ``python -m benchmarks.gpu.page [FOLDER]``.

``FOLDER/page.md`` says for each part what it asked, whether it is done, where it ran and what it
found; ``FOLDER/prefill.svg`` draws the prefill by visual tokens in every way that was measured. A
part that is not done is named, and so is a result that cannot be read. Without ``FOLDER`` it is the
page of ``benchmarks/results/gpu``, and what the two README files say of GPU figures is written anew
(``blocks``), also where nothing was measured.
"""

import argparse
import sys
from pathlib import Path

from benchmarks.gpu.blocks import rewrite
from benchmarks.gpu.parts import PARTS, Part
from benchmarks.gpu.results import prefills, read, result_of
from benchmarks.gpu.runner import OUT, RECORD, gpu_of
from benchmarks.gpu.tables import TABLES
from benchmarks.sources import packed_parts
from litelvlm.analysis.runs.formatting import markdown_lines
from litelvlm.figures import style
from litelvlm.training.trainings.training import DONE

PAGE, FIGURE = "page.md", "prefill.svg"


def section(part: Part, folder: Path) -> list[str]:
    """What one part found."""
    lines = [f"## {part.name}", "", part.asks, ""]
    if not (folder / RECORD).is_file():
        return [*lines, "Not run.", ""]
    record, found = read(folder / RECORD), result_of(folder)
    lines += [f"`{' '.join(record['command'])}`: {record['state']}, {record['seconds']:.0f} s", ""]
    if part.name == "family" and found is None:
        lines += trained(folder / "family")
    elif found is None:
        stored = sum(len(p.read_text().splitlines()) - 1 for p in folder.glob("*.kept.jsonl"))
        lines += [f"Without a result; {stored} measurements are stored to go on behind.", ""]
    else:
        for table in TABLES[part.name]:
            lines += [*markdown_lines(table(found)), ""]
    return lines


def trained(folder: Path) -> list[str]:
    """How far the trainings of the family are."""
    begun = sorted(path.parent.name for path in folder.glob("*/training.jsonl"))
    done = [name for name in begun if (folder / name / DONE).is_file()]
    return [f"{len(done)} trainings are done and {len(begun) - len(done)} begun.", ""]


def machines(out: Path) -> list[str]:
    """Where the parts ran: GPU, versions and commit, each combination once."""
    found: dict[str, list[str]] = {}
    for part in PARTS:
        if not (out / part.name / RECORD).is_file():
            continue
        record, own = read(out / part.name / RECORD), result_of(out / part.name)
        machine = (own or {}).get("machine", {})
        words = [gpu_of(record), f"Python {record['python']}"]
        words += [f"{name} {machine[name]}" for name in ("torch", "transformers") if machine]
        words += [f"commit {record['commit'][:12]}"] if record["commit"] else []
        words += ["at miniature size"] if record["tiny"] else []
        found.setdefault(", ".join(words), []).append(part.name)
    return [*(f"- {where}: {', '.join(names)}" for where, names in found.items()), ""]


def draw(out: Path) -> Path | None:
    """Draw the prefill by visual tokens; None if no part timed it."""
    ways = list(prefills(out))
    if not ways:
        return None
    with style.styled():
        figure, axes = style.new_figure()
        for name, points in ways:
            tokens, middle, low, high = zip(*points, strict=True)
            (line,) = axes.plot(tokens, middle, marker="o", markersize=3, label=name)
            axes.fill_between(tokens, low, high, alpha=0.2, color=line.get_color(), linewidth=0)
        axes.set(xlabel="visual tokens", ylabel="prefill [ms]", ylim=(0, None))
        tiny = any(read(out / name / RECORD)["tiny"] for name, _ in ways)
        axes.set_title(style.title("Prefill: medians, quartiles shaded", miniature=tiny))
        axes.legend(frameon=False)
        path = out / FIGURE
        path.write_bytes(style.encode(figure, "svg")["svg"])
    return path


def write_page(out: Path) -> Path:
    """Write page and figure.

    Args:
        out: Folder of all parts.

    Raises:
        FileNotFoundError: If no part was run into it.
    """
    if not any((out / part.name / RECORD).is_file() for part in PARTS):
        raise FileNotFoundError(
            f"{out} has no part of the programme; run python -m benchmarks.gpu --out {out} first"
        )
    lines = ["# What the GPU programme measured", "", *machines(out)]
    if draw(out) is not None:
        lines += [f"![Prefill by visual tokens]({FIGURE})", ""]
    lines += ["Times are medians with quartiles, ratios have 95 % intervals.", ""]
    for part in PARTS:
        lines += section(part, out / part.name)
    path = out / PAGE
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, nargs="?", help="what --out of the programme named")
    folder: Path | None = parser.parse_args().folder
    try:
        if folder is not None or any(OUT.glob(f"*/{RECORD}")):
            print(write_page(folder or OUT))
        if folder is None and packed_parts() is None:  # a pack has neither README file
            rewrite()
    except (FileNotFoundError, ValueError) as error:
        parser.error(str(error))
    return 0


if __name__ == "__main__":
    sys.exit(main())
