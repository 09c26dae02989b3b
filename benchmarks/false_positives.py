"""False positives of the confirmatory claims: ``python benchmarks/false_positives.py [NUMBER]``.

Every claim H1 to H8 is made from the rows of simulated studies whose truth is exactly its null,
while images and categories carry strong effects (``tests/unit/crossed_studies.py``, which a short
test runs too). Stored are the share of studies that reject (p at most .05) and the share whose
verdict is "supported". With a number of categories (4, 12 or 80), only those studies are made, and
the stored rates of the others stay.
"""

import argparse
import json
import sys
from pathlib import Path

from common import RESULTS, store

sys.path.append(str(Path(__file__).parents[1] / "tests" / "unit"))

from crossed_studies import STUDIES, rates

SHAPES = {4: (4, 60), 12: (12, 80), 80: (80, 160)}
"""Number of categories to numbers of categories and images of a study."""


def main() -> None:
    """Command line: the wanted shapes of the data, or all of them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("categories", type=int, nargs="*", help=", ".join(map(str, SHAPES)))
    wanted = parser.parse_args().categories
    if unknown := sorted(set(wanted) - set(SHAPES)):
        parser.error(
            f"no studies with {unknown[0]} categories; allowed are {', '.join(map(str, SHAPES))}"
        )
    job = f"{STUDIES} studies with each claim at its null, strong effects of image and category"
    stored = RESULTS / "false_positives.json"
    lines = json.loads(stored.read_text())["rates"] if wanted and stored.is_file() else {}
    for number in wanted or SHAPES:
        lines[f"{number} categories"] = rates(SHAPES[number])
        store("false_positives", {"job": job, "rates": lines})


if __name__ == "__main__":
    main()
