"""Which rows a figure shows, in which order, and how methods look in all of them."""

import numpy as np
import pandas as pd
import planted_importance
import pytest
from matplotlib.collections import PathCollection
from matplotlib.colors import to_hex

from litelvlm import list_pruners
from litelvlm.analysis.signals.clip_scores import SUBSTITUTES
from litelvlm.analysis.studies.ablations.config import METHODS_BY_REQUEST, TOGETHER
from litelvlm.figures import (
    ablations,
    axes,
    emergence,
    faithfulness,
    importance,
    mechanism,
    reversal,
    significance,
    sink_causal,
    style,
    sweep,
)
from litelvlm.figures.groups import categories, strata
from litelvlm.figures.saved import Saved
from tests.figure_files import drawn_numbers
from tests.study_inputs import every_method


def new_axes():
    return style.new_figure()[1]


def words(ax):
    return [label.get_text() for label in ax.get_yticklabels()]


def points(ax):
    """Where the dots stand, in the order drawn."""
    found = [c.get_offsets() for c in ax.collections if isinstance(c, PathCollection)]
    return np.concatenate(found)


def filled(ax):
    """Which dots are not white inside."""
    dots = next(c for c in ax.collections if isinstance(c, PathCollection))
    return [to_hex(colour) != "#ffffff" for colour in dots.get_facecolors()]


def around(values):
    """A table of values with intervals of their own."""
    values = np.array(values)
    return pd.DataFrame({"low": values - 0.07, "high": values + 0.13})


def test_methods_look_different_and_presets_and_options_look_like_their_method():
    styles = [(style.colour(method), style.mark(method)) for method in list_pruners()]
    assert len(set(styles)) == len(styles)
    for method in every_method():
        assert ":" not in style.label(method.label)
        assert style.colour(method.label) == style.colour(method.name)
    for label in {label for labels in METHODS_BY_REQUEST.values() for label in labels} | {
        *TOGETHER
    }:
        assert not set("=_:") & set(style.label(label)), label
    lines = [(s.colour, s.marker, s.linestyle) for s in ablations.LINE_STYLES.values()]
    assert len(set(lines)) == len(lines)


@pytest.mark.parametrize(
    ("method", "name"),
    [
        ("litelvlm(order=raster)", "LiteLVLM, in raster order"),
        ("litelvlm:gap", "LiteLVLM, gap"),
        ("litelvlm:gap(direction=highest)", "LiteLVLM, gap, highest similarity first"),
        ("with_uniform(of=random)", "with uniform tokens (random)"),
    ],
)
def test_a_variant_keeps_the_colour_and_place_of_its_method_and_has_another_line(method, name):
    plain = method.split(":")[0].split("(")[0]
    assert style.label(method) == name
    assert (style.colour(method), style.mark(method)) == (style.colour(plain), style.mark(plain))
    assert style.rank(method) == style.rank(plain)
    assert (style.line(plain), style.line(method)) == ("-", "--")


def test_names_cover_all_scores_and_requests():
    assert set(importance.SCORES) == {*planted_importance.SCORES, *SUBSTITUTES}
    assert set(significance.REQUESTS) == {"paper", *METHODS_BY_REQUEST}


def test_each_line_of_a_sweep_is_that_of_its_method(saved_runs):
    table = Saved(saved_runs["sweep"]).table("scores").query("metric == 'ciou'")
    ax = sweep.draw_accuracy(table, "ciou", new_axes())
    lines = {line.get_label(): line for line in ax.get_lines()}
    for method in ("litelvlm", "random", "mask_oracle"):
        own = table[table["method"] == method].sort_values("budget")[["budget", "value"]]
        np.testing.assert_allclose(lines[style.label(method)].get_xydata(), own)
        assert lines[style.label(method)].get_color() == style.colour(method)
    unpruned = table.loc[table["method"] == "none", "value"].item()
    assert set(lines["unpruned"].get_ydata()) == {unpruned}


