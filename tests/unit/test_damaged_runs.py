"""Whatever lies in a run folder, the same command names it, sets it aside and goes on."""

import json
import logging
import shutil

import pandas as pd
import pyarrow.parquet as pq
import pytest
from planted import PlantedModel, planted_data

from litelvlm.analysis.api import SavedRun, run_study

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


DAMAGE = {
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
