"""RefCOCO in the hub's Parquet form, read from a folder or fetched."""

import logging
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from huggingface_hub.errors import LocalEntryNotFoundError
from refer_tree import SQUARE as POLYGONS
from refer_tree import RefDataError, picture

from litelvlm import load_refer
from litelvlm.data.hub import hub_root
from litelvlm.data.hub_tables import UNKNOWN_CATEGORY

SQUARE = list(map(float, POLYGONS[0]))


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LITELVLM_CACHE", str(tmp_path / "cache"))


def row(number, image_id=7, answers=("the thing", "it"), segmentation=SQUARE, **changes):
    return {
        "question_id": str(number),
        "image": {"bytes": picture(), "path": "picture.png"},
        "question": "Describe the area.",
        "answer": list(answers),
        "segmentation": segmentation,
        "bbox": [1.0, 1.0, 3.0, 3.0],
        "iscrowd": 0,
        "file_name": f"COCO_train2014_{image_id:012d}_{number}.jpg",
        **changes,
    }


def write(folder, rows, name="val-00000-of-00001-abc.parquet"):
    (folder / "data").mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), folder / "data" / name)
    return folder


def test_rows_become_images_with_expressions(tmp_path, caplog):
    rows = [
        row(1, 9),
        row(2, 5, ("other",)),
        row(3, 9, ("third",), [5.0, 0.0, 8.0, 0.0, 8.0, 2.0, 5.0, 2.0]),
    ]
    with caplog.at_level(logging.WARNING):
        data = load_refer(write(tmp_path / "RefCOCO", rows), split="val")
    assert (data.name, data.split_by, len(data), data.n_expressions, data.counts.refs) == (
        "refcoco",
        "unc",
        2,
        4,
        3,
    )
    assert [sample.image_id for sample in data] == [5, 9]
    assert [e.sent for e in data[1].expressions] == ["the thing", "it", "third"]
    # A 3 x 3 square at (1, 1), and 3 x 2 pixels at the top right.
    assert [int(mask.sum()) for mask in data[1].targets()] == [9, 9, 6]
    assert data[1].image().getpixel((0, 0)) == (90, 0, 0)
    # The rows state no category, and none is made up: nothing may be taken for an object of the
    # same one.
    assert {e.category_id for sample in data for e in sample.expressions} == {()}
    assert {a.category_id for a in data[1].annotations.values()} == {UNKNOWN_CATEGORY}
    assert data.categories == {}
    assert len(list(data[1].folder.iterdir())) == 2
    # Fewer rows than published are said, not hidden.
    assert "published: 10834" in data.count_note
    assert "not comparable with published ones" in caplog.text


def test_rows_about_one_outline_are_about_one_object(tmp_path):
    # Row 2 is row 1 again, as where a copy pools the splits of two authors; row 3 is another
    # object, 4 and 5 have no outline, and row 6 has the outline of row 1 in another image.
    other = [5.0, 0.0, 8.0, 0.0, 8.0, 2.0, 5.0, 2.0]
    outlines = [SQUARE, SQUARE, other, [], []]
    rows = [row(i, segmentation=outlined) for i, outlined in enumerate(outlines, 1)]
    data = load_refer(write(tmp_path / "RefCOCO", [*rows, row(6, 9)]))
    meant = [e.ann_ids for e in data[0].expressions[::2]]
    assert meant == [(1,), (1,), (2,), (3,), (4,)]
    assert sorted(data[0].annotations) == [1, 2, 3, 4]
    assert sorted(data[1].annotations) == [5]
    # Every row stays a reference with sentences of its own.
    assert (data.counts.refs, data.n_expressions) == (6, 12)


def test_the_rewritten_form_is_kept_until_the_source_changes(tmp_path):
    folder = write(tmp_path / "RefCOCO", [row(1)])
    first = load_refer(folder)
    assert load_refer(folder).digest == first.digest
    assert load_refer(folder).root == first.root
    write(tmp_path / "RefCOCO", [row(1, answers=("changed",))])
    assert load_refer(folder).digest != first.digest


def test_all_shards_of_the_split_and_no_other(tmp_path):
    folder = tmp_path / "refcoco_plus"
    write(folder, [row(1)], "testA-00000-of-00002.parquet")
    write(folder, [row(2, 8)], "testA-00001-of-00002.parquet")
    write(folder, [row(3, 3)], "validation-00000-of-00001.parquet")
    data = load_refer(folder, dataset="refcoco+", split="testA")
    assert [sample.image_id for sample in data] == [7, 8]
    assert len(load_refer(folder, dataset="refcoco+", split="val")) == 1
    with pytest.raises(
        FileNotFoundError, match="no Parquet file of split 'testB'; it holds testA, val"
    ):
        load_refer(folder, dataset="refcoco+", split="testB")
    with pytest.raises(ValueError, match="unknown split of refcoco"):
        load_refer(folder, dataset="refcoco+", split="testa")