def test_reversal_constructions_ignore_other_layers_and_labels():
    tags = {"control": "none", "text_mode": "template", "probe": "released", "layer": -2}
    tags |= {"labels": "primary", "ri": 0.5, "clip_model": ""}
    others = (
        {"layer": -1, "probe": "last_layer"},
        {"labels": "soft"},
        {"control": "?"},
        {"clip_model": "x"},
    )
    shown = reversal.constructions(pd.DataFrame([tags, *(tags | other for other in others)]))
    assert shown[["shown", "ri"]].values.tolist() == [["true text, true mask", 0.5]]


def test_a_forest_has_its_first_line_on_top():
    table = around([0.2, -0.1]).assign(value=[0.2, -0.1])
    ax = new_axes()
    axes.forest(ax, table, "value", ["first", "second"], ["#000000", "#ff0000"], null=0.0)
    assert ax.yaxis_inverted()
    assert words(ax) == ["first", "second"]
    np.testing.assert_allclose(points(ax), [[0.2, 0], [-0.1, 1]])
    assert np.isin(np.round(table.to_numpy(), 9), np.round(drawn_numbers(ax.figure), 9)).all()


def test_deltas_are_grouped_by_request_and_filled_where_holm_leaves_a_difference():
    half = "litelvlm(context_share=0.5)"
    table = pd.DataFrame(
        [
            ["rivals", "trim", "litelvlm", 0.1, 0.04],
            ["falsify", "uniform", "litelvlm", -0.1, 0.06],
            ["falsify", "random", "litelvlm", 0.2, 0.01],
            ["recovery", "litelvlm(context_share=0.5, order=raster)", half, 0.0, np.nan],
        ],
        columns=["request", "method", "reference", "delta", "p_holm"],
    )
    ax = significance.draw_deltas(table.join(around(table["delta"])), new_axes())
    np.testing.assert_allclose(points(ax)[:, 0], [0.2, -0.1, 0.0, 0.1])
    assert words(ax)[0] == "random"
    assert words(ax)[2].endswith("in raster order †")
    assert filled(ax) == [True, False, False, True]
    (said,) = significance.exceptions(table)
    assert "in raster order” with “LiteLVLM, half context”" in said
    assert significance.exceptions(table[table.reference == "litelvlm"]) == []


def test_retention_is_filled_where_the_bound_clears_ninety_percent():
    table = pd.DataFrame({"method": ["uniform", "litelvlm", "trim"], "kept": [0.8, 0.97, 0.93]})
    table = table.join(around(table["kept"])).assign(bound=[0.72, 0.94, 0.89])
    ax = significance.draw_retention(table, new_axes())
    np.testing.assert_allclose(points(ax)[:, 0], [0.97, 0.93, 0.8])
    assert words(ax) == ["LiteLVLM", "TRIM", "uniform grid"]
    assert filled(ax) == [True, False, False]


STRATA = pd.DataFrame(
    [
        ["words", "over 5 words", 0.0, 25],
        ["size", "small", 0.3, 30],
        ["size", "medium", 0.1, 30],
        ["kind", "attribute", 0.1, 40],
        ["kind", "relation", -0.2, 10],
    ],
    columns=["stratum", "group", "delta", "n_images"],
).assign(budget=48, method="litelvlm")


def test_strata_of_few_images_are_left_out_unless_there_are_no_others():
    assert strata.enough_images(STRATA)["group"].tolist() == STRATA["group"].tolist()[:4]
    assert len(strata.enough_images(STRATA.assign(n_images=5))) == len(STRATA)
    # A group with enough images at one budget only is left out at both, so that panels align.
    other = STRATA.assign(budget=16, n_images=STRATA["n_images"] - 8)
    assert "over 5 words" not in set(strata.enough_images(pd.concat([STRATA, other]))["group"])
    order = ["attribute", "relation", "small", "medium", "over 5 words"]
    assert strata.in_order(STRATA)["group"].tolist() == order


