"""False positives of the confirmatory claims: ``python benchmarks/false_positives.py``.

Every claim H1 to H8 is made from the rows of simulated studies whose truth is exactly its null,
while images and categories carry strong effects (``tests/unit/crossed_studies.py``, which a short
test runs too). Stored are the share of studies that reject (p at most .05) and the share whose
verdict is "supported".
"""

import sys
from pathlib import Path

from common import store

sys.path.append(str(Path(__file__).parents[1] / "tests" / "unit"))

from crossed_studies import STUDIES, rates

SHAPES = {"12 categories": (12, 80), "4 categories": (4, 60), "80 categories": (80, 160)}


def main() -> None:
    """Every shape of the data."""
    job = f"{STUDIES} studies with each claim at its null, strong effects of image and category"
    lines = {}
    for name, shape in SHAPES.items():
        lines[name] = rates(shape)
        store("false_positives", {"job": job, "rates": lines})


if __name__ == "__main__":
    main()
