"""Whatever lies in a run folder, the same command names it, sets it aside and goes on."""

import json
import logging
import shutil

import pandas as pd
import pyarrow.parquet as pq
import pytest
from planted import PlantedModel, planted_data

from litelvlm.analysis.api import SavedRun, run_study
from litelvlm.analysis.runs.folder import read_rows

QUICK = {"methods": ("uniform",), "budgets": (48,), "chunk_size": 2}
NOISE = b"\xff\xfe\x00binary\x80"


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return sweep(tmp_path_factory.mktemp("whole"))


def sweep(out):
    return run_study("sweep", PlantedModel(), planted_data(4), out, **QUICK)


def part(folder):
    return min((folder / "rows").glob("*.parquet"))


def with_odd_metadata(path):
    table = pq.read_table(path)
    meta = json.loads(table.schema.metadata[b"litelvlm"]) | {"rows": "many", "extra": [1]}
    pq.write_table(table.replace_schema_metadata({b"litelvlm": json.dumps(meta)}), path)


def a_folder_instead(path):
    path.unlink()
    path.mkdir()
    (path / "inside").write_text("kept")


def a_file_instead(path):
    shutil.rmtree(path)
    path.write_text("kept")


def a_broken_link(path):
    path.unlink()
    path.symlink_to("nowhere")


def beside(folder, make):
    make(folder / "rows" / "foreign")


def last(folder):
    return max((folder / "rows").glob("*.parquet"))


PARTS = {
    "part cut off": lambda f: part(f).write_bytes(part(f).read_bytes()[:300]),
    "part without its end": lambda f: part(f).write_bytes(part(f).read_bytes()[:-1]),
    "table of another program": lambda f: pd.DataFrame({"a": [1]}).to_parquet(part(f)),
    "part in the place of another": lambda f: shutil.copy(part(f), last(f)),
    "broken link in a part's place": lambda f: a_broken_link(part(f)),
}
"""A part that cannot be used."""
FOREIGN = {
    "foreign file": lambda f: beside(f, lambda path: path.write_text("notes")),
    "foreign folder": lambda f: beside(f, lambda path: (path.mkdir(), (path / "a").touch())),
    "foreign link": lambda f: beside(f, lambda path: path.symlink_to("nowhere")),
    "copy of a part": lambda f: shutil.copy(part(f), f / "rows" / "foreign"),
}
"""What is no part, called `foreign`."""
DAMAGE = {
    **PARTS,
    **FOREIGN,
    "part of noise": lambda f: part(f).write_bytes(NOISE),
    "empty part": lambda f: part(f).write_bytes(b""),
    "part with odd metadata": lambda f: with_odd_metadata(part(f)),
    "folder in a part's place": lambda f: a_folder_instead(part(f)),
    "record of noise": lambda f: (f / "run.json").write_bytes(NOISE),
    "record that is a list": lambda f: (f / "run.json").write_text("[]"),
    "folder in the record's place": lambda f: a_folder_instead(f / "run.json"),
    "configuration of noise": lambda f: (f / "config.yaml").write_bytes(NOISE),
    "folder in the configuration's place": lambda f: a_folder_instead(f / "config.yaml"),
    "file in the place of the rows": lambda f: a_file_instead(f / "rows"),
    "folder in the summary's place": lambda f: a_folder_instead(f / "summary.json"),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
def test_damage_is_named_set_aside_and_repaired(whole, tmp_path, damage, caplog):
    folder = tmp_path / whole.folder.name
    shutil.copytree(whole.folder, folder)
    damage(folder)
    with caplog.at_level(logging.WARNING):
        repaired = sweep(tmp_path)
    assert repaired.folder == folder
    pd.testing.assert_frame_equal(repaired.rows, whole.rows)
    assert repaired.record.state == "done"
    assert SavedRun(folder).summary.claims == whole.summary.claims
    aside = list(folder.rglob("*.damaged*"))
    assert len(aside) == 1
    assert aside[0].name.removesuffix(".damaged") in caplog.text


def test_a_damaged_summary_is_made_anew_from_the_rows(whole, tmp_path):
    folder = tmp_path / whole.folder.name
    shutil.copytree(whole.folder, folder)
    (folder / "summary.json").write_bytes(NOISE)
    assert sweep(tmp_path).summary.claims == whole.summary.claims


@pytest.mark.parametrize("name", ["run.json", "summary.json"])
def test_reading_a_damaged_file_names_it_and_the_way_out(whole, tmp_path, name):
    folder = tmp_path / "run"
    shutil.copytree(whole.folder, folder)
    (folder / name).write_bytes(NOISE)
    with pytest.raises(ValueError, match=rf"{name} is damaged .*; run the study again") as found:
        SavedRun(folder)
    assert len(str(found.value)) < 400


@pytest.mark.parametrize("damage", PARTS.values(), ids=PARTS.keys())
def test_reading_a_part_that_cannot_be_used_names_it(whole, tmp_path, damage):
    folder = tmp_path / "run"
    shutil.copytree(whole.folder, folder)
    damage(folder)
    with pytest.raises(
        ValueError, match=r"rows.part-000\d-of-0002\.parquet cannot be read .*again"
    ):
        read_rows(folder)


@pytest.mark.parametrize("damage", FOREIGN.values(), ids=FOREIGN.keys())
def test_reading_names_what_is_no_part_and_leaves_it_out(whole, tmp_path, damage, caplog):
    folder = tmp_path / "run"
    shutil.copytree(whole.folder, folder)
    damage(folder)
    with caplog.at_level(logging.WARNING):
        pd.testing.assert_frame_equal(read_rows(folder), whole.rows)
    assert "foreign is no part of this run and is not read; move it away" in caplog.text
