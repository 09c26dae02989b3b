"""The figure of accuracy by positions: which lines it takes, and what it draws."""

import pandas as pd
import pytest
from matplotlib.figure import Figure
from planted import PlantedModel, planted_data

from litelvlm.analysis.api import complete_run
from litelvlm.analysis.studies import sweep
from litelvlm.figures.groups.positions import (
    LABELS,
    POLICIES,
    draw_positions,
    has_positions,
    with_positions,
)
from litelvlm.figures.saved import Saved

LITELVLM = ("litelvlm", "litelvlm(positions=original)", "litelvlm(positions=stretch)")


def scores(methods, budgets=(48, 16)):
    lines = [
        {"method": method, "budget": budget, "metric": "ciou", "value": 0.5 + n / 100}
        for n, method in enumerate(methods)
        for budget in budgets
    ]
    return pd.DataFrame(lines).assign(low=0.4, high=0.7)


def test_policies_come_from_the_methods_themselves():
    table = scores(("none", *LITELVLM, "litelvlm:gap", "uniform", "my_own_method"))
    found = with_positions(table).drop_duplicates("method").set_index("method")
    assert set(found.index) == {*LITELVLM}
    assert found["positions"].to_dict() == dict(zip(LITELVLM, POLICIES, strict=True))
    assert set(found["base"]) == {"litelvlm"}
    # FastV keeps the places of its tokens unless it is told otherwise.
    own = with_positions(scores(("fastv", "fastv(positions=contiguous)")))
    assert set(own["positions"]) == {"original", "contiguous"}
    assert with_positions(scores(("litelvlm", "uniform"))).empty


def test_a_line_per_policy_is_drawn_beside_the_others():
    lines, whole = with_positions(scores(LITELVLM)), scores(("none",), budgets=(144,))
    ax = draw_positions(lines, whole, Figure().subplots())
    drawn = {bars.get_label(): bars for bars in ax.containers}
    assert set(drawn) == set(LABELS.values())
    heights = {label: list(bars.lines[0].get_ydata()) for label, bars in drawn.items()}
    assert heights[LABELS["contiguous"]] == pytest.approx([0.5, 0.5])
    assert heights[LABELS["stretch"]] == pytest.approx([0.52, 0.52])
    places = {float(bars.lines[0].get_xdata()[0]) for bars in drawn.values()}
    assert len(places) == 3


def test_only_a_sweep_at_several_positions_is_drawn(tmp_path):
    model, data = PlantedModel(), planted_data(2)
    for methods, drawn in (
        (("litelvlm",), False),
        (("uniform", "uniform(positions=original)"), True),
    ):
        config = sweep.Config(methods=methods, budgets=(48,))
        run = complete_run(sweep.STUDY, model, data, config, tmp_path)
        assert has_positions(Saved(run)) is drawn
