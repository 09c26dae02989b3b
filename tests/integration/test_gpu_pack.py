"""A pack has all that its parts read, and results come back in one archive."""

import io
import json
import os
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from benchmarks import common, sources
from benchmarks.gpu import collect, pack
from benchmarks.gpu.collect import main as collect_of
from benchmarks.gpu.family import TINY
from benchmarks.gpu.pack import main as pack_of
from benchmarks.gpu.parts import PARTS, SCENES, SIZES, WEIGHTS
from litelvlm.training.trainings.design import members
from tests.warm import Command

ROOT = Path(__file__).parents[2]
SPY = """
import atexit, os, sys
opened = set()
def seen(event, arguments):
    if event == "open" and isinstance(arguments[0], str):
        opened.add(os.path.realpath(arguments[0]))
sys.addaudithook(seen)
def told():
    with open({log!r}, "a", encoding="utf-8") as file:
        file.writelines(path + "\\n" for path in sorted(opened))
atexit.register(told)
"""
"""Python imports this at its start where it lies on the path; it writes down every opened file."""


def packed(monkeypatch, out, *words):
    monkeypatch.setattr(sys, "argv", ["pack", str(out), *words])
    assert pack_of() == 0
    return out


def test_a_part_runs_in_its_pack_and_reads_nothing_of_the_checkout(tmp_path, monkeypatch, capsys):
    archive = packed(monkeypatch, tmp_path / "pack.tar.gz", "--parts", "parity")
    assert archive.stat().st_size < 5e6
    home, log = tmp_path / "elsewhere", tmp_path / "opened.txt"
    with tarfile.open(archive) as file:
        file.extractall(home, filter="tar")
    listed = json.loads((home / "PACK.json").read_text())
    assert listed["parts"] == ["parity"]
    assert sum(entry["bytes"] for entry in listed["files"].values()) < 8e6
    there = {path.relative_to(home).as_posix() for path in home.rglob("*") if path.is_file()}
    assert there == {*listed["files"], "PACK.json"}
    assert not any(name.endswith((".ipynb", ".md")) or "/weights/" in name for name in there)
    (home / "sitecustomize.py").write_text(SPY.format(log=str(log)))
    # The environment of the test is not passed on, except what finds the interpreter's libraries.
    ours = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    words = [sys.executable, "-m", "benchmarks.gpu", "--tiny", "--out", str(tmp_path / "out")]
    ran = subprocess.run(
        words, cwd=home, env=ours | {"PYTHONPATH": str(home)}, capture_output=True, text=True
    )
    record = json.loads((tmp_path / "out" / "parity" / "part.json").read_text())
    assert ran.returncode == 0, ran.stdout + ran.stderr + record["tail"]
    assert (record["state"], record["commit"]) == ("done", sources.code_state()["commit"])
    opened = {Path(line) for line in log.read_text().splitlines()}
    installed = [Path(prefix).resolve() for prefix in (sys.prefix, sys.base_prefix)]
    of_checkout = {
        path
        for path in opened
        if path.is_relative_to(ROOT) and not any(path.is_relative_to(one) for one in installed)
    }
    assert of_checkout == set()
    of_pack = {path.relative_to(home).as_posix() for path in opened if path.is_relative_to(home)}
    assert {
        "PACK.json",
        "tests/parity/pruner.py",
        "tests/fixtures/parity/glamm/index.json",
    } <= of_pack
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert list(summary["parts"]) == ["parity"]


LOADS = """
from unittest import mock
from litelvlm import load_model, load_refer
from litelvlm.models.glamm import build
from litelvlm.models.glamm.checkpoints.config import read_config
from transformers import CLIPConfig
folder = build.EMBEDDED["embedded"]
small = mock.patch.multiple(
    build,
    full_config=lambda: read_config(folder),
    full_clip_config=lambda: CLIPConfig.from_pretrained(folder / "clip"),
)
with small:
    model = load_model("glamm-7b", random_init=True, device="cpu")
assert build.__file__.startswith({home!r}), build.__file__
print(model.name, model.segment(load_refer("embedded", split="val")[0].image(), "a dog").mask.shape)
"""


def test_random_weights_of_the_full_size_need_sizes_and_no_weights(holding, tmp_path):
    """The sizes themselves are those of the miniature here, so that it runs on any machine."""
    home = holding(SIZES, SCENES)
    assert not list(home.rglob("*.safetensors"))
    log = tmp_path / "log.txt"
    with log.open("w") as stream:
        words = [sys.executable, "-c", LOADS.format(home=str(home))]
        env = os.environ | {"PYTHONPATH": str(home)}
        code = Command(words, cwd=home, env=env, stdout=stream, stderr=stream).wait(300)
    assert code == 0, log.read_text()
    assert log.read_text().splitlines()[-1].startswith("glamm-7b (random weights)")


