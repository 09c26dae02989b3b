"""The drawn numbers of the importance and faithfulness figures are the tables' numbers."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.colors import to_hex

from litelvlm.analysis.api import read_summary
from litelvlm.analysis.signals.clip_scores import SCORES, SUBSTITUTES
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


def test_a_grid_of_many_heads_has_no_numbers():
    cells = [
        {"layer": layer, "head": head, "value": 0.1, "q": 0.5}
        for layer in range(9)
        for head in range(9)
    ]
    assert not importance.draw_grid(pd.DataFrame(cells), new_axes()).texts


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
    assert to_hex(dots.get_facecolor()[0]) == style.colour("litelvlm").lower()
    bars = next(c for c in ax.collections if isinstance(c, LineCollection))
    np.testing.assert_allclose(
        [[s[0][0], s[1][0]] for s in bars.get_segments()], part[["low", "high"]]
    )
    assert ax.get_xlabel().endswith("held fixed") == (partial_set == "position")
    ticks = [
        c.get_offsets()[0, 0]
        for c in ax.collections
        if isinstance(c, PathCollection) and c.get_sizes()[0] == 60
    ]
    if partial_set == "none":
        assert ticks[0] == pytest.approx(part["ceiling"].iloc[0])


def test_joint_ranks_draw_the_ratio_to_independence(table):
    joint = table("importance", "joint")
    line = joint[joint["signal"] == "attention_middle"]
    drawn = importance.draw_joint(line, new_axes()).collections[0].get_array().reshape(6, 6)
    lowest = line[(line["score_bin"] == 0) & (line["signal_bin"] == 0)]["value"].item()
    assert drawn[5, 0] == pytest.approx(36 * lowest)


def test_joint_panels_have_ticks_a_bar_and_both_correlations(table):
    joint, agreement = table("importance", "joint"), table("importance", "agreement")
    ax = importance.draw_joint(joint[joint["signal"] == "attention_middle"], new_axes(), bar=True)
    assert [label.get_text() for label in ax.get_xticklabels()] == [
        *("0", "17", "33", "50"),
        *("67", "83", "100"),
    ]
    assert len(ax.figure.axes) == 2
    lines = agreement.query("score == 'low_similarity' and signal == 'attention_middle'")
    pearson = lines.query("metric == 'pearson'")["value"].item()
    words = importance.pearson_of(agreement, ("attention_middle", ""))
    assert words.startswith(f"Pearson {pearson:.2f}, Spearman ")


def test_overlap_draws_the_kept_tokens_beside_mask_and_chance(table):
    lines = table("importance", "overlap").query("part == 'H6.removal' and metric == 'top_k_iou'")
    ax = importance.draw_overlap(lines, new_axes())
    drawn = lines_by_label(ax)
    for score in ("low_similarity", "coverage", "random"):
        expected = lines[lines["score"] == score].sort_values("k")[["k", "value"]]
        np.testing.assert_allclose(drawn[importance.SCORES[score]].get_xydata(), expected)


def test_every_score_of_a_study_has_a_name():
    assert set(importance.SCORES) >= {*SCORES, *SUBSTITUTES}


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


def test_the_true_mask_is_a_line_of_reference(table):
    agreement = table("importance", "agreement")
    ax = importance.draw_scores(agreement, new_axes(), "none")
    mask = agreement.query(
        "score == 'coverage' and signal == 'attention_middle' and metric == 'spearman' "
        "and partial_set == 'none'"
    )["value"].item()
    dotted = [line.get_xdata()[0] for line in ax.get_lines() if line.get_linestyle() == ":"]
    assert any(x == pytest.approx(mask) for x in dotted)


def test_reinitialised_layers_run_from_the_top(table):
    lines = table("importance", "reinitialised")
    ax = importance.draw_reinitialised(lines, new_axes())
    assert ax.xaxis_inverted()
    drawn = lines_by_label(ax)
    expected = lines[lines["signal"] == "relevance"].sort_values("layer")
    np.testing.assert_allclose(
        drawn["gradient-weighted attention"].get_xydata(), expected[["layer", "value"]]
    )


@pytest.mark.parametrize("curve", ["insertion", "deletion"])
def test_curves_draw_each_ranking(table, curve):
    curves = table("faithfulness", "curves")
    drawn = lines_by_label(faithfulness.draw_curve(curves, curve, new_axes()))
    for ranking in ("low_similarity", "random", "leave_one_out"):
        part = curves[
            (curves["curve"] == curve)
            & (curves["target"] == "soft_dice")
            & (curves["ranking"] == ranking)
        ]
        label = faithfulness.RANKINGS[ranking][0]
        np.testing.assert_allclose(drawn[label].get_xydata(), part.sort_values("k")[["k", "value"]])
    assert faithfulness.RANKINGS["context"][0] not in drawn  # not measured in this run
