"""Parquet files of one picture a row, as RefCOCO-M has them and as users write their own."""

import logging
import re
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pycocotools import mask as coco_mask
from refer_tree import SQUARE, RefDataError, picture

from litelvlm import load_refer

RUNS = [6 + 1, 3, 3, 3, 3, 3, 48 - 22]
"""A square of 3 x 3 pixels at (1, 1) in 6 rows and 8 columns, column by column."""
PIXELS = np.zeros((6, 8), dtype=np.uint8)
PIXELS[1:4, 1:4] = 1


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LITELVLM_CACHE", str(tmp_path / "cache"))


def packed():
    return coco_mask.encode(np.asfortranarray(PIXELS))["counts"]


def sample(number=40, sentences=("the thing", "it"), **changes):
    return {
        "id": number,
        "image_id": 7,
        "category": "thing",
        "supercategory": "all",
        "label": "a thing",
        "sentences": list(sentences),
        "bbox": [1.0, 1.0, 3.0, 3.0],
        "mask": {"counts": packed().decode(), "size": [6, 8]},
        **changes,
    }


def row(*samples, number=7, **changes):
    return {
        "image": {"bytes": picture(), "path": "any.png"},
        "image_id": number,
        "file_name": f"COCO_train2014_{number:012d}.jpg",
        "samples": list(samples),
        **changes,
    }


def write(folder, *rows, name="data/validation-00000-of-00001.parquet"):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(list(rows)), path)
    return folder


def test_the_layout_of_refcoco_m_is_read_with_its_own_counts(tmp_path, caplog):
    first = row(sample(40), sample(41, ("another",), category="other"))
    second = row(sample(42, ("third",), image_id=9), number=9)
    with caplog.at_level(logging.WARNING):
        data = load_refer(write(tmp_path / "refcoco-m", first, second))
    assert (data.name, data.split, data.count_note) == ("refcoco-m", "val", "")
    assert tuple(data.counts) == (4, 3, 2)
    assert not caplog.records
    assert [one.image_id for one in data] == [7, 9]
    assert [(e.sent, e.ref_id, e.ann_ids) for e in data[0].expressions] == [
        ("the thing", 40, (40,)),
        ("it", 40, (40,)),
        ("another", 41, (41,)),
    ]
    assert [data.categories[e.category_id[0]] for e in data[0].expressions[1:]] == [
        "thing",
        "other",
    ]
    assert data[0].annotations[40].bbox == (1, 1, 3, 3)
    assert np.array_equal(data[0].targets()[0], PIXELS)
    assert data[0].image().size == (8, 6)


@pytest.mark.parametrize(
    "changes",
    [
        {"mask": {"counts": packed(), "size": [6, 8]}},
        {"mask": {"counts": packed()}},
        {"mask": {"counts": RUNS, "size": [6, 8]}},
        {"mask": None, "segmentation": SQUARE},
        {"mask": None, "segmentation": SQUARE[0]},
    ],
    ids=["bytes", "no size", "a list", "polygons", "one polygon"],
)
def test_every_form_of_a_mask_gives_the_same_pixels(tmp_path, changes):
    (only,) = load_refer(write(tmp_path / "mine", row(sample(**changes))))
    assert np.array_equal(only.targets()[0], PIXELS)


def test_what_may_be_left_out_may_be_left_out(tmp_path):
    bare = {"sentences": ["it"], "mask": {"counts": packed(), "size": [6, 8]}}
    folder = write(tmp_path / "mine", {"image": picture(), "samples": [bare]}, name="night.parquet")
    data = load_refer(folder, split="night")
    assert (data.name, data.split, tuple(data.counts)) == ("mine", "night", (1, 1, 1))
    assert (data[0].expressions[0].category_id, data.categories) == ((), {})
    assert data[0].annotations[1].bbox is None