def test_which_parts_need_weights():
    """A command with random weights needs none, one on the miniature does."""
    for part in PARTS:
        full = "--random-init" in part.command or "full_size" in part.command
        assert (SIZES in part.reads) == (full or WEIGHTS in part.reads), part.name
        assert not (full and WEIGHTS in part.reads), part.name
        assert {*part.reads, *part.tiny_reads} <= {*pack.KINDS}, part.name
    assert {part.name for part in PARTS if WEIGHTS in part.reads} == {
        "checks",
        "graph-masks",
        "sweep",
    }


def test_the_tiny_training_is_on_what_the_real_ones_are_on():
    assert {member.factors.image for member in members(["D"], None)} == {TINY.factors.image}


def test_a_pack_says_what_it_was_made_of(tmp_path, monkeypatch, capsys):
    folder = packed(monkeypatch, tmp_path / "pack", "--parts", "selectors", "family")
    assert "scenes" in capsys.readouterr().out
    listed = json.loads((folder / "PACK.json").read_text())
    here = sources.code_state()
    assert (listed["commit"], listed["clean"]) == (here["commit"], here["clean"])
    # In the pack the programme offers its parts alone, and results name the commit.
    monkeypatch.setattr(sources, "ROOT", folder)
    monkeypatch.setattr(sources, "PACK", folder / "PACK.json")
    assert sources.packed_parts() == ["selectors", "family"]
    listed["clean"] = True
    (folder / "PACK.json").write_text(json.dumps(listed))
    assert sources.code_state() == {"commit": here["commit"], "clean": True}
    with (folder / "litelvlm" / "names.py").open("a") as file:
        file.write("# changed\n")
    assert sources.code_state() == {"commit": here["commit"], "clean": False}
    # A plain copy without git or a list names its sources.
    (folder / "PACK.json").unlink()
    state = sources.code_state()
    assert state == {"commit": f"sources {sources.sources_digest()}", "clean": None}
    (folder / "litelvlm" / "names.py").write_text("")
    assert sources.code_state()["commit"] != state["commit"]


def test_packs_have_the_sizes_that_the_page_says(tmp_path, monkeypatch, capsys):
    text = (ROOT / "benchmarks" / "README.md").read_text()
    rows = re.findall(r"^\| \d: [^|]+\| `([^`]+)` \| (\d+) MB \|$", text, flags=re.MULTILINE)
    for number, (names, size) in enumerate(rows[:2]):
        archive = packed(monkeypatch, tmp_path / f"{number}.tar.gz", "--parts", *names.split())
        assert int(size) - 1 < archive.stat().st_size / 1e6 <= int(size)


def test_a_pack_does_not_mix_with_other_files(tmp_path, monkeypatch, capsys):
    (tmp_path / "note.txt").touch()
    with pytest.raises(SystemExit, match="2"):
        packed(monkeypatch, tmp_path, "--parts", "selectors")
    assert "is not empty; name another folder" in capsys.readouterr().err
    monkeypatch.setattr(pack, "ROOT", tmp_path)
    with pytest.raises(SystemExit, match="2"):
        packed(monkeypatch, tmp_path / "new", "--parts", "selectors")
    assert "a pack is made in a git checkout" in capsys.readouterr().err


def test_a_benchmark_stores_the_commit_and_whether_files_differ(tmp_path, monkeypatch):
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b.example", "-C", str(tmp_path)]
    for name in ("benchmarks/results/old.json", "litelvlm/a.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("1\n")
    for words in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "First"]):
        subprocess.run([*git, *words], check=True)
    said = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True)
    monkeypatch.setattr(sources, "ROOT", tmp_path)
    monkeypatch.setattr(sources, "PACK", tmp_path / "PACK.json")
    monkeypatch.setattr(common, "RESULTS", tmp_path / "benchmarks" / "results")

    def stored():
        common.store("new", {"found": 1})
        return json.loads((tmp_path / "benchmarks" / "results" / "new.json").read_text())

    assert stored()["commit"] == said.stdout.strip()
    assert stored()["clean"] is True  # results of benchmarks do not count
    (tmp_path / "litelvlm" / "a.py").write_text("2\n")
    assert (stored()["commit"], stored()["clean"]) == (said.stdout.strip(), False)
    # A plain copy inside another repository does not take that one's commit.
    monkeypatch.setattr(sources, "ROOT", tmp_path / "litelvlm")
    assert stored()["commit"].startswith("sources ")


