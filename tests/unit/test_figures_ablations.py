"""Figures of ablations and significance: the drawn numbers are the tables' numbers."""

import shutil

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.colors import to_hex

from litelvlm.analysis.runs.folder import read_summary
from litelvlm.analysis.runs.record import Table
from litelvlm.analysis.studies.ablations.config import METHODS_BY_REQUEST, TOGETHER
from litelvlm.figures import FIGURES, ablations, significance
from litelvlm.figures.groups import strata
from litelvlm.figures.saved import Saved
from tests.figure_files import style, write_figures


def new_axes():
    return style.new_figure()[1]


def scores(methods, value=0.5):
    lines = [
        {
            "method": method,
            "budget": budget,
            "metric": metric,
            "value": value + place / 20 + budget / 1000,
        }
        for place, method in enumerate(methods)
        for budget in ((144,) if method == "none" else (48, 16))
        for metric in ("ciou", "giou")
    ]
    table = pd.DataFrame(lines)
    return table.assign(low=table.value - 0.05, high=table.value + 0.06, n_images=30, n=60)


def forest_parts(ax):
    dots = next(c for c in ax.collections if isinstance(c, PathCollection))
    bars = next(c for c in ax.collections if isinstance(c, LineCollection))
    ends = np.array([[segment[0][0], segment[1][0]] for segment in bars.get_segments()])
    return dots.get_offsets()[:, 0], ends, [to_hex(colour) for colour in bars.get_colors()]


def filled(ax):
    """Which dots are not white inside."""
    dots = next(c for c in ax.collections if isinstance(c, PathCollection))
    return [to_hex(colour) != "#ffffff" for colour in dots.get_facecolors()]


def test_budgets_draw_every_line_between_the_oracles():
    methods = [
        "none",
        "inverse_mask_oracle",
        *ablations.LINE_STYLES,
        "mask_oracle(share=1.0)",
        "trim",
    ]
    table = scores(methods)
    ax = ablations.draw_budgets(table, new_axes())
    lines = {c.get_label(): c.lines[0] for c in ax.containers}
    assert set(lines) == {
        *(line_style.label for line_style in ablations.LINE_STYLES.values()),
    }
    ciou = table[table.metric == "ciou"].set_index(["method", "budget"]).value
    for method, line_style in ablations.LINE_STYLES.items():
        drawn = lines[line_style.label]
        np.testing.assert_allclose(
            drawn.get_ydata(orig=False), [ciou[method, 16], ciou[method, 48]]
        )
        assert to_hex(drawn.get_color()) == line_style.colour.lower()
    assert ax.get_lines()[0].get_label() == "unpruned"
    # The lines stand beside each other around the budget, and none on top of another.
    places = np.array([line.get_xdata(orig=False) for line in lines.values()])
    assert (np.diff(places[:, 0]) > 0).all()
    np.testing.assert_allclose(np.exp2(np.log2(places).mean(axis=0)), [16, 48])
    envelope = next(c for c in ax.collections if c.get_label() == "between mask oracles")
    reach = envelope.get_paths()[0].get_extents()
    assert (reach.x0, reach.x1) == (16, 48)
    np.testing.assert_allclose(reach.y0, ciou["inverse_mask_oracle", 16])
    np.testing.assert_allclose(reach.y1, ciou["mask_oracle(share=1.0)", 48])