def test_a_file_and_its_folder_and_the_hub_give_the_same_data(tmp_path, monkeypatch):
    folder = write(tmp_path / "refcoco-m", row(sample()))
    copies = "litelvlm.data.safe.hub_copies.snapshot_download"
    monkeypatch.setattr(copies, lambda *_, **__: str(folder))
    roots = [folder, folder / "data" / "validation-00000-of-00001.parquet", "moondream/refcoco-m"]
    found = {(data.name, data.split, data.digest) for data in map(load_refer, roots)}
    assert len(found) == 1
    assert load_refer(folder, dataset="mine").name == "mine"


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("validation/0000.parquet", "val"),
        ("val.parquet", "val"),
        ("refcoco_m_testA.parquet", "testA"),
        ("data/test-00001-of-00002.parquet", "test"),
        ("night-2.parquet", "night"),
    ],
)
def test_the_split_stands_in_the_name_of_the_file_or_its_folder(tmp_path, name, split):
    folder = write(tmp_path / "mine", row(sample()), name=name)
    assert load_refer(folder, split=split).split == split
    with pytest.raises(FileNotFoundError, match=f"no Parquet file of split 'x'; it holds {split}"):
        load_refer(folder, split="x")


def test_shards_are_one_split(tmp_path):
    for number in (0, 1):
        write(
            tmp_path / "mine",
            row(sample(number, image_id=number), number=number),
            name=f"data/val-0000{number}-of-00002.parquet",
        )
    assert [one.image_id for one in load_refer(tmp_path / "mine")] == [0, 1]


COUNTS = {"counts": packed().decode(), "size": [6, 8]}
WRONG = {
    "swapped size": (row(sample(mask=COUNTS | {"size": [8, 6]})),
                     "samples.0.mask.size is [8, 6], expected [height, width] of the picture"),
    "no counts": (row(sample(mask={"size": [6, 8]})), "samples.0.mask.counts is None, expected a"),
    "no mask": (row(sample(mask=None)), "samples.0 has no mask; give a mask of run lengths"),
    "two masks": (row(sample(segmentation=SQUARE)), "samples.0 has mask and segmentation; give"),
    "mask as a file": (row(sample(mask="a.png")), "samples.0.mask is a str, expected polygons"),
    "truth as a point": (row(sample(mask=None, segmentation=[[True] * 6])),
                         "samples.0.segmentation holds True, expected numbers"),
    "no sentences": (row(sample(sentences=())), "samples.0.sentences: Tuple should have at least"),
    "sentences left out": (row({k: v for k, v in sample().items() if k != "sentences"}),
                           "samples.0.sentences: Field required"),
    "number as a sentence": (row(sample(sentences=[5])), "samples.0.sentences.0: Input should be"),
    "category as a number": (row(sample(category=3)), "samples.0.category: Input should be a val"),
    "category of two lines": (row(sample(category="a\nb")),
                              "samples.0.category: a name holds characters that cannot be shown"),
    "crowd as a text": (row(sample(iscrowd="0")), "samples.0.iscrowd: expected 0, 1, true or fa"),
    "box of three": (row(sample(bbox=[1.0, 1.0, 3.0])), "samples.0.bbox.3: Field required"),
    "id as a text": (row(sample(number="a")), "samples.0.id: Input should be a valid integer"),
    "other image": (row(sample(image_id=8)), "samples.0.image_id is 8, the row's is 7"),
    "object twice": (row(sample(40), sample(40)), "the object id 40 stands twice"),
    "path of an image": (row(sample(), image="a.png"), "the image has no bytes"),
    "noise as an image": (row(sample(), image=b"noise"), "the image is not readable"),
}  # fmt: skip


@pytest.mark.parametrize(("wrong", "message"), WRONG.values(), ids=WRONG.keys())
def test_a_wrong_field_is_named_with_its_row(tmp_path, wrong, message):
    folder = write(tmp_path / "mine", wrong)
    with pytest.raises(RefDataError, match=re.escape(f"parquet, row 0: {message}")) as found:
        load_refer(folder)
    assert len(str(found.value)) < 500


def test_an_image_id_stands_for_one_picture(tmp_path):
    other = row(sample(41), image={"bytes": picture((9, 6)), "path": None})
    folder = write(tmp_path / "mine", row(sample(40)), other)
    with pytest.raises(RefDataError, match="row 1: the image id 7 stands for two pictures"):
        load_refer(folder)


def bare(name, *numbers, side=8):
    """A row without an id of its own: its picture, and objects with ids or without."""
    objects = [
        {"id": number, "sentences": ["it"], "segmentation": SQUARE, "iscrowd": None}
        for number in numbers
    ]
    content = {"bytes": picture((side, 6)), "path": name}
    return {"image": content, "image_id": None, "samples": objects}