def test_with_many_categories_the_middle_ones_are_named_as_left_out():
    n = 50
    table = pd.DataFrame({"category": [f"c{k}" for k in range(n)], "ri": np.linspace(1, -1, n)})
    table = table.join(around(table["ri"])).assign(n=10, n_images=9)
    shown, left_out = categories.shown_categories(table, "ri")
    assert len(shown) == 2 * categories.ENDS
    assert left_out == (0, n - len(shown))
    assert shown["category"].tolist()[:: len(shown) - 1] == ["c0", "c49"]
    shown, left_out = categories.shown_categories(table.assign(n=[9] * 30 + [4] * 20), "ri")
    assert (len(shown), left_out) == (24, (20, 6))
    said = categories.excluded_text(left_out)
    assert "20 others" in said
    assert "6 between them" in said
    assert shown["category"].iloc[-1] == "c29"
    ax = categories.draw_categories(table[:2], "ri", new_axes())
    assert words(ax) == ["c0 (10)", "c1 (10)"]
    np.testing.assert_allclose(points(ax)[:, 0], table["ri"][:2])


def test_probes_are_drawn_with_intervals_and_coloured_by_verdict():
    verdicts = ["kept", "removed", "amplified"]
    table = pd.DataFrame(
        {"probe": ["released", "a", "b"], "name": list("ABC"), "ri": [0.3, 0.02, 0.8]}
    )
    table = table.join(around(table["ri"]).add_prefix("ri_")).assign(
        name=list("ABC"), ri_base=0.3, verdict=verdicts
    )
    ax = mechanism.draw_probes(table, new_axes())
    np.testing.assert_allclose(points(ax)[:3, 0], table["ri"])
    assert words(ax) == list("ABC")
    assert ax.get_legend_handles_labels()[1] == verdicts
    # The dotted line is the index as released, where its dot lies.
    assert any(line.get_xdata()[0] == 0.30 for line in ax.get_lines())


def test_effects_go_from_all_layers_to_single_ones():
    cells = [
        ["mask_content", "layer 10", "d_ri", 0.1],
        ["mask_sos", "layer 2", "d_ri", 0.2],
        ["mask_word", "all", "d_ri", 0.3],
        ["mask_sos", "all", "d_ri", 0.4],
        ["mask_sos", "all", "cos_eos", 9.0],
    ]
    table = pd.DataFrame(cells, columns=["intervention", "layer_set", "measure", "mean"])
    ax = sink_causal.draw_effects(table.join(around(table["mean"])), "d_ri", new_axes())
    np.testing.assert_allclose(points(ax)[:, 0], [0.4, 0.3, 0.2, 0.1])
    assert words(ax)[::3] == ["[SOS] hidden, all layers", "a random content token hidden, layer 10"]


def test_a_model_that_answers_in_words_is_drawn_by_its_own_target_and_leading_score(saved_runs):
    names = {"low_similarity": "low_input_similarity", "soft_dice": "answer_log_prob"}
    agreement = Saved(saved_runs["importance"]).table("agreement")
    worded = agreement.replace(names)
    ours, theirs = (importance.draw_scores(table, new_axes()) for table in (agreement, worded))
    np.testing.assert_allclose(points(ours), points(theirs))
    assert words(theirs)[0] == "reversed input similarity"
    key = ("leave_one_out", "drop")
    assert importance.pearson_of(worded, key) == importance.pearson_of(agreement, key) != ""
    curves = Saved(saved_runs["faithfulness"]).table("curves")
    one, other = (
        {line.get_label(): line.get_xydata() for line in ax.get_lines()}
        for table in (curves, curves.replace(names))
        for ax in [faithfulness.draw_curve(table, "deletion", new_axes())]
    )
    np.testing.assert_allclose(one["reversed similarity"], other["reversed input similarity"])


def test_changes_are_those_from_the_base_of_the_same_seed():
    table = pd.DataFrame(
        {
            "cell": ["base", "base", "rate-0.1", "rate-0.1", "rate-0.1", "loss-sigmoid"],
            "seed": [0, 1, 0, 1, 2, 1],
            "sink": [1.0, 2.0, 1.5, 2.7, 9.0, 1.9],
            "learned": [True, True, True, False, True, True],
        }
    )
    found = emergence.changes_from_base(table, "sink")
    assert found["cell"].tolist() == ["rate-0.1", "rate-0.1", "loss-sigmoid"]
    np.testing.assert_allclose(found["change"], [0.5, 0.7, -0.1])
    ax = emergence.draw_cells(table, "sink", new_axes())
    assert words(ax) == ["loss sigmoid (1)", "rate 0.1 (2)"]
    np.testing.assert_allclose(sorted(points(ax)[:, 0]), [-0.1, 0.5, 0.7])
    assert np.isclose(drawn_numbers(ax.figure), 0.6).any()  # the mean of both


