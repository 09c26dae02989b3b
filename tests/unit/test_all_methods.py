"""The stored scores of all methods: refusals are those of the code."""

import csv
from pathlib import Path

import pytest

from litelvlm.pruning import ModelSizes
from tests.study_inputs import every_method

ROOT = Path(__file__).parents[2]
with (ROOT / "benchmarks" / "results" / "all_methods.csv").open(encoding="utf-8") as _stream:
    SCORES = {
        (line["protocol"], line["method"], int(line["budget"])): (
            [float(line[name]) for name in ("ciou", "low", "high")] if line["ciou"] else None
        )
        for line in csv.DictReader(_stream)
    }
METHODS = {method.label: method for method in every_method()}


@pytest.mark.parametrize("protocol", ["single", "official"])
def test_a_method_refuses_exactly_the_stored_budgets(protocol):
    # The miniature: 144 tokens, four layers in the language model, five blocks in the image tower.
    sizes = ModelSizes(n_tokens=144, n_blocks=4, n_layers=4)
    cells = {key[1:]: found for key, found in SCORES.items() if key[0] == protocol}
    assert len({method for method, _ in cells}) >= 60
    assert cells.pop(("none", 144)) is not None
    for (label, budget), found in cells.items():
        if found is None:
            with pytest.raises(ValueError, match=r"budget|leave"):
                METHODS[label].pruner().average_tokens(budget, sizes)
        else:
            METHODS[label].pruner().average_tokens(budget, sizes)
            value, low, high = found
            assert low <= value <= high
