"""Procedural scenes written in REFER layout and read back."""

import dataclasses
import json

import numpy as np
import pytest

from litelvlm import load_refer
from litelvlm.data import load, rendered
from litelvlm.data.embedded import EMBEDDED, SEEDS
from litelvlm.data.refer_writer import fill_refer
from litelvlm.data.safe.rasterise import decode_mask
from litelvlm.data.worlds.shapes.objects import CATEGORIES
from litelvlm.data.worlds.shapes.scenes import sample_scene
from litelvlm.training.pool import FIRST_SEED


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    root = tmp_path_factory.mktemp("scenes") / "tree"
    splits = {
        "train": range(5),
        "val": range(10, 20),
        "testA": range(20, 24),
        "testB": range(30, 34),
    }
    fill_refer(
        root / "Refer_Segm",
        {split: [sample_scene(seed) for seed in seeds] for split, seeds in splits.items()},
        CATEGORIES,
    )
    return root, splits


def test_scenes_come_back_exactly(written):
    root, splits = written
    for split, seeds in splits.items():
        data = load_refer(root, split=split)
        assert [sample.image_id for sample in data] == list(seeds)
        for sample in data:
            scene = sample_scene(sample.image_id)
            meant = {e.sent: e for e in scene.expressions}
            assert np.array_equal(np.asarray(sample.image()), scene.image)
            for expression, mask in zip(sample.expressions, sample.targets(), strict=True):
                source = meant.pop(expression.sent)
                assert np.array_equal(mask, scene.masks[source.target].astype(np.uint8))
                assert expression.kind == source.kind
                assert (
                    data.categories[expression.category_id[0]] == scene.objects[source.target].shape
                )
            left = {e.kind for e in meant.values()}
            assert left == {"testA": {"place", "relation"}, "testB": {"attribute", "place"}}.get(
                split, set()
            )


def test_both_outline_forms_and_true_boxes_are_written(written):
    root, _ = written
    instances = json.loads((root / "Refer_Segm" / "refcoco" / "instances.json").read_text())
    sizes = {image["id"]: (image["height"], image["width"]) for image in instances["images"]}
    forms = set()
    for record in instances["annotations"]:
        forms.add(type(record["segmentation"][0]))
        mask = decode_mask(record["segmentation"], *sizes[record["image_id"]])
        assert mask.max() == 1
        assert record["area"] == mask.sum()
        x, y, w, h = record["bbox"]
        assert mask[y : y + h, x : x + w].sum() == mask.sum()
        assert mask[y].any()
        assert mask[y + h - 1].any()
        assert mask[:, x].any()
        assert mask[:, x + w - 1].any()
    assert forms == {list, dict}


def test_writing_twice_gives_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        fill_refer(
            tmp_path / name / "Refer_Segm",
            {"val": [sample_scene(seed) for seed in range(3)]},
            CATEGORIES,
        )
    files = sorted(
        path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*") if path.is_file()
    )
    assert len(files) == 5
    for name in files:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_a_scene_in_two_splits_is_refused(tmp_path):
    scenes = [sample_scene(0)]
    with pytest.raises(ValueError, match="seed 0 is there twice"):
        fill_refer(tmp_path / "tree", {"val": scenes, "train": scenes}, CATEGORIES)


FEW = {"train": range(2), "val": range(10, 13), "testA": range(20, 22), "testB": range(30, 32)}


@pytest.fixture
def small_embedded(tmp_path, monkeypatch):
    monkeypatch.setenv("LITELVLM_CACHE", str(tmp_path / "cache"))
    few = {name: dataclasses.replace(data, seeds=FEW) for name, data in EMBEDDED.items()}
    monkeypatch.setattr(load, "EMBEDDED", few)
    return few


@pytest.mark.parametrize("name", sorted(EMBEDDED))
def test_embedded_scenes_are_made_once(name, small_embedded, monkeypatch, tmp_path):
    data = load_refer(name, split="val")
    assert (data.name, len(data), data.count_note) == (name, 3, "")
    (folder,) = (tmp_path / "cache").iterdir()
    made = small_embedded[name]
    assert folder.name == f"{made.name}-{made.digest()[:16]}"
    monkeypatch.setattr(rendered, "fill_refer", None)  # a second generation would fail
    assert load_refer(name, split="val").digest == data.digest
    assert load_refer(name, split="testA").digest != data.digest  # other pictures


def test_a_missing_file_of_a_generator_is_named():
    data = dataclasses.replace(EMBEDDED["embedded-pictograms"], sources=("worlds/gone/*.py",))
    with pytest.raises(FileNotFoundError, match=r"gone/\*\.py; install the package again"):
        data.digest()


def test_embedded_seeds_are_apart_from_each_other_and_from_training():
    seeds = [seed for part in SEEDS.values() for seed in part]
    assert len(seeds) == len(set(seeds)) == 660
    assert max(seeds) < FIRST_SEED


def test_unwritable_cache_names_the_fix(small_embedded, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(rendered, "fill_refer", refuse)
    with pytest.raises(PermissionError, match="set LITELVLM_CACHE"):
        load_refer()
