"""Figures of the emergence study show the numbers of its tables."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import PathCollection

from litelvlm.figures import emergence
from litelvlm.figures.labels.conditions import cell_label
from tests.figure_files import style


@pytest.fixture
def effects():
    return pd.DataFrame(
        {
            "stage": ["A", "A", "B", "B"],
            "outcome": ["sink", "sink", "reversal", "found"],
            "factor": ["uninformative", "text_depth", "scope", "scope"],
            "low_level": ["0.0", "4", "scene", "scene"],
            "high_level": ["0.5", "8", "object", "object"],
            "effect": [0.8, 0.1, -0.3, 0.2],
            "low": [0.6, -0.1, -0.5, 0.1],
            "high": [1.0, 0.3, -0.1, 0.3],
            "confirmatory": [True, True, True, False],
            "p_holm": [0.01, 1.0, 0.04, np.nan],
        }
    )


@pytest.fixture
def outcomes():
    return pd.DataFrame(
        {
            "training": list("abcdef"),
            "stage": ["A", "A", "A", "A", "B", "B"],
            "uninformative": [0.0, 0.0, 0.5, 0.5, 0.0, 0.5],
            "text_depth": [4, 8, 4, 8, 4, 4],
            "sink": [0.1, 0.2, 0.9, 1.0, 0.3, 0.4],
            "reversal": [np.nan] * 4 + [0.5, -0.5],
            "learned": [True, True, True, False, True, True],
            "repeated": [False] * 6,
            "sos_loss": [0.0] * 6,
        }
    )


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
    ax = emergence.draw_cells(table, "sink", axes())
    names = [tick.get_text() for tick in ax.get_yticklabels()]
    assert names == ["loss sigmoid (1)", "rate 0.1 (2)"]
    assert ax.get_xlabel() == "change of the log lift on [SOS]"
    other = table.assign(reversal=table["sink"], reversal_true=table["sink"])
    turned = emergence.draw_cells(other, "reversal", axes(), ["rate-0.1", "loss-sigmoid"])
    assert [tick.get_text() for tick in turned.get_yticklabels()] == names[::-1]
    assert "difference" in turned.get_xlabel()
    assert "difference" not in emergence.draw_cells(other, "reversal_true", axes()).get_xlabel()
    points = [c for c in ax.collections if isinstance(c, PathCollection)]
    drawn = sorted(round(x, 6) for c in points for x in c.get_offsets()[:, 0])
    assert drawn == [-0.1, 0.5, 0.7]
    hollow = [tuple(f) == (1, 1, 1, 1) for c in points for f in c.get_facecolors()]
    assert sum(hollow) == 1
    bars = [c.get_segments()[0][0][0] for c in ax.collections if hasattr(c, "get_segments")]
    assert any(bar == pytest.approx(0.6) for bar in bars)


def axes():
    return style.new_figure()[1]


def test_settled_effects_alone_are_drawn_and_the_clear_ones_filled(effects):
    ax = emergence.draw_effects(effects, axes())
    names = [tick.get_text() for tick in ax.get_yticklabels()]
    assert names == ["uninformative: 0.0 to 0.5", "text depth: 4 to 8", "scope: scene to object"]
    dots = ax.collections[1]
    assert dots.get_offsets()[:, 0].tolist() == [0.8, 0.1, -0.3]
    white = [tuple(face) == (1, 1, 1, 1) for face in dots.get_facecolors()]
    assert white == [False, True, False]


def courses():
    """Three trainings of two conditions, one of them listed by another stage too."""
    return pd.DataFrame(
        {
            "training": ["x"] * 3 + ["y"] * 3 + ["z"] * 3 + ["x again"] * 3,
            "stage": ["B"] * 9 + ["C"] * 3,
            "cell": ["base"] * 3 + ["mean"] * 6 + ["base"] * 3,
            "pooling": ["cls"] * 3 + ["mean"] * 6 + ["cls"] * 3,
            "helper": [0.0] * 12,
            "sos_loss": [0.0] * 12,
            "repeated": [False] * 9 + [True] * 3,
            "step": [0, 5, 10, 0, 50, 100, 0, 49, 100, 0, 5, 10],
            # A share can be rounded to whole steps.
            "share": [0.0, 0.5, 1.0, 0.0, 0.5, 1.0, 0.0, 0.49, 1.0, 0.0, 0.5, 1.0],
            "reversal": [0.0, 0.2, 0.6, 0.0, -0.2, -0.4, 0.0, 0.1, 0.1, 0.0, 0.2, 0.6],
            "sink": [0.0] * 12,
            "largest_layer_uninformative": [1.0, 2.0, 8.0] * 4,
        }
    )


def test_trajectories_have_a_mean_for_each_kind_of_condition():
    ax = emergence.draw_trajectories(courses(), "reversal", axes())
    drawn = [[round(y, 6) for y in line.get_ydata()] for line in ax.lines]
    assert drawn.count([0.0, 0.2, 0.6]) == 2  # one training, and the mean of its kind
    assert [0.0, -0.2, -0.4] in drawn
    assert [0.0, -0.05, -0.15] in drawn
    names = [text for text in ax.get_legend_handles_labels()[1]]
    assert names == ["class token, no helper (1)", "mean pooling (2)"]
    high = emergence.draw_trajectories(courses(), "largest_layer_uninformative", axes())
    assert high.get_yscale() == "log"
    assert list(high.lines[-1].get_ydata()) == [1, 1]


def test_signs_group_conditions_and_colour_both_signs_alike():
    heat = emergence.draw_signs(courses(), axes())
    (image,) = heat.images
    cells = np.round(image.get_array(), 6).tolist()
    assert cells == [[0.0, 0.2, 0.6], [0.0, 0.1, 0.1], [0.0, -0.2, -0.4]]
    assert image.get_clim() == (-0.6, 0.6)
    assert [tick.get_text() for tick in heat.get_xticklabels()] == ["0", "1/2", "1"]
    assert [tick.get_text() for tick in heat.get_yticklabels()] == ["base", "mean"]
    assert list(heat.get_yticks()) == [0.0, 1.5]


def test_labels_of_conditions_keep_their_values():
    assert cell_label("helper-0.3_helper_from-0.25") == "helper 0.3 + helper from 0.25"
    assert cell_label("weight_decay-0.5") == "weight decay 0.5"


def test_the_link_leaves_out_what_did_not_learn(outcomes):
    table = outcomes.assign(reversal=np.arange(6) / 10)
    ax = emergence.draw_link(table, axes())
    points = np.concatenate([c.get_offsets() for c in ax.collections])
    assert len(points) == 5
    assert [0.4, 0.5] in np.round(points, 6).tolist()
    fewer = table.assign(sos_loss=[1.0, *[0.0] * 5], repeated=[False] * 5 + [True])
    ax = emergence.draw_link(fewer, axes())
    assert sum(len(c.get_offsets()) for c in ax.collections) == 3


def test_the_gain_is_drawn_of_trainings_that_count():
    table = pd.DataFrame(
        {
            "stage": ["B", "B", "C", "C", "C"],
            "seed": [0, 1, 0, 0, 0],
            "index": [0.5, -0.5, 0.2, 0.3, 0.5],
            "gain": [0.1, -0.2, 0.05, 0.9, 0.1],
            "learned": [True, True, True, False, True],
            "repeated": [False, False, False, False, True],
            "works": [True, True, False, True, True],
        }
    )
    ax = emergence.draw_gain(table, axes())
    # The last line is the first training again, as a training of another stage.
    (points,) = (c.get_offsets().tolist() for c in ax.collections)
    assert points == [[0.5, 0.1], [-0.5, -0.2]]
    assert list(ax.lines[0].get_ydata()) == [0, 0]
    assert ax.get_ylabel() == "IoU, LiteLVLM minus random"
