"""Overlays of a sweep are chosen by score and drawn once.

What they show is what was kept and predicted.
"""

import shutil
from unittest.mock import Mock

import numpy as np
import pandas as pd
import pytest
from planted import PlantedModel, planted_data

from litelvlm.analysis.api import read_rows
from litelvlm.analysis.cli.actions.report import write_report
from litelvlm.analysis.pages.explore.data import token_box
from litelvlm.analysis.pages.explore.page import first_pair
from litelvlm.analysis.studies.examples import FILE, read_examples, successes_and_failures
from litelvlm.analysis.studies.overlay import (
    TINTS,
    kept_pixels,
)
from litelvlm.analysis.studies.sweep import STUDY
from litelvlm.analysis.studies.sweep.config import Config
from litelvlm.analysis.studies.sweep.examples import save_examples, shown_expressions, sweep_config
from litelvlm.analysis.studies.table import run_with_pictures
from litelvlm.clip.preprocessing import Preprocessing
from litelvlm.clip.tower import Tower
from litelvlm.models.base import tower_view
from tests.figure_files import coarse, write_figures


@pytest.fixture(scope="module")
def run(saved_runs, tmp_path_factory):
    """A copy of the sweep with its examples."""
    folder = shutil.copytree(
        saved_runs["sweep"], tmp_path_factory.mktemp("runs") / saved_runs["sweep"].name
    )
    save_examples(
        PlantedModel("instance", noise=0.3, pull=0.4), planted_data(8), folder, sweep_config(folder)
    )
    return folder


def test_kept_tokens_are_drawn_where_they_look():
    # 2 x 2 tokens over the central square of a 6 x 4 picture: one row of pixels above and below is
    # never seen
    tower = Mock(spec=Tower, grid=(2, 2), image_size=4, preprocessing=Preprocessing())
    column = [[np.nan] * 4, [0, 0, 1, 1], [0, 0, 1, 1], [1, 1, 0, 0], [1, 1, 0, 0], [np.nan] * 4]
    np.testing.assert_array_equal(kept_pixels([1, 2], tower_view(tower, 6, 4), 6, 4), column)
    # squashed into the square, each token looks at 3 x 2 pixels of it
    tower.preprocessing = Preprocessing(resize="squash")
    np.testing.assert_array_equal(
        kept_pixels([1, 2], tower_view(tower, 6, 4), 6, 4), [[0, 0, 1, 1]] * 3 + [[1, 1, 0, 0]] * 3
    )
    # a square of 6 around it, one column of border left and right: 3 x 3 pixels each, 2 columns of
    # them in the picture
    tower = Mock(spec=Tower, grid=(2, 2), image_size=6, preprocessing=Preprocessing(resize="pad"))
    np.testing.assert_array_equal(
        kept_pixels([1, 2], tower_view(tower, 6, 4), 6, 4), [[0, 0, 1, 1]] * 3 + [[1, 1, 0, 0]] * 3
    )
    assert token_box(tower.preprocessing.crop(6, 4, 6), (2, 2)) == [0, -1 / 4, 1, 5 / 4]


@pytest.mark.parametrize("clips", [False, True])
def test_successes_stand_beside_failures_at_the_largest_budget(clips):
    # Of 200 expressions the unpruned model finds 0 to 99; pruning keeps 0 to 59 of them at the
    # largest budget, and other ones at the smaller.
    rows = pd.DataFrame(
        [
            {
                "method": method,
                "budget": budget,
                "sent_id": i,
                "iou": {144: 0.9 if i < 100 else 0.1, 8: 1 - i / 119, 4: i / 200}[budget],
            }
            for method, budgets in (("none", (144,)), ("litelvlm", (8, 4)))
            for budget in budgets
            for i in range(200)
        ]
    )
    if clips:  # the pixels of the whole clip say the opposite of its frames
        rows = rows.assign(jf=rows["iou"], iou=1 - rows["iou"])
    shown = shown_expressions(rows, "litelvlm")
    assert [(one.group, one.percentile, one.size) for one in shown] == [
        ("success", 75, 60),
        ("success", 25, 60),
        ("failure", 75, 40),
        ("failure", 25, 40),
    ]
    # Low numbers have the higher scores: three quarters of the way up from the lowest of a group.
    assert [one.sent_id for one in shown] == [15, 45, 70, 90]
    assert shown[0].words == "success, 75th percentile of 60"


