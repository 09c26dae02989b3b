"""Images of one split with different token grids: a sweep resolves each budget for each image."""

import dataclasses

import numpy as np
import pytest
from planted import GRID, PATCH, PlantedData, PlantedModel, planted_data, sample_of

from litelvlm.analysis.api import complete_run, read_record, read_rows, read_summary
from litelvlm.analysis.runs.config import counts_by_budget
from litelvlm.analysis.studies import sweep
from litelvlm.analysis.studies.examples import read_examples
from litelvlm.analysis.studies.sweep.examples import save_examples, sweep_config
from litelvlm.analysis.studies.sweep.passes import SweepContext
from litelvlm.clip.geometry import crop_box
from litelvlm.layout import Layout
from litelvlm.models.base import ImageView
from tests.study_inputs import Method

SMALL = (6, 6)


class TwoGrids(PlantedModel):
    """A family whose token grid follows the picture: a token for every patch."""

    def view(self, height, width):
        layout = Layout(1, height // PATCH, width // PATCH)
        return ImageView(layout, crop_box(height, width, height), height)


def two_sizes():
    """One image of 12 x 12 patches and one of 6 x 6, each with two objects of 9 patches."""
    (large,) = planted_data(1)
    codes = np.zeros(SMALL, dtype=int)
    codes[:3, :3], codes[3:, 3:] = 1, 2
    return PlantedData([large, sample_of(2, codes, [1, 2])])


def swept(folder, **fields):
    config = sweep.Config(**{"methods": ("litelvlm", "uniform", "avgpool"), **fields})
    return complete_run(sweep.STUDY, TwoGrids(), two_sizes(), config, folder)


def test_a_share_is_taken_of_each_image_and_a_count_is_not(tmp_path):
    run = swept(tmp_path, budgets=(0.25, 8))
    rows = read_rows(run)
    kept = rows.groupby(["method", "budget", "image_id"])["n_kept"].unique()
    assert {key: found.tolist() for key, found in kept.items()} == {
        ("none", 36, 1): [144],
        ("none", 36, 2): [36],
        **{
            (method, budget, image): [n]
            for method in ("litelvlm", "uniform", "avgpool")
            for budget, image, n in ((9, 1, 36), (9, 2, 9), (8, 1, 8), (8, 2, 8))
        },
    }
    # Coverage and labels are those of the image's own grid: every object has 9 patches.
    assert set(rows["n_in"]) == {9}
    record = read_record(run)
    assert record.state == "done"
    assert "budgets asked for: 0.25, 8; a share is taken of each image's own tokens" in record.notes
    scores = read_summary(run).table("scores")
    ours = scores[(scores["method"] == "litelvlm") & (scores["metric"] == "giou")]
    assert sorted(ours["budget"]) == [8, 9]
    assert set(ours["n"]) == {4}


def test_a_share_and_a_count_of_one_name_are_two_runs(tmp_path):
    shares, counts = swept(tmp_path, budgets=(0.25,)), swept(tmp_path, budgets=(9,))
    assert shares != counts
    assert sweep_config(shares).budgets == (0.25,)
    assert sweep_config(counts).budgets == (9,)
    # Where all images have one size, the record holds the count, and both are one run.
    config = sweep.Config(methods=("uniform",), budgets=(0.25,))
    alike = [
        complete_run(sweep.STUDY, PlantedModel(), planted_data(2), asked, tmp_path)
        for asked in (config, config.model_copy(update={"budgets": (36,)}))
    ]
    assert alike[0] == alike[1]
    assert sweep_config(alike[0]).budgets == (36,)


def test_masks_of_both_images_are_whole_where_all_tokens_are_kept(tmp_path):
    rows = read_rows(swept(tmp_path, budgets=(0.5,)))
    assert (rows.loc[rows["method"] == "none", "iou"] == 1).all()
    # The method keeps the least similar tokens first: both objects fit into half of either image.
    assert (rows.loc[rows["method"] == "litelvlm", "iou"] == 1).all()


def test_published_shares_are_those_of_each_image(tmp_path):
    rows = read_rows(swept(tmp_path, methods=("uniform",))).query("method == 'uniform'")
    found = rows.groupby("image_id")["n_kept"].unique()
    assert sorted(found[1], reverse=True) == [48, 32, 16, 8]
    assert sorted(found[2], reverse=True) == [12, 8, 4, 2]
    assert sorted(rows["budget"].unique(), reverse=True) == [12, 8, 4, 2]


def test_a_method_that_one_image_cannot_meet_is_left_out_of_all():
    model, data = TwoGrids(), two_sizes()
    config = sweep.Config(methods=("uniform",), budgets=(40,))
    with pytest.raises(ValueError, match="budget 40 is not a whole number of tokens from 1 to 36"):
        SweepContext(model, data, config, config.budgets).cells(144)
    context = SweepContext(model, data, sweep.Config(methods=("fastv",)), (0.5, 0.02))
    assert [(one.method, one.budget) for one in context.excluded] == [("fastv", 18), ("fastv", 1)]
    assert context.cells(144) == context.cells(36) == ()


def test_names_of_budgets():
    assert counts_by_budget((0.25, 8), 144, 36) == {9: 36, 8: 8}
    assert counts_by_budget((8, 0.25), 36, 36) == {9: 9, 8: 8}
    # A count and a share of one name: the count stays.
    assert counts_by_budget((9, 0.25), 144, 36) == {9: 9}
    assert counts_by_budget(None, 576, 144) == {48: 192, 32: 128, 16: 64, 8: 32}


def test_pictures_are_drawn_on_the_grid_of_their_image(tmp_path):
    run = swept(tmp_path, budgets=(0.25,))
    save_examples(TwoGrids(), two_sizes(), run, sweep_config(run))
    _, examples = read_examples(run)
    kept = {example.panels[2].shape: example.titles[2].partition(",")[0] for example in examples}
    assert kept == {(168, 168, 3): "36 tokens", (84, 84, 3): "9 tokens"}


def test_one_size_of_images_has_one_name_per_count():
    context = SweepContext(
        PlantedModel(), planted_data(2), sweep.Config(methods=(Method(name="uniform"),)), (48, 8)
    )
    assert context.token_counts == (GRID[0] * GRID[1],)
    assert [(cell.budget, cell.n_kept) for cell in context.cells(144)] == [(48, 48), (8, 8)]
    assert dataclasses.replace(context, budgets=None).budget_names == (48, 32, 16, 8)
