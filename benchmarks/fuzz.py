"""Draw thousands of cases of every property that the tests draw a few of, and keep what fails.

Usage: ``python benchmarks/fuzz.py [--cases 10000] [--seed N] [--only parquet archives]``.

The properties, their cases and checks are those of ``tests/fuzz``. A case that fails is made as
small as it can be and written to ``tests/fixtures/fuzz``, where the tests replay it.
"""

import argparse
import random
import sys
from pathlib import Path
from time import perf_counter

from common import store

ROOT = Path(__file__).resolve().parents[1]
sys.path += [str(ROOT), str(ROOT / "tests" / "unit")]

from tests.fuzz.properties import CORPUS, FAILED, PROPERTIES, keep, run_cases  # noqa: E402


def main() -> int:
    """Run the properties one after another; 1 if any failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    parser.add_argument("--only", nargs="*", choices=list(PROPERTIES), default=list(PROPERTIES))
    given = parser.parse_args()
    total = sum(PROPERTIES[name].share for name in given.only)
    found: dict[str, dict[str, object]] = {}
    for name in given.only:
        count, begun = -(-given.cases * PROPERTIES[name].share // total), perf_counter()
        entry: dict[str, object] = {"cases": 0, "failure": ""}
        try:
            entry["cases"] = run_cases(name, int(count), given.seed)
        except Exception as error:
            entry["failure"] = f"{type(error).__name__}: {str(error)[:300]}"
            kept = keep(name, FAILED.get(name), str(entry["failure"]))
            entry["case"] = kept.relative_to(ROOT).as_posix()
        found[name] = entry | {"seconds": round(perf_counter() - begun, 1)}
        sys.stdout.write(f"{name} {found[name]}\n")
        sys.stdout.flush()
        keep_numbers(found, given.seed)
    return int(any(entry["failure"] for entry in found.values()))


def keep_numbers(found: dict[str, dict[str, object]], seed: int) -> None:
    """Store what there is so far; a long run may be stopped."""
    store(
        "fuzz",
        {
            "seed": seed,
            "cases": sum(int(str(entry["cases"])) for entry in found.values()),
            "failures": sum(bool(entry["failure"]) for entry in found.values()),
            "past_failures_replayed": len(list(CORPUS.glob("*.json"))),
            "properties": found,
        },
    )


if __name__ == "__main__":
    sys.exit(main())
