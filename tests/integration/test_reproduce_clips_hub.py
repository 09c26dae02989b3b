"""Tables of clips from an empty folder to the comparison, against a hub on loopback."""

import json
import shutil
import sys
import zipfile

import pytest
import torch
from loopback_hub import (
    CLIP,
    COARSE_FIGURES,
    FRESH_CLIENT,
    client_environment,
    serving,
)
from safetensors.torch import load_file

from litelvlm.analysis.api import read_rows
from tests.tiny_unipixel import write_tiny
from tests.unit import clip_tree
from tests.video_glamm_parts import write_folder
from tests.warm import Command

VIDEO, UNIPIXEL = "models/MBZUAI/VideoGLaMM", "models/PolyU-ChenLab/UniPixel-3B"
DATA = "datasets/OMG-Research/video-res"
START = f"""{FRESH_CLIENT}{COARSE_FIGURES}
from litelvlm.analysis.cli import main
sys.exit(main())
"""
SHORT = ["--splits", "ref-davis17/valid", "--draws", "1", "--images", "1"]
SHORT += ["--device", "cpu", "--yes", "--json"]
ASKED = {
    # Squares of its 6 x 6 tokens: a quarter and a ninth.
    "video": ["--methods", "litelvlm", "--tokens", "144", "64"],
    "unipixel": ["--methods", "input_similarity", "--tokens", "64"],
}
FETCHED = {"video": {VIDEO, CLIP, DATA}, "unipixel": {UNIPIXEL, DATA}}


def archived(tree, path):
    """A folder as the mirror packs it: everything below one folder of the data set's name."""
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(tree.rglob("*")):
            archive.write(file, f"davis17/{file.relative_to(tree)}")


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    root = tmp_path_factory.mktemp("hub")
    for name in (VIDEO, CLIP, UNIPIXEL, DATA):
        (root / name).mkdir(parents=True)
    whole = write_folder(tmp_path_factory.mktemp("videoglamm"))
    for path in whole.iterdir():
        if path.is_file() and path.suffix != ".safetensors":
            shutil.copyfile(path, root / VIDEO / path.name)
    torch.save(load_file(whole / "model.safetensors"), root / VIDEO / "pytorch_model.bin")
    for path in (whole / "clip").iterdir():
        shutil.copyfile(path, root / CLIP / path.name)
    write_tiny(root / UNIPIXEL)
    tree = clip_tree.davis(tmp_path_factory.mktemp("tree"))
    archived(tree, root / DATA / "davis17.zip")
    with serving(root) as served:
        yield served


def command(hub, folder, table, *more):
    words = [sys.executable, "-c", START, "reproduce", table, *ASKED[table], *more, "--out", "out"]
    with (folder / "printed").open("w") as printed, (folder / "errors").open("w") as errors:
        process = Command(words, folder, client_environment(hub, folder), printed, errors)
    code = process.wait(timeout=300)
    return code, (folder / "printed").read_text(), (folder / "errors").read_text()


@pytest.fixture(scope="module", params=ASKED)
def finished(request, hub, tmp_path_factory):
    """A table that was fetched and run: its name, its folder, what was asked, what it says."""
    table, folder = request.param, tmp_path_factory.mktemp(request.param)
    hub.asked.clear()
    code, printed, errors = command(hub, folder, table, *SHORT)
    assert code == 0, errors
    asked = {"/".join(name.split("/")[:3]) for name, _ in hub.asked}
    return table, folder, asked, json.loads(printed), errors


@pytest.mark.timeout(600)
def test_a_table_of_clips_is_fetched_unpacked_run_and_compared(finished):
    table, folder, asked, found, errors = finished
    assert asked == FETCHED[table]
    assert "unpacking davis17.zip of OMG-Research/video-res" in errors
    lines = {(one["quantity"], one["method"], one["tokens"]): one for one in found["lines"]}
    quantity = {"video": "J&F, objects matched", "unipixel": "J&F"}[table]
    whole = lines[quantity, "none", 576]
    assert whole["published"] == {"video": 69.5, "unipixel": 74.2}[table]
    assert whole["verdict"] == "not comparable"
    rows = read_rows(folder / found["runs"]["ref-davis17/valid"])
    unpruned, notes = rows[rows["method"] == "none"], " ".join(found["notes"])
    assert lines["J&F", "none", 576]["measured"] == pytest.approx(100 * unpruned["jf"].mean())
    assert "1 of 2 clips, evenly spaced" in notes
    assert "(a part: at most 1 clips of a split)" in found["title"]
    # The weights of the second table are random: no answer of its own holds <|seg|>.
    quiet, n = int((~unpruned["seg_found"]).sum()), len(unpruned)
    assert quiet == {"video": 0, "unipixel": n}[table]
    assert (f"none at {whole['budget']} {n} of {n}" in notes) is (quiet > 0)
    assert (folder / "out/report/reproduction.html").is_file()
    if table == "video":
        assert whole["budget"] == 16 * 36
        assert lines["J&F", "litelvlm", 64]["budget"] == 16 * 4
        assert {("J", "random", 144), ("F", "litelvlm", 144)} <= lines.keys()


@pytest.mark.timeout(600)
def test_the_same_command_goes_on_with_what_is_there(hub, finished):
    table, folder, _, found, _ = finished
    hub.asked.clear()
    code, again, errors = command(hub, folder, table, *SHORT)
    assert (code, json.loads(again)["lines"]) == (0, found["lines"])
    assert not hub.asked
    assert "unpacking" not in errors


def test_the_plan_names_the_archive_and_a_missing_one_is_refused(hub, tmp_path):
    code, printed, _ = command(hub, tmp_path, "video", "--plan")
    assert code == 0
    assert "OMG-Research/video-res at " in printed
    assert "MBZUAI/VideoGLaMM at " in printed
    assert not (tmp_path / "out" / "data").exists()
    code, _, errors = command(hub, tmp_path, "unipixel", "--plan")
    assert code == 2
    assert "OMG-Research/video-res has no revos.zip of valid; leave these splits out" in errors


def test_a_hostile_archive_stops_the_command_and_leaves_no_data(hub, tmp_path):
    archive = hub.root / DATA / "davis17.zip"
    kept = archive.read_bytes()
    try:
        with zipfile.ZipFile(archive, "a") as more:
            more.writestr("../../outside.txt", "x")
        code, _, errors = command(hub, tmp_path, "unipixel", *SHORT)
    finally:
        archive.write_bytes(kept)
    assert code == 2
    assert "which lies outside the folder; it was not unpacked" in errors
    assert not list(tmp_path.rglob("outside.txt"))
    assert not (tmp_path / "out" / "data" / "ref-davis17").exists()