NIGHT, DAY = "night_000000000001.png", "day_000000000001.png"
FIX = "which another picture has; state image_id of every picture, or give the files other numbers"
MIXED = "which another object has; state id of every object, or of none"
TAKEN = {
    "numbers in names": ([bare(NIGHT, None), bare(DAY, None, side=9)],
                         f"image_id is left out, and the file name '{DAY}' gives 1, {FIX}"),
    "a number stated before": ([bare("a", 5) | {"image_id": 1}, bare(DAY, 6, side=9)],
                               f"image_id is left out, and the file name '{DAY}' gives 1, {FIX}"),
    "a number stated later": ([bare(DAY, 5), bare("a", 6, side=9) | {"image_id": 1}],
                              f"image_id is 1, {FIX}"),
    "a running number": ([bare("a", 5) | {"image_id": 10**12 + 1}, bare("b", 6, side=9)],
                         f"image_id is left out and counted as 1000000000001, {FIX}"),
    "an object counted before": ([bare("a", None), bare("b", 1, side=9)],
                                 f"samples.0.id is 1, {MIXED}"),
    "an object counted later": ([bare("a", 2), bare("b", None, side=9)],
                                f"samples.0.id is left out and counted as 2, {MIXED}"),
    "a reference counted before": ([bare("a", None, None), bare("b", 7, 2, side=9)],
                                   f"samples.1.id is 2, {MIXED}"),
}  # fmt: skip


@pytest.mark.parametrize(("rows", "message"), TAKEN.values(), ids=TAKEN.keys())
def test_an_id_that_is_taken_is_named_with_its_row_and_not_with_a_file_of_ours(
    tmp_path, rows, message
):
    folder = write(tmp_path / "mine", *rows)
    file = folder / "data" / "validation-00000-of-00001.parquet"
    with pytest.raises(RefDataError, match=re.escape(f"{file}, row 1: {message}")):
        load_refer(folder)


def test_ids_may_be_left_out_where_nothing_has_them(tmp_path):
    rows = [bare("a", 7), bare("b", None, side=9), bare(DAY, None, side=10)]
    data = load_refer(write(tmp_path / "mine", *rows))
    assert [one.image_id for one in data] == [1, 10**12, 10**12 + 1]
    assert [list(one.annotations) for one in data] == [[3], [7], [2]]
    assert not any(found.crowd for one in data for found in one.annotations.values())


@pytest.mark.parametrize("start", [0, 1], ids=["no objects", "no rows"])
def test_a_file_without_objects_is_named(tmp_path, start):
    file = tmp_path / "mine" / "val.parquet"
    file.parent.mkdir()
    pq.write_table(pa.Table.from_pylist([row(), row(sample())]).slice(start * 2, 1), file)
    with pytest.raises(RefDataError, match=re.escape(f"no row of {file} holds an object; write")):
        load_refer(file.parent)


def test_files_of_one_split_in_two_folders_are_refused_by_name(tmp_path):
    folder = write(tmp_path / "mine", row(sample(None)))
    data = folder / "data"
    write(folder, row(sample(None, image_id=8), number=8), name="val.parquet")
    names = f"{folder / 'val.parquet'} and {data / 'validation-00000-of-00001.parquet'} hold the sa"
    with pytest.raises(RefDataError, match=re.escape(names)):
        load_refer(folder)
    assert [load_refer(place)[0].image_id for place in (data, folder / "val.parquet")] == [7, 8]
    write(folder, row(sample(None)), name="test/0000.parquet")  # another split
    assert load_refer(folder, split="test").n_expressions == 2


def test_a_copy_beside_its_file_is_refused_by_name(tmp_path):
    folder = write(tmp_path / "mine", row(sample(None)), name="val-1.parquet")
    write(folder, row(sample(None, image_id=8), number=8), name="val-2.parquet")
    assert load_refer(folder).n_expressions == 4
    shutil.copy(folder / "val-1.parquet", folder / "val-3.parquet")
    names = f"{folder / 'val-1.parquet'} and {folder / 'val-3.parquet'} have the same content"
    with pytest.raises(RefDataError, match=re.escape(names)):
        load_refer(folder)


def test_missing_columns_are_named_with_what_is_there_and_what_is_read(tmp_path):
    folder = write(tmp_path / "mine", {"image": picture(), "objects": []})
    with pytest.raises(
        RefDataError,
        match=r"lacks the columns samples; it has image, objects; rows of \(image, samples\) or",
    ):
        load_refer(folder)
