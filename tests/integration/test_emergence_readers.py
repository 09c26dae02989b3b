"""Readers learn planted scenes, lose what pruning takes, and are measured once."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from litelvlm.analysis.runs.columns import check_rows
from litelvlm.analysis.studies.emergence import readers, scenes, store
from litelvlm.analysis.studies.emergence.config import Config
from litelvlm.analysis.studies.emergence.prepare import training_rows
from litelvlm.analysis.studies.emergence.rows import COLUMNS
from litelvlm.analysis.studies.emergence.tables import make_tables
from litelvlm.pruning.cues import Cues
from litelvlm.training.trainings import train as training
from litelvlm.training.trainings.factors import Factors, Member
from litelvlm.training.trainings.pixels import PixelPool
from litelvlm.training.trainings.reader import (
    Objects,
    ReaderPlan,
    cell_iou,
    constant_mask,
    mask_iou,
    train_reader,
)
from litelvlm.training.trainings.train import train_member

SIDE, CELLS, KINDS = 4, 16, 3
SMALL = ReaderPlan(width=32, gates=32, steps=150, batch=64, rate=6e-3)
TINY = Factors(image="grid", width=16, text_depth=2, image_depth=2, categories=8, steps=2, batch=8)


def planted(n, told_by_all, seed):
    """Scenes of one object of one of three categories, two by two of four by four cells.

    Every token knows its own place. Whether it is in the object, and of which category that is, is
    known to it alone; or every token knows where the object is.
    """
    rng = np.random.default_rng(seed)
    box, kind = rng.integers(9, size=n), rng.integers(KINDS, size=n)
    inside = np.zeros((n, SIDE, SIDE), dtype=bool)
    for scene, (row, column) in enumerate(zip(*divmod(box, SIDE - 1), strict=True)):
        inside[scene, row : row + 2, column : column + 2] = True
    inside = inside.reshape(n, -1)
    codes = np.random.default_rng(0).standard_normal((CELLS + KINDS + 1 + 9, 32))
    places, kinds, boxes = np.split(codes, [CELLS, CELLS + KINDS + 1])
    if told_by_all:
        content = np.repeat(boxes[box][:, None], CELLS, axis=1)
    else:
        content = np.where(inside[..., None], kinds[kind][:, None], kinds[-1])
    states = places + content + 0.3 * rng.standard_normal((n, CELLS, 32))
    marked = torch.from_numpy(inside)
    return Objects(
        torch.from_numpy(states).float(),
        torch.arange(n),
        torch.from_numpy(kind),
        marked,
        torch.ones_like(marked),
    )


def gains(reader, objects, index):
    """Gain of LiteLVLM over random tokens by budget, where a text ranks by the planted index.

    Values of the object's tokens are always like the text.
    """
    rng = np.random.default_rng(7)
    cues = []
    for key, inside in enumerate(objects.inside):
        # An index of 1: the object's tokens have the lowest similarity of all.
        similarity = -index * inside.float() + 0.01 * torch.from_numpy(
            rng.standard_normal(len(inside))
        )
        cues.append(
            Cues.from_tensors(
                key=key,
                patch_embeds=torch.stack([similarity, torch.ones_like(similarity)], 1).float(),
                value_path_embeds=torch.stack([inside.float(), torch.ones(len(inside))], 1),
                text_embeds=torch.tensor([[1.0, 0.0]]),
                coverage=inside.float(),
            )
        )
    rows = pd.DataFrame(readers.pruned_rows(reader, objects, cues, readers.RULES))
    iou = rows[rows["measure"] == "iou"].pivot(index="budget", columns="text", values="value")
    return (iou["lowest"] - iou["random"]).to_dict(), iou


@pytest.fixture(scope="module")
def local():
    return train_reader(planted(800, told_by_all=False, seed=0), KINDS, 0, SMALL)


def test_a_reader_finds_objects_by_their_tokens_and_pruning_takes_them(local):
    objects = planted(80, told_by_all=False, seed=1)
    every = torch.arange(CELLS).expand(len(objects), -1)
    blind = cell_iou(constant_mask(planted(800, told_by_all=False, seed=0)), objects).mean()
    assert mask_iou(local, objects, every).mean() > 0.8 > 0.5 > blind > 0.1
    outside = (~objects.inside).nonzero()[:, 1].reshape(len(objects), -1)
    assert mask_iou(local, objects, outside).mean() < 0.4


def test_the_sign_predicts_the_gain_where_objects_tell_of_themselves(local):
    objects = planted(80, told_by_all=False, seed=1)
    reversed_gain, iou = gains(local, objects, 1.0)
    assert min(reversed_gain.values()) > 0.05
    assert (iou["oracle"] >= iou["random"]).all()
    assert (iou["value"] - iou["random"]).min() > 0.05
    lost, iou = gains(local, objects, -1.0)
    assert max(lost.values()) < -0.1
    assert (iou["value"] - iou["random"]).min() > 0.05
    assert iou["oracle"][0.5] > 0.9
    assert abs(np.mean(list(gains(local, objects, 0.0)[0].values()))) < 0.08


def test_the_sign_predicts_nothing_where_every_token_tells():
    reader = train_reader(planted(800, told_by_all=True, seed=0), KINDS, 0, SMALL)
    objects = planted(80, told_by_all=True, seed=1)
    every = torch.arange(CELLS).expand(len(objects), -1)
    assert mask_iou(reader, objects, every).mean() > 0.8
    for index in (1.0, -1.0):
        found, _ = gains(reader, objects, index)
        assert max(abs(value) for value in found.values()) < 0.1


def test_readers_follow_from_their_seed():
    objects, plan = planted(40, told_by_all=False, seed=0), replace(SMALL, steps=3)
    first, again, other = (
        train_reader(objects, KINDS, seed, plan).state_dict() for seed in (0, 0, 1)
    )
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_masks_by_hand():
    inside = torch.tensor([[1, 1, 0, 0], [0, 1, 1, 0], [0, 1, 0, 0]], dtype=torch.bool)
    known = torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0], [1, 1, 1, 1]], dtype=torch.bool)
    index = torch.arange(3)
    objects = Objects(torch.zeros(3, 4, 3), index, index, inside, known)
    marked = torch.tensor([[1, 0, 0, 1], [0, 1, 1, 1], [0, 0, 0, 1]], dtype=torch.bool)
    assert cell_iou(marked, objects).tolist() == pytest.approx([1 / 3, 1.0, 0.0])
    # Cell 1 is in all. Alone it has a mean of 2/3; with cell 0 it has 11/18, with cell 2 too 5/9.
    assert constant_mask(objects).tolist() == [False, True, False, False]
    assert cell_iou(constant_mask(objects), objects).tolist() == pytest.approx([0.5, 0.5, 1.0])


@pytest.fixture
def trainings(tmp_path, monkeypatch):
    monkeypatch.setattr(scenes, "SCENES", 24)
    monkeypatch.setattr(readers, "SCENES", 40)
    monkeypatch.setattr(readers, "PLAN", replace(SMALL, steps=2))
    for module in (training, readers):
        monkeypatch.setattr(
            module, "PixelPool", lambda folder, factors: PixelPool(folder, factors, 16)
        )
    for cell, factors in {
        "base": TINY,
        "pixels": replace(TINY, image="pixels"),
        "registers-4": replace(TINY, registers=4),
        "bag": replace(TINY, image="bag"),
    }.items():
        train_member(Member("C", cell, factors, 0), tmp_path, tmp_path / "scenes")
    return tmp_path


def test_readers_are_measured_once_and_bundled(trainings, monkeypatch, tmp_path_factory):
    before = store.measure_trainings(trainings)
    assert [path.name for path in before] == ["rows.parquet"] * 4
    files = store.measure_trainings(trainings, readers=True)
    assert len(files) == 7  # a bag of objects has no patches
    stamps = {path: path.stat().st_mtime_ns for path in files}
    monkeypatch.setattr(store, "measured_rows", None)
    assert (
        store.measure_trainings(trainings, readers=True)
        == files
        == store.measure_trainings(trainings)
    )
    assert {path: path.stat().st_mtime_ns for path in files} == stamps
    read = pd.read_parquet(trainings / "C-base-s0" / "reader.parquet")
    counts = read.groupby("measure").size().to_dict()
    assert counts == {"iou": 2 + 8 * 3, "kept": 8 * 3}
    assert read["value"].between(0, 1).all()
    oracle = read[(read["measure"] == "kept") & (read["text"] == "oracle")]
    assert oracle.set_index("budget")["value"][0.5] == 1
    out = tmp_path_factory.mktemp("bundle")
    store.bundle(files, out)
    rows = pd.read_parquet(out / "C.parquet")
    assert len(rows) == sum(len(pd.read_parquet(path)) for path in files)
    assert rows.loc[rows["measure"] == "iou", "budget"].notna().all()
    assert rows.loc[rows["measure"] == "reversal", "budget"].isna().all()
    # Given again, a training replaces its rows; those of the others stay.
    changed = pd.read_parquet(files[0])
    changed["value"] = 7.0
    own = changed["training"].iloc[0]
    store.write_rows(changed, out / "changed.parquet")
    store.bundle([out / "changed.parquet"], out)
    again = pd.read_parquet(out / "C.parquet")
    assert (again.loc[again["training"] == own, "value"] == 7).all()
    assert (again["training"] == own).sum() == len(changed)
    others, before = (part[part["training"] != own] for part in (again, rows))
    pd.testing.assert_frame_equal(others, before)


def test_rows_of_readers_fit_the_study(trainings):
    files = store.measure_trainings(trainings, readers=True)
    rows = pd.concat([pd.read_parquet(path) for path in files], ignore_index=True)
    for _, part in rows.groupby("training"):
        check_rows(training_rows(part).rows, COLUMNS)
    gains = make_tables(rows, Config(gate=0.5, reader_gate=0.0))["gains"].set_index("training")
    assert list(gains.index) == ["C-base-s0", "C-pixels-s0", "C-registers-4-s0"]
    expected = gains[["gain_0.5", "gain_0.25", "gain_0.125"]].mean(axis=1)
    assert gains["gain"].tolist() == pytest.approx(expected.tolist())
    assert gains["index"].between(-1, 1).all()
    assert gains["registers"].tolist() == [0, 0, 4]


def test_a_foreign_text_names_the_next_category_that_a_scene_does_not_hold():
    index = torch.arange(4)
    objects = Objects(
        torch.zeros(2, 4, 3),
        torch.tensor([0, 0, 1, 1]),
        torch.tensor([0, 3, 2, 1]),
        torch.eye(4, dtype=torch.bool),
        torch.ones(4, 4, dtype=torch.bool)[index],
    )
    # The first scene holds 0, 1 and 3, the second 1 and 2.
    held = np.array([[1, 1, 0, 1], [0, 1, 1, 0]])
    assert readers.absent_categories(objects, held).tolist() == [2, 2, 3, 3]
    held[1] = 1
    with pytest.raises(ValueError, match=r"scenes \[1\] hold every category"):
        readers.absent_categories(objects, held)


def test_no_foreign_text_is_asked_where_a_scene_holds_every_category(trainings, monkeypatch):
    def everywhere(table, factors):
        return np.ones((len(table), factors.categories), dtype=np.int64)

    monkeypatch.setattr(readers, "present", everywhere)
    rows = store.measured_rows(trainings / "C-base-s0", trainings / "scenes", reader=True)
    assert set(rows["text"]) == {"none", "all", *readers.RULES}
