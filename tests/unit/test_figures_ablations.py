"""Figures of ablations and significance: the drawn numbers are the tables' numbers."""

import numpy as np
import pandas as pd
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.colors import to_hex

from litelvlm.analysis.studies.ablations.config import METHODS
from litelvlm.figures import FIGURES, ablations, significance, style


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
    lines = {line.get_label(): line for line in ax.get_lines()}
    assert set(lines) == {
        "unpruned",
        *(line_style.label for line_style in ablations.LINE_STYLES.values()),
    }
    ciou = table[table.metric == "ciou"].set_index(["method", "budget"]).value
    for method, line_style in ablations.LINE_STYLES.items():
        drawn = lines[line_style.label]
        np.testing.assert_allclose(drawn.get_xdata(), [16, 48])
        np.testing.assert_allclose(drawn.get_ydata(), [ciou[method, 16], ciou[method, 48]])
        assert to_hex(drawn.get_color()) == line_style.colour.lower()
    envelope = next(c for c in ax.collections if c.get_label() == "between mask oracles")
    reach = envelope.get_paths()[0].get_extents()
    assert (reach.x0, reach.x1) == (16, 48)
    np.testing.assert_allclose(reach.y0, ciou["inverse_mask_oracle", 16])
    np.testing.assert_allclose(reach.y1, ciou["mask_oracle(share=1.0)", 48])


def test_every_line_of_the_budget_figure_has_a_look_of_its_own():
    line_styles = [
        (line_style.colour, line_style.marker, line_style.linestyle)
        for line_style in ablations.LINE_STYLES.values()
    ]
    assert len(set(line_styles)) == len(line_styles)


def test_strata_draw_one_dot_and_interval_per_group_and_budget():
    table = pd.DataFrame(
        [
            {
                "stratum": stratum,
                "group": group,
                "budget": budget,
                "delta": delta,
                "low": delta - 0.1,
                "high": delta + 0.2,
            }
            for stratum, group, budget, delta in [
                ("kind", "attribute", 48, 0.1),
                ("kind", "attribute", 16, -0.2),
                ("size", "small", 48, 0.3),
                ("words", "over 5 words", 16, 0.0),
            ]
        ]
    )
    ax = ablations.draw_strata(table, new_axes())
    found, ends, colours = forest_parts(ax)
    np.testing.assert_allclose(found, table.delta)
    np.testing.assert_allclose(ends, table[["low", "high"]])
    assert [label.get_text() for label in ax.get_yticklabels()][1] == "attribute, 16 tokens"
    assert colours[0] == colours[1] != colours[2]


def test_gain_draws_each_quarter_at_its_mean_index():
    table = pd.DataFrame(
        [
            {
                "quarter": str(place),
                "ri": place / 4,
                "budget": budget,
                "delta": place / 10,
                "low": -0.1,
                "high": 0.5,
            }
            for budget in (48, 16)
            for place in range(4)
        ]
    )
    ax = ablations.draw_gain(table, new_axes())
    assert [container.get_label() for container in ax.containers] == ["16 tokens", "48 tokens"]
    for container in ax.containers:
        line, _, (bars,) = container.lines
        np.testing.assert_allclose(line.get_xdata(orig=False), [0, 0.25, 0.5, 0.75])
        np.testing.assert_allclose(line.get_ydata(orig=False), [0, 0.1, 0.2, 0.3])
        ends = np.array([segment[:, 1] for segment in bars.get_segments()])
        np.testing.assert_allclose(ends, [[-0.1, 0.5]] * 4)


def test_protocols_stand_in_pairs_with_the_official_dot_filled():
    methods = ["none", "value_norm", "litelvlm(order=raster)", "litelvlm"]
    protocols = [
        "official",
        "single, the expressions drawn",
        "official minus single",
        "single, every expression",
    ]
    table = pd.DataFrame(
        [
            {
                "protocol": protocol,
                "method": method,
                "budget": budget,
                "ciou": budget / 200 + 0.1 * m + 0.01 * p,
            }
            for m, method in enumerate(methods)
            for budget in ((144,) if method == "none" else (16, 48))
            for p, protocol in enumerate(protocols)
        ]
    )
    table = table.assign(low=table.ciou - 0.02, high=table.ciou + 0.03)
    ax = ablations.draw_protocols(table, new_axes())
    found, ends, _ = forest_parts(ax)
    # Larger budgets first, the method before its variant and before controls, the official
    # protocol before the single one.
    ciou = table.set_index(["protocol", "method", "budget"]).ciou
    order = [(b, m) for b in (48, 16) for m in ("litelvlm", "litelvlm(order=raster)", "value_norm")]
    drawn = [
        ciou[protocol, method, budget] for budget, method in order for protocol in protocols[:2]
    ]
    np.testing.assert_allclose(found, drawn)
    np.testing.assert_allclose(ends, np.add.outer(drawn, [-0.02, 0.03]))
    assert filled(ax) == [True, False] * 6
    names = [label.get_text() for label in ax.get_yticklabels()]
    assert names[:3] == [
        "LiteLVLM, 48 tokens",
        "single protocol",
        "LiteLVLM (order=raster), 48 tokens",
    ]
    (unpruned,) = ax.get_lines()
    assert unpruned.get_xdata()[0] == ciou["official", "none", 144]


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
    assert names[0] == "control: random"
    assert names[2] == "context: LiteLVLM (context_share=0.5, order=raster) †"
    (said,) = significance.exceptions(table)
    assert said == (
        "† compares LiteLVLM (context_share=0.5, order=raster) with LiteLVLM (context_share=0.5)."
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


def test_all_of_them_are_in_the_table_of_figures():
    named = {name for name, drawing in FIGURES.items() if drawing.study == "ablations"}
    assert named == {
        "ablation_budgets",
        "ablation_strata",
        "ablation_gain",
        "ablation_protocols",
        "ablation_deltas",
        "ablation_retention",
    }


def test_the_figure_of_deltas_names_every_request():
    assert set(significance.REQUESTS) == set(METHODS)


def test_strata_of_few_images_are_left_out_unless_there_are_no_others():
    table = pd.DataFrame({"group": ["a", "b"], "n_images": [10, 20]})
    assert ablations.enough_images(table)["group"].tolist() == ["b"]
    assert len(ablations.enough_images(table.assign(n_images=5))) == 2
