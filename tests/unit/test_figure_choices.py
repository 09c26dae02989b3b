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
    faithfulness,
    importance,
    reversal,
    significance,
    style,
    sweep,
)
from litelvlm.figures.saved import Saved
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
    looks = [look[:3] for look in ablations.line_looks().values()]
    assert len(set(looks)) == len(looks)


@pytest.mark.parametrize(
    ("method", "name"),
    [
        ("litelvlm(order=raster)", "LiteLVLM, in raster order"),
        ("litelvlm:gap", "LiteLVLM, gap"),
        ("litelvlm(context_share=0.3)", "LiteLVLM, 30 % context"),
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


VARIANTS = (
    "litelvlm",
    "litelvlm:paper",
    "litelvlm(context_share=0.667)",
    "litelvlm(context_share=0.5)",
    "litelvlm(direction=highest)",
    "random",
)


def test_variants_of_one_method_that_are_drawn_together_are_told_apart():
    looks = style.looks(VARIANTS)
    assert len({look[:3] for look in looks.values()}) == len(VARIANTS)
    alone = ("litelvlm", "litelvlm:paper", "random")
    assert all(looks[method] == style.look(method) for method in alone)
    # Where no line joins the points, colour and marker alone tell them apart.
    bare = style.looks(VARIANTS, dict.fromkeys(VARIANTS, "none")).values()
    assert len({look[:2] for look in bare}) == len(VARIANTS)
    assert {look.linestyle for look in bare} == {"none"}


def test_a_variant_looks_alike_in_every_panel_and_unlike_its_siblings_in_one(monkeypatch):
    monkeypatch.setattr(sweep, "LINES", 3)
    table = pd.DataFrame({"method": VARIANTS, "metric": "ciou", "value": 0.5, "budget": 8})
    table = table.join(around(table["value"]))
    figure = sweep._lines(
        table, lambda t, ax, looks: sweep.draw_accuracy(t, "ciou", ax, looks=looks), ""
    )
    panels = [ax for ax in figure.axes if ax.axison]
    lines = [line for ax in panels for line in ax.get_lines()]
    seen = {(line.get_label(), line.get_marker(), line.get_linestyle()) for line in lines}
    assert len(panels) > 1
    assert len(seen) == len({look[1:] for look in seen}) == len(VARIANTS)


def test_rankings_that_are_no_methods_have_looks_of_their_own():
    names = ["similarity", "state_norm", "context", "value_norm", "cls_cosine"]
    table = pd.DataFrame({"ranking": names, "kept": "highest", "recall": 0.5, "budget": 8})
    lines = reversal.draw_recall(table.join(around(table["recall"])), new_axes()).get_lines()
    looks = {(to_hex(line.get_color()), line.get_marker()) for line in lines}
    assert len(looks) == len(names)


def test_a_label_that_is_no_method_is_its_own_name():
    assert style.look("a, b (c") == (style.MUTED, ".", "-", "a, b (c")
    assert style.rank("a, b (c") == style.rank("no_method")


def test_names_cover_all_scores_and_requests():
    assert set(importance.SCORES) == {*planted_importance.SCORES, *SUBSTITUTES}
    assert set(significance.REQUESTS) == {"paper", *METHODS_BY_REQUEST}


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
    ).assign(metric="ciou")
    ax = significance.draw_deltas(table.join(around(table["delta"])), new_axes())
    np.testing.assert_allclose(points(ax)[:, 0], [0.2, -0.1, 0.0, 0.1])
    assert words(ax)[0] == "random"
    assert words(ax)[2].endswith("in raster order †")
    assert filled(ax) == [True, False, False, True]
    (said,) = significance.exceptions(table)
    assert "in raster order” with “LiteLVLM, half context”" in said
    assert significance.exceptions(table[table.reference == "litelvlm"]) == []


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


def test_tables_of_two_runs_are_not_joined_to_one_line():
    scores = pd.DataFrame(
        {"method": "random", "budget": [48, 16], "metric": "ciou", "value": [0.5, 0.4]}
    )
    table = scores.join(around(scores["value"]))
    ablations.draw_budgets(table, new_axes())
    with pytest.raises(ValueError, match=r"two values at budget 16, .* axes of its own"):
        ablations.draw_budgets(pd.concat([table, table.assign(value=0.1)]), new_axes())
