"""Bad input on the command line gives a clear line and an exit code, or a conversion.

The command line runs in this process.
"""

import json
import logging
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from litelvlm.analysis.cli import main
from litelvlm.data.images import open_image
from litelvlm.data.safe.weight_files import read_checkpoint
from litelvlm.models.glamm import cues as glamm_cues
from tests.glamm_parts import EMBEDDED
from tests.hostile import MakesFolder

TEXT = "the red circle"


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "picture.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)).save(
        path
    )
    return path


@pytest.fixture
def run(capsys, tmp_path):
    def call(*arguments):
        code = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        return code, captured.out, captured.err

    return call


def segment(run, path, *arguments):
    return run("segment", path, *arguments, "--out", path.parent / "mask.png", "--device", "cpu")


def assert_refused(result, *parts):
    code, out, err = result
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert all(part in err for part in parts), err


def test_missing_empty_and_truncated_pictures(run, picture):
    assert_refused(segment(run, picture.parent / "no.png", TEXT), "no such picture", "no.png")
    cut = picture.parent / "cut.jpg"
    open_image(picture).save(cut)
    cut.write_bytes(cut.read_bytes()[:600])
    assert_refused(segment(run, cut, TEXT), "cut.jpg", "truncated")
    empty = picture.parent / "empty.png"
    empty.write_bytes(b"")
    assert_refused(segment(run, empty, TEXT), "empty.png", "empty")
    assert_refused(segment(run, picture.parent, TEXT), "must be a folder of its own")
    assert not (picture.parent / "mask.png").exists()


def test_empty_and_controlling_expressions(run, picture):
    assert_refused(segment(run, picture, "   "), "expression is empty")
    assert_refused(segment(run, picture, TEXT, ""), "expression is empty")
    assert_refused(segment(run, picture, "the <image> cat"), "control token")
    assert_refused(segment(run, picture, TEXT, "--model", "embeded"), "did you mean 'embedded'")
    pruned = ("--pruner", "litelvlm", "--budget")
    assert_refused(segment(run, picture, TEXT, *pruned, 145), "budget 145", "144")


def test_a_long_expression_is_cut_and_that_is_said_once(run, picture, caplog):
    glamm_cues._warn_of_cut.cache_clear()
    long = " ".join(["a"] * 90 + ["red"])
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            code, _, err = segment(run, picture, long, TEXT, "--pruner", "litelvlm", "--budget", 12)
            assert code == 0, err
    said = [record.message for record in caplog.records if "cut" in record.message]
    assert said == [
        "a text is longer than the 77 tokens that CLIP reads and is cut there (logged once)"
    ]


def checked(run, *arguments):
    """Exit code and the line about the data."""
    code, out, _ = run("check", "--device", "cpu", *arguments)
    return code, next(line for line in out.splitlines() if line[6:].startswith("data"))


def test_a_truncated_shard_and_weights_that_would_run_code(run, picture, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(EMBEDDED["embedded"], folder)
    tensors = dict(read_checkpoint(folder))
    (folder / "model.safetensors").unlink()
    names = sorted(tensors)
    parts = {
        "pytorch_model-00001-of-00002.bin": names[:50],
        "pytorch_model-00002-of-00002.bin": names[50:],
    }
    for file, members in parts.items():
        torch.save({name: tensors[name].clone() for name in members}, folder / file)
    index = {"weight_map": {name: file for file, members in parts.items() for name in members}}
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    code, _, err = segment(run, picture, TEXT, "--model", folder)
    assert code == 0, err
    second = folder / "pytorch_model-00002-of-00002.bin"
    whole = second.read_bytes()
    second.write_bytes(whole[: len(whole) // 2])
    assert_refused(segment(run, picture, TEXT, "--model", folder), second.name, "truncated")
    trap = tmp_path / "executed"
    torch.save({"x": MakesFolder(trap)}, second)
    assert_refused(segment(run, picture, TEXT, "--model", folder), second.name, "could run code")
    second.unlink()
    assert_refused(
        segment(run, picture, TEXT, "--model", folder), "files that are not there", second.name
    )
    assert not trap.exists()


def test_an_answer_without_seg_is_said_and_fails(run, picture):
    code, out, _ = segment(run, picture, TEXT, "--answer", "generated", "--random-init", "--json")
    found = json.loads(out)
    assert code == 1
    assert found["random_weights"] is True
    assert found["model"] == "embedded (random weights)"
    assert [mask["found"] for mask in found["masks"]] == [False]
    assert not np.asarray(open_image(picture.parent / "mask.png")).any()
    code, out, _ = segment(run, picture, TEXT, "--answer", "generated", "--random-init")
    assert "no mask: the answer was" in out
    assert "masks mean nothing" in out


def test_conversion_through_the_command_line(run, tmp_path):
    code, out, err = run("convert", EMBEDDED["embedded"], tmp_path / "safe")
    assert code == 0, err
    assert "1 weight file written" in out
    assert_refused(
        run("convert", EMBEDDED["embedded"], tmp_path / "safe"), "exists and is not overwritten"
    )
    assert_refused(run("convert", tmp_path / "nothing", tmp_path / "other"), "no such folder")
    code, out, _ = run("check", "--model", tmp_path / "safe", "--device", "cpu")
    assert code == 0, out
    (tmp_path / "safe" / "tokenizer.model").unlink()
    code, out, _ = run("check", "--model", tmp_path / "safe", "--device", "cpu")
    assert code == 1
    assert "FAIL  tokenizer" in out
    assert "ok    weights" in out


def test_the_name_of_sizes_alone_is_explained(run):
    code, out, _ = run("check", "--model", "glamm-7b", "--device", "cpu")
    assert code == 1
    assert "FAIL  model      'glamm-7b' names sizes only; give random_init=True" in out


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a" * 100_000, "has 100,000 signs; at most 300"),
        (" \n", "expression is empty"),
        ("red " * 10_000, "has 40,000 signs; at most 300"),
        ("the \udcff red", "no UTF-8"),
        (b"the red circle", "is a int, expected text"),
        ([None], "is a NoneType, expected text"),
        (["the red circle", "b" * 301], "has 301 signs"),
        ([], "has no expression"),
    ],
    ids=["letters", "blank", "words", "half", "binary", "None", "second", "none"],
)
def test_an_expression_that_nobody_types_is_refused(model, sample, text, told):
    with pytest.raises(ValueError, match=told):
        model.segment(sample.image(), text)