@pytest.fixture
def results(tmp_path):
    """A finished part, one that is not, a training with its scenes, and a summary."""
    out = tmp_path / "gpu"
    files = {
        "parity/part.json": json.dumps({"state": "done"}),
        "parity/parity.json": "{}",
        "sweep/sweep.kept.jsonl": "1\n",
        "family/part.json": json.dumps({"state": "stopped"}),
        "family/family/one/step-000001.safetensors": "weights",
        "family/family/scenes/pixels.npy": "large",
        "summary.json": json.dumps({"date": "2026-11-24", "parts": {"parity": 1, "family": 2}}),
    }
    for name, text in files.items():
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_text(text)
    return out


def run_collect(monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", ["collect", *map(str, words)])
    return collect_of()


def test_results_come_back_in_one_archive(results, tmp_path, monkeypatch):
    archive, here = tmp_path / "results.tar.gz", tmp_path / "here"
    assert run_collect(monkeypatch, archive, "--out", results) == 0
    (here / "checks").mkdir(parents=True)
    (here / "checks" / "part.json").write_text("{}")
    (here / "parity").mkdir()
    (here / "parity" / "part.json").write_text("older")
    summary = {"date": "2026-11-23", "parts": {"checks": 3, "parity": 0}}
    (here / "summary.json").write_text(json.dumps(summary))
    assert run_collect(monkeypatch, archive, "--unpack", "--out", here) == 0
    for path in (path for path in results.rglob("*") if path.is_file()):
        name = path.relative_to(results)
        if "scenes" in name.parts:
            assert not (here / name).exists()
        elif name.name != "summary.json":
            assert (here / name).read_bytes() == path.read_bytes()
    found = json.loads((here / "summary.json").read_text())
    assert found == {"date": "2026-11-24", "parts": {"checks": 3, "parity": 1, "family": 2}}
    assert (here / "checks" / "part.json").read_text() == "{}"


def entry(name, **values):
    made = tarfile.TarInfo(name)
    for key, value in values.items():
        setattr(made, key, value)
    return made


def sparse(name, size):
    """An entry that states a size of which the archive holds nothing."""
    made = entry(name)
    made.pax_headers = {
        "GNU.sparse.size": str(size),
        "GNU.sparse.numblocks": "0",
        "GNU.sparse.map": "0,0",
    }
    return made


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (entry("parity/link", type=tarfile.SYMTYPE, linkname="/etc/passwd"), "not a plain file"),
        (entry("parity/hard", type=tarfile.LNKTYPE, linkname="part.json"), "not a plain file"),
        (entry("parity/pipe", type=tarfile.FIFOTYPE), "not a plain file"),
        (entry("/etc/cron.d/x"), "leads out"),
        (entry("parity/../../x"), "leads out"),
        (entry("..\\x"), "leads out"),
        (entry("parity/part.json"), "two files have one name"),
        (entry("parity"), "two files have one name"),
        (sparse("parity/hole.bin", 1 << 40), "is not a plain file"),
    ],
)
def test_an_archive_that_leads_out_is_refused_whole(bad, why, tmp_path, monkeypatch, capsys):
    archive = tmp_path / "bad.tar.gz"
    with tarfile.open(archive, "w:gz") as file:
        file.addfile(entry("parity/part.json", size=2), io.BytesIO(b"{}"))
        file.addfile(bad)
    with pytest.raises(SystemExit, match="2"):
        run_collect(monkeypatch, archive, "--unpack", "--out", tmp_path / "here")
    said = capsys.readouterr().err
    assert why in said
    assert "nothing was unpacked" in said
    assert not (tmp_path / "here").exists()


def test_an_archive_that_is_too_large_or_cut_off_is_refused(results, tmp_path, monkeypatch, capsys):
    archive, here = tmp_path / "results.tar.gz", tmp_path / "here"
    assert run_collect(monkeypatch, archive, "--out", results) == 0
    monkeypatch.setattr(collect, "MOST", 10)
    with pytest.raises(ValueError, match="more than 10 bytes; nothing was unpacked"):
        collect.unpack(archive, here)
    monkeypatch.undo()
    (tmp_path / "cut.tar.gz").write_bytes(archive.read_bytes()[:-40])
    with pytest.raises(ValueError, match=r"not a whole \.tar\.gz"):
        collect.unpack(tmp_path / "cut.tar.gz", here)
    with tarfile.open(tmp_path / "other.tar.gz", "w:gz") as file:
        file.addfile(entry("notes.txt"))
    with pytest.raises(ValueError, match="has no part of the programme"):
        collect.unpack(tmp_path / "other.tar.gz", here)
    assert not here.exists()
    with pytest.raises(SystemExit, match="2"):
        run_collect(monkeypatch, tmp_path / "x.tar.gz", "--out", here)
    assert "has no part of the programme" in capsys.readouterr().err