def test_gain_draws_each_quarter_at_its_mean_index_for_both_readings():
    table = pd.DataFrame(
        [
            {
                "quarter": str(place),
                "ri": place / 4,
                "method": method,
                "budget": 48,
                "delta": place / 10 - lower,
                "low": -0.7,
                "high": 0.5,
                "low_categories": -0.8,
                "high_categories": 0.6,
            }
            for method, lower in (("litelvlm", 0.0), ("litelvlm:paper", 0.3))
            for place in range(4)
        ]
    )
    ax = ablations.draw_gain(table, new_axes())
    names = [container.get_label() for container in ax.containers]
    assert names == ["LiteLVLM", "LiteLVLM, the paper's own rule"]
    for container, lower in zip(ax.containers, (0.0, 0.3), strict=True):
        line, _, (bars,) = container.lines
        np.testing.assert_allclose(np.diff(line.get_xdata(orig=False)), [0.25] * 3)
        np.testing.assert_allclose(line.get_ydata(orig=False), np.arange(4) / 10 - lower)
        ends = np.array([segment[:, 1] for segment in bars.get_segments()])
        np.testing.assert_allclose(ends, [[-0.7, 0.5]] * 4)
    assert ax.containers[1].lines[0].get_markerfacecolor() == "white"


def test_no_label_of_the_ablations_is_an_option_string():
    for method in {label for labels in METHODS_BY_REQUEST.values() for label in labels} | set(
        TOGETHER
    ):
        assert not set("=_:") & set(style.label(method)), method


def test_deltas_are_grouped_by_request_and_filled_where_holm_leaves_a_difference():
    table = pd.DataFrame(
        {
            "request": ["rivals", "falsify", "falsify", "recovery"],
            "method": ["trim", "uniform", "random", "litelvlm(context_share=0.5, order=raster)"],
            "reference": ["litelvlm"] * 3 + ["litelvlm(context_share=0.5)"],
            "delta": [0.1, -0.1, 0.2, 0.0],
            "low": [0.05, -0.2, 0.1, -0.1],
            "high": [0.2, 0.0, 0.3, 0.1],
            "p_holm": [0.04, 0.06, 0.01, np.nan],
        }
    )
    ax = significance.draw_deltas(table, new_axes())
    found, ends, colours = forest_parts(ax)
    np.testing.assert_allclose(found, [0.2, -0.1, 0.0, 0.1])
    np.testing.assert_allclose(ends, [[0.1, 0.3], [-0.2, 0.0], [-0.1, 0.1], [0.05, 0.2]])
    names = [label.get_text() for label in ax.get_yticklabels()]
    assert names[0] == "random"
    assert names[2] == "LiteLVLM, half context, in raster order †"
    (said,) = significance.exceptions(table)
    assert said == (
        "† compares “LiteLVLM, half context, in raster order” with “LiteLVLM, half context”."
    )
    assert significance.exceptions(table[table.reference == "litelvlm"]) == []
    assert colours == [style.colour(m).lower() for m in ("random", "uniform", "litelvlm", "trim")]
    assert filled(ax) == [True, False, False, True]


def test_retention_is_filled_where_the_bound_clears_ninety_percent():
    table = pd.DataFrame(
        {
            "method": ["uniform", "litelvlm", "trim"],
            "kept": [0.8, 0.97, 0.93],
            "low": [0.7, 0.93, 0.87],
            "high": [0.9, 1.0, 0.99],
            "bound": [0.72, 0.94, 0.89],
        }
    )
    ax = significance.draw_retention(table, new_axes())
    found, ends, colours = forest_parts(ax)
    np.testing.assert_allclose(found, [0.97, 0.93, 0.8])
    np.testing.assert_allclose(ends, [[0.93, 1.0], [0.87, 0.99], [0.7, 0.9]])
    assert [label.get_text() for label in ax.get_yticklabels()] == [
        "LiteLVLM",
        "TRIM",
        "uniform grid",
    ]
    assert colours == [style.colour(m).lower() for m in ("litelvlm", "trim", "uniform")]
    assert filled(ax) == [True, False, False]
    assert ax.get_lines()[0].get_xdata()[0] == 0.9


STRATA = pd.DataFrame(
    [
        {"stratum": stratum, "group": group, "delta": delta, "n_images": n_images}
        for stratum, group, delta, n_images in [
            ("words", "over 5 words", 0.0, 25),
            ("size", "small", 0.3, 30),
            ("size", "medium", 0.1, 30),
            ("kind", "attribute", 0.1, 40),
            ("kind", "relation", -0.2, 10),
        ]
    ]
)
STRATA = STRATA.assign(budget=48, low=STRATA.delta - 0.1, high=STRATA.delta + 0.2)
STRATA = STRATA.assign(low_categories=STRATA.low - 0.1, high_categories=STRATA.high + 0.1)
STRATA = STRATA.assign(method="litelvlm")