EFFECTS = pd.DataFrame(
    [
        ["A", "sink", "uninformative", "0.0", "0.5", 0.8, True, 0.01],
        ["A", "sink", "text_depth", "4", "8", 0.1, True, 1.0],
        ["B", "reversal", "scope", "scene", "object", -0.3, True, 0.04],
        ["B", "found", "scope", "scene", "object", 0.2, False, np.nan],
    ],
    columns=[
        *("stage", "outcome", "factor", "low_level", "high_level"),
        *("effect", "confirmatory", "p_holm"),
    ],
)
EFFECTS = EFFECTS.join(around(EFFECTS["effect"]))
OUTCOMES = pd.DataFrame(
    {
        "training": list("abcdef"),
        "stage": ["A", "A", "A", "A", "B", "B"],
        "uninformative": [0.0, 0.0, 0.5, 0.5, 0.0, 0.5],
        "text_depth": [4, 8, 4, 8, 4, 4],
        "sink": [0.1, 0.2, 0.9, 1.0, 0.3, 0.4],
        "reversal": np.arange(6) / 10,
        "learned": [True, True, True, False, True, True],
    }
).assign(repeated=False, sos_loss=0.0)


def test_settled_effects_alone_are_drawn_and_the_clear_ones_filled():
    ax = emergence.draw_effects(EFFECTS, new_axes())
    assert words(ax) == [
        *("uninformative: 0.0 to 0.5", "text depth: 4 to 8", "scope: scene to object"),
    ]
    dots = ax.collections[1]
    assert dots.get_offsets()[:, 0].tolist() == [0.8, 0.1, -0.3]
    white = [tuple(face) == (1, 1, 1, 1) for face in dots.get_facecolors()]
    assert white == [False, True, False]


def test_points_are_trainings_and_bars_their_means():
    ax = emergence.draw_points(OUTCOMES, EFFECTS[EFFECTS["stage"] == "A"], new_axes())
    dots = [c for c in ax.collections if len(c.get_offsets()) == 2]
    heights = [sorted(c.get_offsets()[:, 1].tolist()) for c in dots]
    assert heights == [[0.1, 0.2], [0.9, 1.0], [0.1, 0.9], [0.2, 1.0]]
    assert [tick.get_text() for tick in ax.get_xticklabels()][:2] == ["uninformative\n0.0", "\n0.5"]
    hollow = [tuple(f) == (1, 1, 1, 1) for c in dots[:2] for f in c.get_facecolors()]
    assert hollow == [False, False, False, True]


def test_links_and_gains_are_drawn_of_trainings_that_count():
    found = points(emergence.draw_link(OUTCOMES, new_axes()))
    assert len(found) == 5
    assert [0.4, 0.5] in np.round(found, 6).tolist()
    fewer = OUTCOMES.assign(sos_loss=[1.0, *[0.0] * 5], repeated=[False] * 5 + [True])
    assert len(points(emergence.draw_link(fewer, new_axes()))) == 3
    gains = pd.DataFrame(
        [
            ["B", 0, 0.5, 0.1, True, False, True],
            ["B", 1, -0.5, -0.2, True, False, True],
            ["C", 0, 0.2, 0.05, True, False, False],
            ["C", 0, 0.3, 0.9, False, False, True],
            ["C", 0, 0.5, 0.1, True, True, True],  # the first again, of another stage
        ],
        columns=["stage", "seed", "index", "gain", "learned", "repeated", "works"],
    )
    assert points(emergence.draw_gain(gains, new_axes())).tolist() == [[0.5, 0.1], [-0.5, -0.2]]