def test_forms_of_outlines(tmp_path):
    # 48 pixels, column by column: 6 empty, 3 set, 39 empty.
    runs = {"size": [6, 8], "counts": [6, 3, 39]}
    several = [SQUARE, [5.0, 0.0, 8.0, 0.0, 8.0, 2.0, 5.0, 2.0]]
    expected = {"polygons": (several, 15), "runs": (runs, 3), "empty": ([], 0)}
    for name, (segmentation, pixels) in expected.items():
        folder = write(
            tmp_path / f"RefCOCO-{name}", [row(1, answers=("it",), segmentation=segmentation)]
        )
        assert int(load_refer(folder)[0].targets().sum()) == pixels


def test_images_may_be_bytes_alone_and_must_be_there(tmp_path):
    (sample,) = load_refer(write(tmp_path / "RefCOCO-bytes", [row(1, image=picture())]))
    assert sample.image().size == (8, 6)
    with pytest.raises(RefDataError, match="row 0: the image has no bytes"):
        load_refer(write(tmp_path / "RefCOCO-names", [row(1, image="picture.png")]))


def test_two_pictures_of_one_name_are_two(tmp_path):
    # As where two folders number their frames alike.
    second = {
        "image": {"bytes": picture((8, 7)), "path": ""},
        "file_name": "night/frame_000000000007.png",
    }
    rows = [row(1, file_name="day/frame_000000000007.png"), row(2, **second), row(3, **second)]
    data = load_refer(write(tmp_path / "frames", rows))
    assert [sample.image().size for sample in data] == [(8, 6), (8, 7)]
    assert [[e.ref_id for e in sample.expressions] for sample in data] == [[1, 1], [2, 2, 3, 3]]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image": {"bytes": None, "path": "x.jpg"}}, "row 0: the image has no bytes"),
        ({"image": {"bytes": b"no picture", "path": "x.jpg"}}, "row 0: the image is not readable"),
        ({"answer": []}, r"row 0: answer is \[\]"),
        ({"iscrowd": 2}, "row 0: iscrowd: expected 0, 1, true or false"),
    ],
)
def test_bad_rows_are_named_and_nothing_is_kept(tmp_path, changes, message):
    folder = tmp_path / "RefCOCO"
    (folder / "data").mkdir(parents=True)
    good = pa.Table.from_pylist([row(1)])
    pq.write_table(
        pa.Table.from_pylist([row(1, **changes)], schema=good.schema),
        folder / "data" / "val-0.parquet",
    )
    with pytest.raises(RefDataError, match=message):
        load_refer(folder)
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_crowd_that_a_text_states_is_refused(tmp_path):
    with pytest.raises(RefDataError, match=r"row 0: iscrowd: expected 0, 1, .* quotes.* \('0'\)"):
        load_refer(write(tmp_path / "RefCOCO", [row(1, iscrowd="0")]))


def test_bad_files_are_explained(tmp_path):
    folder = write(tmp_path / "RefCOCO", [{"picture": 1, "answer": ["x"]}])
    with pytest.raises(
        RefDataError, match="lacks the columns image, segmentation; it has picture, answer"
    ):
        load_refer(folder)
    (folder / "data" / "val-00000-of-00001-abc.parquet").write_bytes(b"PAR1 cut off")
    with pytest.raises(RefDataError, match="not a readable Parquet file"):
        load_refer(folder)


def test_hub_ids_fetch_the_split_only(tmp_path, monkeypatch):
    folder, asked = write(tmp_path / "copy", [row(1)]), {}

    def fetch(name, **options):
        asked.update(options, name=name)
        return str(folder)

    monkeypatch.setattr("litelvlm.data.safe.hub_copies.snapshot_download", fetch)
    data = load_refer("someone/RefCOCO", split="val")
    assert (len(data), asked["repo_type"]) == (1, "dataset")
    assert all("val" in pattern for pattern in asked["allow_patterns"])

    def offline(name, **options):
        raise LocalEntryNotFoundError("no network")

    monkeypatch.setattr("litelvlm.data.safe.hub_copies.snapshot_download", offline)
    with pytest.raises(FileNotFoundError, match="hf download --repo-type dataset someone/RefCOCO"):
        load_refer("someone/RefCOCO")


@pytest.mark.parametrize(
    "root",
    ["data/refcoco", "./refcoco", "../refcoco", "~/refcoco", "/data/refcoco", "here/data/refcoco",
     "a/refcoco/", "a//refcoco", "owner/refcoco+", Path("owner/RefCOCO")],
)  # fmt: skip
def test_what_looks_like_a_path_never_reaches_the_network(tmp_path, monkeypatch, root):
    def fetch(name, **options):
        raise AssertionError(f"asked the network for {name}")

    monkeypatch.setattr("litelvlm.data.safe.hub_copies.snapshot_download", fetch)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "data").mkdir()
    with pytest.raises(FileNotFoundError, match=r"no REFER data at .*, or a hub id"):
        load_refer(root)
    with pytest.raises(FileNotFoundError, match=r"there is no folder .*(refcoco|RefCOCO)"):
        hub_root(root, "refcoco", "val")
