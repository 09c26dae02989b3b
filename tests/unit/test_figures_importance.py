"""The drawn numbers of the importance and faithfulness figures are the tables' numbers."""

import numpy as np
import pandas as pd
import planted_importance
import pytest
from matplotlib.collections import LineCollection, PathCollection

from litelvlm.analysis.api import read_summary
from litelvlm.analysis.signals.clip_scores import SUBSTITUTES
from litelvlm.figures import faithfulness, importance
from tests.figure_files import style

OF_WORDS = {"low_input_similarity", "received_attention", "tower_value_norm"}
CLIP_SCORES = [name for name in importance.SCORES if name not in OF_WORDS]


def new_axes():
    return style.new_figure()[1]


def lines_by_label(ax):
    return {line.get_label(): line for line in ax.get_lines()}


@pytest.fixture
def table(saved_runs):
    return lambda study, name: read_summary(saved_runs[study]).table(name)


def test_grid_shows_the_correlation_of_each_head(table):
    grid = table("importance", "grid")
    ax = importance.draw_grid(grid, new_axes())
    wide = grid.pivot(index="layer", columns="head", values="value")
    np.testing.assert_allclose(ax.collections[0].get_array().reshape(wide.shape), wide)
    stars = grid.pivot(index="layer", columns="head", values="q").lt(0.05)
    shown = [text.get_text() for text in ax.texts]
    assert shown == [
        f"{v:.2f}" + "*" * int(s)
        for v, s in zip(wide.to_numpy().ravel(), stars.to_numpy().ravel(), strict=True)
    ]


@pytest.mark.parametrize("partial_set", ["none", "position"])
def test_scores_draw_a_dot_and_an_interval_per_score_and_signal(table, partial_set):
    agreement = table("importance", "agreement")
    ax = importance.draw_scores(agreement, new_axes(), partial_set)
    assert [label.get_text() for label in ax.get_yticklabels()] == [
        importance.SCORES[name] for name in CLIP_SCORES
    ]
    assert ax.yaxis_inverted()
    chosen = agreement[
        (agreement["metric"] == "spearman") & (agreement["partial_set"] == partial_set)
    ]
    part = chosen[chosen["signal"] == "attention_middle"].set_index("score").loc[CLIP_SCORES]
    dots = {c.get_label(): c for c in ax.collections if isinstance(c, PathCollection)}[
        "attention, middle layers"
    ]
    np.testing.assert_allclose(dots.get_offsets()[:, 0], part["value"])
    bars = next(c for c in ax.collections if isinstance(c, LineCollection))
    np.testing.assert_allclose(
        [[s[0][0], s[1][0]] for s in bars.get_segments()], part[["low", "high"]]
    )


def test_joint_ranks_draw_the_ratio_to_independence(table):
    joint = table("importance", "joint")
    line = joint[joint["signal"] == "attention_middle"]
    drawn = importance.draw_joint(line, new_axes()).collections[0].get_array().reshape(6, 6)
    lowest = line[(line["score_bin"] == 0) & (line["signal_bin"] == 0)]["value"].item()
    assert drawn[5, 0] == pytest.approx(36 * lowest)


def test_every_score_of_a_study_has_a_name():
    assert set(importance.SCORES) == {*planted_importance.SCORES, *SUBSTITUTES}


def test_a_model_that_answers_in_words_is_drawn_by_its_own_target_and_leading_score(table):
    names = {"low_similarity": "low_input_similarity", "soft_dice": "answer_log_prob"}
    agreement = table("importance", "agreement")
    words = agreement.replace(names)
    points = [
        [c.get_offsets() for c in importance.draw_scores(t, new_axes()).collections[1::2]]
        for t in (agreement, words)
    ]
    for ours, theirs in zip(*points, strict=True):
        np.testing.assert_allclose(ours, theirs)
    ticks = [t.get_text() for t in importance.draw_scores(words, new_axes()).get_yticklabels()]
    assert ticks[0] == "reversed input similarity"
    key = ("leave_one_out", "drop")
    assert importance.pearson_of(words, key) == importance.pearson_of(agreement, key) != ""
    curves = table("faithfulness", "curves")
    one, other = (
        lines_by_label(faithfulness.draw_curve(t, "deletion", new_axes()))
        for t in (curves, curves.replace(names))
    )
    assert "reversed input similarity" in other
    np.testing.assert_allclose(
        one["reversed similarity"].get_xydata(), other["reversed input similarity"].get_xydata()
    )


@pytest.mark.parametrize(
    ("draw", "study", "name", "wanted", "axes", "label"),
    [
        (
            importance.draw_overlap,
            "importance",
            "overlap",
            {"part": "H6.removal", "metric": "top_k_iou", "score": "low_similarity"},
            ["k", "value"],
            importance.SCORES["low_similarity"],
        ),
        (
            importance.draw_reinitialised,
            "importance",
            "reinitialised",
            {"signal": "relevance"},
            ["layer", "value"],
            "gradient-weighted attention",
        ),
        (
            lambda table, ax: faithfulness.draw_curve(table, "insertion", ax),
            "faithfulness",
            "curves",
            {"curve": "insertion", "target": "soft_dice", "ranking": "leave_one_out"},
            ["k", "value"],
            faithfulness.RANKINGS["leave_one_out"][0],
        ),
    ],
)
def test_lines_are_those_of_the_table(table, draw, study, name, wanted, axes, label):
    lines = table(study, name)
    for column in set(wanted) & {"part", "metric"}:
        lines = lines[lines[column] == wanted[column]]
    chosen = lines[(lines[list(wanted)] == pd.Series(wanted)).all(axis=1)].sort_values(axes[0])
    drawn = lines_by_label(draw(lines, new_axes()))
    np.testing.assert_allclose(drawn[label].get_xydata(), chosen[axes])
