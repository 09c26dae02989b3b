"""Every command of the pages that loads a model or reads a run ends well, line after line.

The lines of a page run in one folder, in the order of the page, so that a line finds what the line
before it wrote. What a reader supplies (a checkpoint, a data set, a picture) lies there under the
name that the page gives it. Rules in ``tests/docs_commands.py`` make the work small; beyond these,
the embedded worlds have 12 images in each split, and figures are coarse and not written as PDF. On
the README they are drawn. On other pages what they show is drawn and an empty file is written.
Pages share their run folders: a line that asks for the same run as a page before finds its parts.

A line that downloads must be refused in one line without a network. A line with workers finds all
parts computed and starts no worker. ``ELSEWHERE`` names the tests that let both do their work.
"""

import ast
import fnmatch
import functools
import json
import os
import pickle
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image
from safetensors.torch import load_file

import litelvlm
from litelvlm.analysis.cli import main
from litelvlm.analysis.studies.emergence import scenes
from litelvlm.data import load
from litelvlm.data.cache import cache_folder
from litelvlm.data.embedded import EMBEDDED as WORLDS
from litelvlm.data.refer_writer import write_refer
from litelvlm.embedded.family.factors import Factors, Member
from litelvlm.embedded.family.training import train_member
from litelvlm.figures import files, style
from litelvlm.models.glamm.checkpoints.source import EMBEDDED
from litelvlm.models.vlm.tiny.folder import write_tiny
from tests.docs_commands import (
    LIGHT,
    PAGES,
    ROOT,
    blocks,
    commands_of,
    in_one_process,
    reduced,
    words_of,
)

SMALL_WORLDS = {
    name: replace(world, seeds={split: seeds[:12] for split, seeds in world.seeds.items()})
    for name, world in WORLDS.items()
}
ELSEWHERE = {
    "--engine": (
        "tests/integration/test_ray_workers.py",
        "test_a_worker_killed_on_the_way_loses_and_duplicates_nothing",
    ),
    "--workers": (
        "tests/integration/test_process_workers.py",
        "test_studies_with_workers_have_the_rows_of_one_process",
    ),
    "refseg": (
        "tests/integration/test_reproduce.py",
        "test_killed_three_times_on_the_way_it_gives_the_same_rows",
    ),
}
"""A word of lines that need a cluster or the hub, and the test that gives them one here."""
BEFORE = {"own-hypotheses": [["study", "reversal", "--limit", "12", "--set", "reversal.pool=12"]]}
"""What a page takes as done: its example needs images with small and with large objects."""
TRAINED = Factors(
    image="grid", width=16, text_depth=2, image_depth=2, categories=8, steps=2, batch=8
)


@pytest.fixture(scope="module")
def supplied(tmp_path_factory):
    """What a reader supplies, by the name that a page gives it."""
    root = tmp_path_factory.mktemp("supplied")
    world = WORLDS["embedded"]
    few = {split: [world.sample(split, seeds[i], world.level) for i in range(2)]
           for split, seeds in world.seeds.items() if split in ("val", "testA")}  # fmt: skip
    write_refer(root / "refer", few, world.categories)
    data = root / "refer" / "Refer_Segm"
    grouped(data)
    published = shutil.copytree(EMBEDDED["embedded"], root / "published")
    torch.save(load_file(published / "model.safetensors"), published / "pytorch_model.bin")
    (published / "model.safetensors").unlink()
    write_tiny("llava", root / "llava", EMBEDDED["embedded"] / "clip")
    write_tiny("qwen2_5_vl", root / "qwen")
    train_member(Member("C", "base", TRAINED, 0), root / "family", root / "family" / "scenes")
    picture = data / "coco_2014" / "train2014"
    shutil.copy(next(picture.iterdir()), root / "photo")
    questions(root / "gqa", root / "photo")
    (root / "mine.yaml").write_text(
        next(
            "\n".join(block)
            for block in blocks(ROOT / "docs" / "own-hypotheses.md")
            if block[0].startswith("family:")
        )
    )
    model = EMBEDDED["embedded"]
    return {
        "path/to/GLaMM": model,
        "shared/GLaMM": model,
        "MODEL": model,
        "FOLDER/checkpoint": model,
        "GLaMM-RefSeg": published,
        "path/to/Refer_Segm": data,
        "shared/Refer_Segm": data,
        "DATA": data,
        "data": data,
        "tiny/llava": root / "llava",
        "tiny/qwen": root / "qwen",
        "FAMILY": root / "family",
        "GQA_FOLDER": root / "gqa",
        "photo.jpg": root / "photo",
        "photo.png": root / "photo",
        "mine.yaml": root / "mine.yaml",
        "benchmarks": ROOT / "benchmarks",
    }


