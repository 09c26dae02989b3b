"""No row outlives what it was made from: pictures, libraries, and the rows as written."""

import logging
import os

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image, ImageOps
from planted import PlantedModel, planted_data
from refer_tree import make_tree, ref

from litelvlm import load_refer
from litelvlm.analysis.api import read_rows, run_study
from litelvlm.analysis.runs.origin import provenance
from litelvlm.data.content import content_digest

QUICK = {"methods": ("uniform",), "budgets": (48,)}


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LITELVLM_CACHE", str(tmp_path / "cache"))


def sweep(out, **options):
    return run_study("sweep", PlantedModel(), planted_data(4), out, **QUICK, **options)


def test_a_changed_picture_changes_the_digest_of_the_data(tmp_path):
    root = make_tree(tmp_path, [ref()])
    (picture,) = root.rglob("*.png")
    first = load_refer(root).digest
    assert load_refer(root).digest == first
    ImageOps.invert(Image.open(picture)).save(picture)
    assert load_refer(root).digest != first


def test_a_missing_picture_counts_as_missing(tmp_path):
    root = make_tree(tmp_path, [ref()])
    (picture,) = root.rglob("*.png")
    first = load_refer(root).digest
    picture.unlink()
    assert load_refer(root).digest != first


def test_pictures_are_read_again_only_when_size_or_time_has_changed(tmp_path):
    file = tmp_path / "pictures" / "a.jpg"
    file.parent.mkdir()
    file.write_bytes(b"one")
    first, facts = content_digest([file]), file.stat()
    file.write_bytes(b"two")
    os.utime(file, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    assert content_digest([file]) == first
    os.utime(file, ns=(facts.st_atime_ns, facts.st_mtime_ns + 1))
    assert content_digest([file]) != first


def test_the_digest_needs_no_cache_and_survives_a_damaged_one(tmp_path, monkeypatch):
    file = tmp_path / "pictures" / "a.jpg"
    file.parent.mkdir()
    file.write_bytes(b"one")
    first = content_digest([file])
    (note,) = (tmp_path / "cache" / "content").iterdir()
    note.write_bytes(b"\xff\x00 no text")
    assert content_digest([file]) == first
    blocked = tmp_path / "a file"
    blocked.write_text("")
    monkeypatch.setenv("LITELVLM_CACHE", str(blocked / "below"))
    assert content_digest([file]) == first


def test_other_versions_begin_a_new_run_and_say_so(tmp_path, monkeypatch, caplog):
    first = sweep(tmp_path)
    installed = provenance.versions(provenance.COMPUTING)
    monkeypatch.setattr(provenance, "versions", lambda *_: installed | {"torch": "99.0"})
    with caplog.at_level(logging.WARNING):
        second = sweep(tmp_path)
    assert second.folder != first.folder
    assert f"{first.folder.name} was made with other versions" in caplog.text
    assert f"torch {installed['torch']} -> 99.0" in caplog.text
    assert "--accept-versions" in caplog.text


def test_accepted_versions_go_on_with_the_old_run_and_are_recorded(tmp_path, monkeypatch):
    first = sweep(tmp_path, chunk_size=2)
    last = max((first.folder / "rows").iterdir())
    last.unlink()
    installed = provenance.versions(provenance.COMPUTING)
    monkeypatch.setattr(provenance, "versions", lambda *_: installed | {"torch": "99.0"})
    second = sweep(tmp_path, chunk_size=2, accept_versions=True)
    assert second.folder == first.folder
    assert {session.versions["torch"] for session in second.record.sessions} == {
        installed["torch"],
        "99.0",
    }
    pd.testing.assert_frame_equal(second.rows, first.rows)


@pytest.mark.parametrize("package", provenance.COMPUTING)
def test_every_computing_library_is_part_of_the_key(tmp_path, monkeypatch, package):
    first = sweep(tmp_path)
    installed = provenance.versions(provenance.COMPUTING)
    monkeypatch.setattr(provenance, "versions", lambda *_: installed | {package: "99.0"})
    assert sweep(tmp_path).folder != first.folder


def test_a_row_changed_by_hand_is_noticed_and_computed_again(tmp_path, caplog):
    run = sweep(tmp_path)
    path = min((run.folder / "rows").iterdir())
    table = pq.read_table(path)
    column = table.column_names.index("inter_px")
    changed = pa.array([0] * table.num_rows, table.schema.field(column).type)
    pq.write_table(table.set_column(column, table.schema.field(column), changed), path)
    with pytest.raises(ValueError, match="its rows were changed after they were written"):
        read_rows(run.folder)
    with caplog.at_level(logging.WARNING):
        again = sweep(tmp_path)
    assert "its rows were changed after they were written" in caplog.text
    pd.testing.assert_frame_equal(again.rows, run.rows)
    assert path.with_name(f"{path.name}.damaged").is_file()
