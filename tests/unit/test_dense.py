"""Open-vocabulary segmentation by patches, planted through the mechanism study."""

import numpy as np
import pytest
import torch
from planted import NAMES, PlantedModel, PlantedTower, planted_data

from litelvlm.analysis.api import complete_run, read_rows, read_summary
from litelvlm.analysis.stats.dense import class_sums, guessed_iou, mean_iou
from litelvlm.analysis.studies import mechanism
from litelvlm.analysis.studies.mechanism.probes import READOUTS
from litelvlm.clip.states import ClipImage

SHARPNESS = 9.0  # of planted tokens, so that equal ones attend to each other


class PlantedBlock:
    """A last block whose values know their class; its MLP adds nothing."""

    def attention_output(self, mixed):
        return mixed

    def feed_forward(self, states):
        return torch.zeros_like(states)


class DenseTower(PlantedTower):
    """Queries, keys and values know each patch's class; the residual stream carries another too.

    Args:
        residual: How strongly it says "ball" everywhere.
        shuffled: Whether patches know the class of another place.
    """

    rotates, image_blocks = True, (PlantedBlock(),)

    def __init__(self, residual=0.0, shuffled=False):
        super().__init__(PlantedModel().tower.clip, None, noise=0.0)
        self.common, self.shuffled = residual * torch.eye(len(NAMES))[1], shuffled

    def image(self, pixel_values):
        tokens = super().image(pixel_values).patch_tokens
        if self.shuffled:
            draw = torch.Generator().manual_seed(int(pixel_values.abs().sum()))
            tokens = tokens[:, torch.randperm(tokens.shape[1], generator=draw)]
        known = SHARPNESS * torch.cat([torch.zeros_like(tokens[:, :1]), tokens], 1)
        return ClipImage(self, (known + self.common,), pixel_values)

    def qkv(self, states, block):
        return (states - self.common,) * 3

    def block(self, index, states):
        return states + self.qkv(states, index)[2]

    def sentence_embedding(self, sentence):
        return torch.tensor([float(name in sentence.lower()) for name in NAMES]) + 0.01


def dense_of(tower, folder, n_images=20, **changed):
    model, data = PlantedModel(), planted_data(n_images)
    data.categories = {code: NAMES[code] for code in range(1, len(NAMES))}
    vars(data).update(changed)
    model.tower = tower
    run = complete_run(mechanism.STUDY, model, data, mechanism.Config(pool=8, donors=1), folder)
    return run, read_summary(run)


def test_patches_that_know_their_class_have_a_mean_iou_of_1(tmp_path):
    run, summary = dense_of(DenseTower(), tmp_path)
    table = summary.table("dense").set_index("probe")
    assert set(table.index) == set(READOUTS)
    assert table[["miou", "low", "high"]].to_numpy() == pytest.approx(1.0)
    assert (table[["n_classes", "n_callable"]] == 5).all(axis=None)
    assert (table[["n_images", "n"]] == [20, 40]).all(axis=None)
    rows = read_rows(run)
    counts = rows[rows.probe == "sclip"].set_index("category_id")
    assert (counts.loc[3, "called_3"] == 9).all()
    assert rows.loc[rows.probe == "no_empty_text", "called_3"].isna().all()


def test_a_residual_that_outweighs_the_classes_is_removed_with_it(tmp_path):
    _, summary = dense_of(DenseTower(residual=60.0), tmp_path)
    table = summary.table("dense").set_index("probe")
    assert table.loc[["value_path", "clear_clip"], "miou"].to_numpy() == pytest.approx(1.0)
    # Elsewhere every patch is called the first class: one of five has its share of all patches.
    share = float(table.loc["last_layer", "miou"])
    assert table.loc[
        ["released", "last_layer", "identity_attention", "surgery", "sclip"], "miou"
    ].to_numpy() == pytest.approx(share)
    assert 0.02 < share < 0.08


def test_patches_that_know_another_place_are_called_at_chance(tmp_path):
    _, summary = dense_of(DenseTower(shuffled=True), tmp_path, n_images=30)
    table = summary.table("dense")
    assert table["chance"].to_numpy() == pytest.approx(1 / 9, abs=0.01)
    assert (table["low"] < table["chance"]).all()
    assert (table["high"] < 0.3).all()


def test_without_named_categories_there_is_no_table(tmp_path):
    run, summary = dense_of(DenseTower(), tmp_path, n_images=4, categories={})
    assert "dense" not in summary.tables
    assert not [name for name in read_rows(run) if name.startswith("called_")]


def test_a_third_of_a_class_called_otherwise_by_hand():
    counts = np.array([[60, 30, 0], [0, 50, 0], [0, 0, 20]])
    sums = class_sums(counts, np.arange(3)).sum(0, keepdims=True)
    assert mean_iou(sums)[0, 0] == pytest.approx((60 / 90 + 50 / 80 + 1) / 3)
    assert guessed_iou(np.array([10.0, 0.0])) == pytest.approx((5 / 10 + 0) / 2)
    with pytest.raises(ValueError, match="outside 0 to 2"):
        class_sums(counts, np.array([0, 1, 3]))


def test_a_resample_without_the_only_image_of_a_class_does_not_count_it():
    counts = np.array([[60, 30, 0], [0, 50, 0], [0, 0, 20]])
    sums = class_sums(counts, np.arange(3))
    there = np.array([True, True, True])
    lost = mean_iou(sums[[0, 0, 2]].sum(0, keepdims=True), there)  # class 1 is called, not there
    assert lost[0, 0] == pytest.approx((120 / 180 + 1) / 2)
    never = np.array([True, False, True])  # of the whole data it counts as 0, as published
    assert mean_iou(sums[[0, 2]].sum(0, keepdims=True), never)[0, 0] == pytest.approx(
        (60 / 90 + 0 + 1) / 3
    )