def grouped(data):
    """Write the references as gRefCOCO has them: lists of objects, one of them with no target."""
    refs = pickle.loads((data / "refcoco" / "refs(unc).p").read_bytes())  # noqa: S301
    many = [ref | {"ann_id": [ref["ann_id"]], "category_id": [ref["category_id"]]} for ref in refs]
    last = max(ref["ref_id"] for ref in many) + 1
    sentence = {"sent_id": 10**6, "sent": "the missing thing", "raw": "the missing thing"}
    none = many[0] | {"ref_id": last, "ann_id": [-1], "category_id": [-1], "no_target": True}
    (data / "grefcoco").mkdir()
    shutil.copy(data / "refcoco" / "instances.json", data / "grefcoco")
    (data / "grefcoco" / "grefs(unc).json").write_text(
        json.dumps([*many, none | {"sentences": [sentence], "sent_ids": [10**6]}])
    )


def questions(folder, picture):
    """Two questions of GQA about one picture."""
    (folder / "images").mkdir(parents=True)
    Image.open(picture).save(folder / "images" / "n1.jpg")
    asked = {"question": "Is there a giraffe?", "imageId": "n1", "answer": "yes",
             "types": {"structural": "verify"}}  # fmt: skip
    (folder / "testdev_balanced_questions.json").write_text(json.dumps({"7": asked, "8": asked}))


@pytest.fixture(scope="module")
def computed(tmp_path_factory):
    """The run folders of all pages."""
    return tmp_path_factory.mktemp("runs")


@pytest.fixture
def place(supplied, computed, tmp_path, monkeypatch):
    """A working folder that holds what a reader supplies."""
    (tmp_path / "runs").symlink_to(computed)
    for name, source in supplied.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).symlink_to(source)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(scenes, "SCENES", 24)
    monkeypatch.setattr(load, "EMBEDDED", SMALL_WORLDS)
    monkeypatch.setattr(files, "KINDS", ("png", "svg"))
    monkeypatch.setitem(style._SETTINGS, "savefig.dpi", 40)
    return tmp_path


@pytest.fixture(scope="module")
def empty_file():
    """A figure that shows nothing, in each format."""
    return style.encode(Figure(figsize=(1, 1)), "png", "svg")


@pytest.fixture(autouse=True)
def loaded_once(monkeypatch, loaded):
    """A model or data set that a line before has loaded is taken again."""
    for name, remembered in loaded.items():
        monkeypatch.setattr(litelvlm, name, remembered)


@pytest.fixture(scope="module")
def loaded():
    """The functions that load, each of which remembers what it gave."""
    found = {}

    def remembering(name, function):
        @functools.wraps(function)
        def remembered(*given, **options):
            place = Path(str(given[0]).removeprefix("vlm:"))
            key = name, str(place.resolve() if place.exists() else place), repr((given, options))
            if key not in found:
                found[key] = function(*given, **options)
            return found[key]

        return remembered

    names = ("load_model", "load_refer", "load_vlm")
    return {name: remembering(name, getattr(litelvlm, name)) for name in names}


def runs_of(word, named):
    """The run folder that a line names, or all of them, of those that the page has named so far."""
    if not word.startswith("runs/"):
        return [word]
    found = fnmatch.filter(named, re.sub(r"-0123abcd$", "-*", word))
    assert found, f"no line before this one made {word}"
    return dict.fromkeys(found) if word.endswith("*") else found[-1:]


def run(words, named, capsys):
    """Run one command, and add the run folders that it prints to those of its page."""
    words = [found for word in words for found in runs_of(word, named)]
    if "--workers" in words:  # all parts are there, so that no worker is started
        assert main(in_one_process(words)) == 0
    code, said = main(words), capsys.readouterr()
    named += filter(os.path.isdir, re.findall(r"\bruns/[\w-]+", said.out))
    assert "Traceback" not in said.err
    if words[:2] == ["reproduce", "refseg"] and "--model" not in words:
        assert code == 1
        *status, reason = said.err.splitlines()
        assert status == ["measuring the speed of the device"] * ("--plan" in words)
        assert reason.startswith("litelvlm: Cannot reach https://huggingface.co/")
        assert reason.endswith("please unset the `HF_HUB_OFFLINE` environment variable.")
        return
    assert code == 0, (words, said.err, *traces())
    assert said.out


def traces():
    """What the suite kept of unexpected errors."""
    return [path.read_text() for path in (cache_folder() / "errors").glob("*.log")]


HEAVY = {
    page.stem: lines
    for page in PAGES
    if (lines := [line for line in commands_of(page) if words_of(line)[0] not in LIGHT])
}


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize("page", HEAVY)
def test_the_commands_of_a_page_run_in_its_order(page, capsys, monkeypatch, empty_file):
    if page != "README":
        monkeypatch.setattr(style, "encode", lambda figure, *kinds: empty_file)
    named = []
    for words in (*BEFORE.get(page, ()), *map(reduced, HEAVY[page])):
        run(words, named, capsys)


def test_tests_that_run_what_cannot_run_here_are_there():
    lines = [word for lines in HEAVY.values() for line in lines for word in words_of(line)]
    for word, (file, name) in ELSEWHERE.items():
        assert word in lines
        tree = ast.parse((ROOT / file).read_text())
        assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