def test_groups_without_expressions_show_none_and_none_is_shown_twice():
    whole, pruned = pd.Series([0.9, 0.9, 0.1]), pd.Series([0.8, 0.2, 0.9])
    assert [(one.sent_id, one.group) for one in successes_and_failures(whole, pruned)] == [
        (0, "success"),
        (1, "failure"),
    ]
    nothing = successes_and_failures(pd.Series(np.zeros(5)), pd.Series(np.arange(5) / 10))
    assert [(one.sent_id, one.group) for one in nothing] == [
        (3, "not found unpruned"),
        (1, "not found unpruned"),
    ]


def test_panels_and_titles_are_those_of_the_saved_rows(run):
    method, examples = read_examples(run)
    assert method == "litelvlm"
    rows = read_rows(run)
    cases = [shown.words for shown in shown_expressions(rows, "litelvlm")]
    assert [example.case for example in examples] == cases
    assert {case.split(",")[0] for case in cases} <= {"success", "failure"}
    scores = rows[(rows["method"] == "litelvlm") & (rows["budget"] == 8)]["iou"].round(2)
    for example in examples:
        assert [title.split(",")[0] for title in example.titles] == [
            "true mask",
            "unpruned",
            "48 tokens",
            "8 tokens",
        ]
        assert float(example.titles[-1].rpartition(" ")[2]) in set(scores)
        assert all(
            panel.dtype == np.uint8 and panel.shape == (168, 168, 3) for panel in example.panels
        )
        assert (example.panels[0] == TINTS[2]).all(-1).any()  # the true mask is outlined


def test_examples_are_computed_once(run):
    before = {path: path.stat().st_mtime_ns for path in run.glob("maps/*")}
    model = PlantedModel()
    save_examples(model, planted_data(1), run, sweep_config(run))
    assert model.encoded == 0
    assert {path: path.stat().st_mtime_ns for path in run.glob("maps/*")} == before


@pytest.mark.usefixtures("coarse_figures")
def test_a_sweep_without_examples_says_how_to_get_them(saved_runs, tmp_path):
    with pytest.raises(ValueError, match="a sweep of protocol 'single' draws it"):
        write_figures("examples", [saved_runs["sweep"]], tmp_path)
    assert "examples" not in {
        picture.name for picture in write_figures("all", [saved_runs["sweep"]], tmp_path)
    }


@pytest.mark.parametrize("protocol", ["single", "official", "conversation"])
def test_pictures_of_single_expressions_belong_to_the_single_protocol(tmp_path, protocol):
    config = Config(methods=("litelvlm",), budgets=(48,), seeds=2, protocol=protocol)
    data, model = planted_data(3), PlantedModel("instance")
    run = run_with_pictures(STUDY, model, data, config, tmp_path)
    assert (run / FILE).is_file() == (protocol == "single")


class Picky(PlantedModel):
    """A model of one layer, in which fastv cannot prune; a grid keeps 40 tokens or more."""

    def check_method(self, pruner, frames, n_kept):
        super().check_method(pruner, frames, n_kept)
        if pruner.name == "uniform" and n_kept < 40:
            raise ValueError(f"a grid cannot keep {n_kept} tokens; the smallest budget is 40")


REFUSED = {
    "its first method keeps to no budget": (("fastv", "random"), (8,), "random", (8,)),
    "its method keeps to one budget of two": (("uniform",), (48, 8), "uniform", (48,)),
    "it has the unpruned model alone": (("none",), (8,), None, ()),
}


def test_a_sweep_in_which_no_method_keeps_to_a_budget_is_refused(tmp_path):
    config = Config(methods=("fastv", "uniform"), budgets=(8,))
    with pytest.raises(ValueError, match=r"no method can keep to a budget: fastv at 8: .*uniform"):
        run_with_pictures(STUDY, Picky("instance"), planted_data(2), config, tmp_path)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("case", REFUSED)
def test_what_a_method_cannot_keep_to_is_not_shown(case, tmp_path, monkeypatch):
    coarse(monkeypatch, 40, "png", "svg")
    methods, budgets, shown, kept = REFUSED[case]
    config = Config(methods=methods, budgets=budgets, seeds=1)
    run = run_with_pictures(STUDY, Picky("instance"), planted_data(2), config, tmp_path)
    assert write_report([run], tmp_path / "report").is_file()
    if shown is None:
        assert not (run / FILE).is_file()
        with pytest.raises(ValueError, match="rows of the unpruned model alone"):
            first_pair(read_rows(run), config, run)
        return
    method, examples = read_examples(run)
    assert (method, first_pair(read_rows(run), config, run)) == (shown, (shown, shown))
    for example in examples:
        assert [title.split(",")[0] for title in example.titles[2:]] == [
            f"{budget} tokens" for budget in kept
        ]
