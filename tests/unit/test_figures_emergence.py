"""Figures of the emergence study show the numbers of its tables."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import PathCollection

from litelvlm.figures import emergence
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
    points = [c for c in ax.collections if isinstance(c, PathCollection)]
    drawn = sorted(round(x, 6) for c in points for x in c.get_offsets()[:, 0])
    assert drawn == [-0.1, 0.5, 0.7]
    hollow = [tuple(f) == (1, 1, 1, 1) for c in points for f in c.get_facecolors()]
    assert sum(hollow) == 1


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


def test_points_are_trainings_and_bars_their_means(outcomes, effects):
    ax = emergence.draw_points(outcomes, effects[effects["stage"] == "A"], axes())
    points = [c for c in ax.collections if len(c.get_offsets()) == 2]
    assert [sorted(c.get_offsets()[:, 1].tolist()) for c in points] == [
        [0.1, 0.2],
        [0.9, 1.0],
        [0.1, 0.9],
        [0.2, 1.0],
    ]
    assert [tick.get_text() for tick in ax.get_xticklabels()][:2] == ["uninformative\n0.0", "\n0.5"]
    hollow = [tuple(f) == (1, 1, 1, 1) for c in points[:2] for f in c.get_facecolors()]
    assert hollow == [False, False, False, True]


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
