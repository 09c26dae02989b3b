"""What was read and checked once opens from the cache, and never in the place of other files."""

import gc
import json
import os

import numpy as np
import pytest
from refer_tree import SQUARE, RefDataError, annotation, make_tree, ref

from litelvlm import load_refer
from litelvlm.data import tables

RUN_LENGTHS = {"size": [6, 8], "counts": [7, 3, 38]}


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """Two splits, several objects and a crowd; every table is worth keeping."""
    monkeypatch.setattr(tables, "WORTH_KEEPING", 0)
    monkeypatch.setenv("LITELVLM_CACHE", str(tmp_path / "cache"))
    return write(tmp_path)


def write(folder, word="thing"):
    images = [{"id": i, "height": 6, "width": 8} for i in (7, 9)]
    crowd = annotation(2, RUN_LENGTHS, 9) | {"iscrowd": 1}
    refs = [
        ref(1, 1, 7, sents=(f"the {word}", "es ist größer")),
        ref(2, 2, 9, split="train", sentences=[{"sent_id": 5, "sent": "all", "kind": "place"}]),
        ref(3, 3, 9),
    ]
    return make_tree(
        folder, refs, [annotation(1, SQUARE), crowd, annotation(3, SQUARE, 9)], images=images
    )


def touch(tree):
    """Change the time of both files, so that nothing in memory is taken for them."""
    for file in (*tree.rglob("refs(*"), *tree.rglob("instances.json")):
        time = file.stat().st_mtime_ns + 10**9
        os.utime(file, ns=(time, time))


def kept(tree):
    return list((tree / "cache" / "tables").iterdir())


def no_reading(*_):
    raise AssertionError("the files were parsed again")


@pytest.mark.parametrize("split", ["val", "train"])
def test_a_second_opening_parses_nothing_and_gives_the_same(tree, monkeypatch, split):
    first = load_refer(tree, split=split)
    touch(tree)
    monkeypatch.setattr(tables, "read_refs", no_reading)
    monkeypatch.setattr(tables, "read_instances", no_reading)
    again = load_refer(tree, split=split)
    assert len(first) >= 1
    assert list(again) == list(first)
    for one, other in zip(first, again, strict=True):
        assert one.annotations == other.annotations
        np.testing.assert_array_equal(one.targets(), other.targets())
        assert one.targets().any()
    assert (again.digest, again.categories) == (first.digest, first.categories)
    assert len(kept(tree)) == 1


def test_tables_without_a_record_hold_no_split(tmp_path):
    empty = make_tree(tmp_path, [], [], images=[])
    (file,) = empty.rglob("instances.json")
    file.write_text('{"images": [], "annotations": [], "categories": []}')
    with pytest.raises(ValueError, match=r"refs\(unc\)\.p has no reference of .*'val'; .* nothing"):
        load_refer(empty)


def test_a_changed_file_is_read(tree):
    load_refer(tree)
    write(tree, word="other thing")
    assert load_refer(tree)[0].expressions[0].sent == "the other thing"
    assert len(kept(tree)) == 2


def test_other_checking_code_reads_again(tree, monkeypatch):
    load_refer(tree)
    touch(tree)
    monkeypatch.setattr(tables, "_code", lambda: "another")
    monkeypatch.setattr(tables, "read_refs", no_reading)
    with pytest.raises(AssertionError, match="parsed again"):
        load_refer(tree)


@pytest.mark.parametrize("content", [b"", b"noise", "altered"])
def test_a_damaged_store_is_set_aside_and_made_again(tree, caplog, content):
    whole = list(load_refer(tree))
    (file,) = kept(tree)
    if content == "altered":
        content = file.read_bytes().replace(b"7.png", b"../.p")
    file.write_bytes(content)
    touch(tree)
    assert list(load_refer(tree)) == whole
    assert "is damaged (its content is not what was kept)" in caplog.text
    assert len(kept(tree)) == 2


def test_a_store_that_cannot_be_set_aside_stops_nothing(tree, monkeypatch):
    load_refer(tree)
    (file,) = kept(tree)
    file.write_text("noise")
    touch(tree)

    def refused(path):
        raise PermissionError(path)

    monkeypatch.setattr(tables, "set_aside", refused)
    assert len(load_refer(tree)) == 2


def test_small_tables_are_not_kept(tree, monkeypatch):
    monkeypatch.setattr(tables, "WORTH_KEEPING", 5_000_000)
    load_refer(tree)
    assert not (tree / "cache" / "tables").exists()


def test_a_cache_that_cannot_be_written_stops_nothing(tree, monkeypatch):
    (tree / "cache").write_text("a file where the folder should be")
    monkeypatch.setattr(tables, "cache_folder", lambda: tree / "cache")
    assert len(load_refer(tree)) == 2


@pytest.mark.parametrize(
    "outline",
    [[[0.1, 1e16, 5e-324, -0.0, 7]], [[2**70, 1]], {"size": [6, 8], "counts": "\ud800é"}, [], None],
)
def test_an_outline_comes_back_as_it_was(tmp_path, outline):
    data = load_refer(make_tree(tmp_path, [ref()], [annotation(1, outline)]))
    assert repr(json.loads(data[0].annotations[1].outline)) == repr(outline)


@pytest.mark.parametrize("enabled", [True, False])
def test_the_search_for_cycles_is_left_as_it_was(tmp_path, enabled):
    (gc.enable if enabled else gc.disable)()
    try:
        load_refer(make_tree(tmp_path / "good", [ref()]))
        with pytest.raises(RefDataError):
            load_refer(make_tree(tmp_path / "bad", [ref(ann_id=5)]))
        assert gc.isenabled() is enabled
    finally:
        gc.enable()