def test_strata_draw_both_readings_and_both_intervals_per_group():
    rule = STRATA.assign(method="litelvlm:paper", delta=STRATA.delta - 0.5)
    ax = strata.draw_strata(pd.concat([STRATA, rule]), new_axes())
    released, of_rule = (c for c in ax.collections if isinstance(c, PathCollection))
    np.testing.assert_allclose(released.get_offsets()[:, 0], STRATA.delta)
    np.testing.assert_allclose(of_rule.get_offsets()[:, 0], rule.delta)
    assert {to_hex(colour) for colour in of_rule.get_facecolors()} == {"#ffffff"}
    bars = [c for c in ax.collections if isinstance(c, LineCollection)]
    for bar, names in zip(
        bars[:2], (["low", "high"], ["low_categories", "high_categories"]), strict=True
    ):
        ends = np.array([[segment[0][0], segment[1][0]] for segment in bar.get_segments()])
        np.testing.assert_allclose(ends, STRATA[names])
    assert [label.get_text() for label in ax.get_yticklabels()][1] == "small target"
    colours = [to_hex(colour) for colour in released.get_edgecolors()]
    assert colours[1] == colours[2] != colours[3]


def test_strata_of_few_images_are_left_out_unless_there_are_no_others():
    assert strata.enough_images(STRATA)["group"].tolist() == STRATA["group"].tolist()[:4]
    assert len(strata.enough_images(STRATA.assign(n_images=5))) == len(STRATA)
    # A group with enough images at one budget only is left out at both, so that panels align.
    other = STRATA.assign(budget=16, n_images=STRATA["n_images"] - 8)
    assert "over 5 words" not in set(strata.enough_images(pd.concat([STRATA, other]))["group"])


def earlier_run(saved_runs, folder, table, columns):
    """A copy of the ablations run whose table lacks columns, as an earlier version wrote it."""
    shutil.copytree(saved_runs["ablations"], folder)
    summary = read_summary(folder)
    kept = Table.from_frame(summary.table(table).drop(columns=columns))
    tables = {**summary.tables, table: kept}
    (folder / "summary.json").write_text(
        summary.model_copy(update={"tables": tables}).model_dump_json()
    )
    return folder


@pytest.mark.usefixtures("coarse_figures")
@pytest.mark.parametrize(("name", "table"), [("gain", "gain"), ("protocols", "protocols")])
def test_a_table_of_an_earlier_version_is_left_out_and_refused_by_name(
    saved_runs, tmp_path, name, table
):
    run = earlier_run(saved_runs, tmp_path / "run", table, ["method"])
    assert FIGURES[f"ablation_{name}"].fits(Saved(saved_runs["ablations"]))
    drawn = {one.name for one in write_figures("all", [run], tmp_path / "out", partial=True)}
    assert f"ablation_{name}" not in drawn
    assert "ablation_budgets" in drawn
    with pytest.raises(ValueError, match=f"'{table}' was written by an earlier .* no method; run"):
        write_figures(f"ablation_{name}", [run], tmp_path / "out", partial=True)


def test_protocols_are_drawn_only_where_both_were_run(saved_runs, tmp_path):
    run = Saved(saved_runs["ablations"])
    lines = run.table("protocols")
    assert ablations.compared_protocols(run)
    for left in (lines[lines.protocol != ablations.PROTOCOLS[1]], lines[lines.method != "none"]):
        summary = run.summary.model_copy(
            update={"tables": {**run.summary.tables, "protocols": Table.from_frame(left)}}
        )
        other = Saved(saved_runs["ablations"])
        other.summary = summary
        assert not ablations.compared_protocols(other)
