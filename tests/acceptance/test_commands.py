"""The commands as a user runs them, on the bundled miniature.

What they write, how they end, and what they refuse.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from litelvlm import load_refer
from litelvlm.analysis.api import read_record, read_rows
from tests.warm import Command, run_python

ROOT = Path(__file__).parents[2]


COARSE = """
import sys
from pytest import MonkeyPatch
from litelvlm.analysis.cli import main
from tests.figure_files import coarse
coarse(MonkeyPatch(), 20, "png", "svg")
sys.exit(main(sys.argv[1:]))
"""
"""The command with coarse figures, for a report of which only the text is read."""


def litelvlm(*arguments, begin=("-m", "litelvlm.analysis")):
    done = run_python([*begin, *arguments])
    assert "Traceback" not in done.stderr, done.stderr
    return done


def refusal(*arguments):
    """The message of a usage error."""
    done = litelvlm(*arguments)
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    return done.stderr


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    """A held-out picture that is not square, and an expression for it."""
    sample = next(s for s in load_refer("embedded", split="val") if s.height != s.width)
    path = tmp_path_factory.mktemp("scene") / "scene.png"
    sample.image().save(path)
    return path, sample


def test_segment_writes_mask_and_overlay_and_says_what_was_kept(scene, tmp_path):
    path, sample = scene
    text, out = sample.expressions[0].sent, tmp_path / "new" / "mask.png"
    done = litelvlm("segment", path, text, "--pruner", "litelvlm", "--budget", 48, "--out", out)
    assert done.returncode == 0, done.stderr
    mask = np.asarray(Image.open(out))
    overlay = np.asarray(Image.open(out.with_name("mask_overlay.png")))
    assert mask.shape == (sample.height, sample.width)
    assert set(np.unique(mask)) <= {0, 255}
    assert overlay.shape == (*mask.shape, 3)
    assert f'"{text}": {int((mask > 0).sum())} pixels' in done.stdout
    kept = (
        done.stdout.partition("kept 48 of 144 visual tokens (litelvlm): ")[2]
        .splitlines()[0]
        .split()
    )
    assert len(set(kept)) == 48
    assert "ms: preprocess" in done.stdout
    assert "miniature" in done.stdout
    assert sorted(p.name for p in out.parent.iterdir()) == ["mask.png", "mask_overlay.png"]


def test_segment_with_several_expressions_and_json(scene, tmp_path):
    path, sample = scene
    texts = [e.sent for e in sample.expressions[:2]]
    done = litelvlm(
        "segment", path, *texts, "--protocol", "conversation", "--json", "--out", tmp_path / "m.png"
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert [m["text"] for m in found["masks"]] == texts
    assert [Path(m["mask"]).name for m in found["masks"]] == ["m-1.png", "m-2.png"]
    assert all(m["kept"] == list(range(144)) for m in found["masks"])
    assert (tmp_path / "m-2_overlay.png").is_file()


def test_segment_compares_and_names_words_that_the_model_never_read(scene, tmp_path):
    path, sample = scene
    out = tmp_path / "m.png"
    few = ["--pruner", "litelvlm", "--budget", 48, "--out", out, "--compare"]
    done = litelvlm("segment", path, "the zygote", *few)
    assert done.returncode == 0, done.stderr
    assert 'never trained on "zygote"' in done.stdout
    assert "the hatched rim of the overlay is unseen" in done.stdout
    assert "agree with IoU " in done.stdout
    height, width, _ = np.asarray(Image.open(tmp_path / "m_compare.png")).shape
    assert width > 3 * sample.width
    assert height > sample.height
    asked = litelvlm("segment", path, sample.expressions[0].sent, *few, "--json")
    found = json.loads(asked.stdout)
    assert found["unknown_words"] == []
    assert 0 <= found["masks"][0]["agreement"] <= 1
    assert "never trained" not in litelvlm("segment", path, "the yellow giraffe", *few).stdout


def test_the_package_is_a_command_too():
    named = run_python(["-m", "litelvlm", "ls", "studies"])
    assert named.stdout == litelvlm("ls", "studies").stdout
    assert named.returncode == 0


def test_a_place_that_cannot_be_written_is_refused_before_the_work(scene, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("kept")
    for arguments in (
        ["segment", scene[0], "a circle", "--out", blocked / "mask.png"],
        ["study", "sink", "--limit", "1", "--out", blocked],
        ["report", tmp_path, "--out", blocked],
    ):
        assert "is a file" in refusal(*arguments)
    assert blocked.read_text() == "kept"


def test_check_names_what_is_missing_and_how_to_get_it(tmp_path):
    done = litelvlm("check", "--data", tmp_path)
    assert done.returncode == 1
    lines = {line[6:15].strip(): line for line in done.stdout.splitlines()}
    assert lines["model"].startswith("ok")
    assert "12 x 12 visual tokens" in lines["model"]
    assert lines["data"].startswith("FAIL")
    assert "no REFER data" in lines["data"]


SINK = ["study", "sink", "--set", "sink.chunk_size=4"]
"""A study whose finished parts hold four images each."""


def sink(out, limit):
    return litelvlm(*SINK, "--limit", limit, "--out", out)


def only_run(out):
    (folder,) = [path for path in out.iterdir() if path.is_dir()]
    return folder


def test_an_interrupted_study_keeps_its_parts_and_goes_on(tmp_path):
    whole = tmp_path / "whole"
    assert sink(whole, 24).returncode == 0
    out = tmp_path / "interrupted"
    asked = [sys.executable, "-m", "litelvlm.analysis", *SINK, "--limit", "24", "--out", str(out)]
    with (tmp_path / "errors").open("w") as errors:
        running = Command(asked, stderr=errors)
    deadline = time.monotonic() + 300
    while not list(out.glob("*/rows/part-*.parquet")) and running.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    os.kill(running.pid, signal.SIGINT)
    code, message = running.wait(timeout=300), (tmp_path / "errors").read_text()
    assert code == 130, message
    assert "finished parts are kept" in message
    assert "Traceback" not in message
    kept = {path: path.stat().st_mtime_ns for path in only_run(out).glob("rows/part-*.parquet")}
    assert 1 <= len(kept) < 6
    assert read_record(only_run(out)).state == "partial"
    assert sink(out, 24).returncode == 0
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    pd.testing.assert_frame_equal(read_rows(only_run(out)), read_rows(only_run(whole)))


def test_the_whole_study_ends_with_verdicts_and_a_report_and_resumes(tmp_path):
    studies = ["reversal", "sink", "sweep"]
    arguments = ["study", *studies, "--limit", "3", "--out", tmp_path / "runs"]
    first = litelvlm(*arguments, "--report", tmp_path / "report", begin=("-c", COARSE))
    assert first.returncode == 0, first.stderr
    told = first.stdout.splitlines()
    assert [line.split()[0] for line in told[1:4]] == studies
    # The claim and its number come from three images, and each line says that this decides nothing.
    assert all("3 images are fewer than the 20" in line for line in told[1:4])
    page = (tmp_path / "report" / "index.html").read_text()
    assert "(miniature)" in page
    assert "limited to the first 3 images" in page
    rows = {path: path.stat().st_mtime_ns for path in tmp_path.glob("runs/*/rows/*.parquet")}
    assert len(rows) == 3
    second = litelvlm(*arguments)
    assert second.returncode == 0
    assert second.stdout.splitlines()[:4] == told[:4]
    assert {path: path.stat().st_mtime_ns for path in rows} == rows
    figure = ["figure", "accuracy_ciou", "--from", next((tmp_path / "runs").glob("sweep-*"))]
    assert "not results" in refusal(*figure, "--out", tmp_path / "figures")
    assert litelvlm(*figure, "--partial", "--out", tmp_path / "figures").returncode == 0
    drawn = {path.name for path in (tmp_path / "figures").iterdir()}
    assert drawn == {f"accuracy_ciou.{kind}" for kind in ("png", "svg", "pdf")}
