"""`litelvlm segment` of a clip: masks of every frame, in parts that are kept."""

import json
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from litelvlm.analysis.cli import main
from litelvlm.analysis.cli.actions import segment_clip
from litelvlm.pruning.outside.plugins import method_at
from tests.integration.test_planted_clip_model import PATCH, ClipModel, clips

TEXTS = ("ball", "cube")
OWN = """
from dataclasses import dataclass
from typing import ClassVar
from litelvlm.pruning import ScorePruner

@dataclass(frozen=True, kw_only=True)
class Mine(ScorePruner):
    name: ClassVar[str] = "mine"
    title: ClassVar[str] = "mine"
    summary: ClassVar[str] = "cosine"
    needs: ClassVar[frozenset[str]] = frozenset({"input_similarity"})
    text_guided: ClassVar[bool] = True

    def score(self, cues):
        return cues.float32("input_similarity")
"""


class CountingModel(ClipModel):
    """Notes how many frames each call reads; may fail, or find nothing, at some of them."""

    def __init__(self, fails_at=None, silent=False):
        self.calls, self.fails_at, self.silent = [], fails_at, silent

    def encode_clip(self, frames):
        if self.fails_at == len(self.calls):
            raise KeyboardInterrupt
        self.calls.append(len(frames))
        return super().encode_clip(frames)

    def one(self, state, conversation, selection):
        found = super().one(state, conversation, selection)
        if not self.silent:
            return found
        logits = torch.full_like(found.logits, -torch.inf)
        return type(found)(**(vars(found) | {"logits": logits, "found": (False,)}))


@pytest.fixture
def clip(tmp_path):
    """Nine frames: those of three planted clips, one after the other."""
    folder, truth = tmp_path / "frames", []
    folder.mkdir()
    for sample in clips(3):
        for frame in range(sample.frames):
            sample.frame(frame).save(folder / f"{len(truth)}.png")
            truth.append(sample.codes[frame])
    return folder, np.stack(truth)


def segment(monkeypatch, model, *arguments):
    monkeypatch.setattr(segment_clip, "model_of", lambda verb: model)
    return main(["segment", *map(str, arguments)])


def masks(folder):
    files = sorted(folder.glob("[0-9]*.png"), key=lambda path: int(path.stem))
    return np.stack([np.asarray(Image.open(path)) for path in files]) > 0


def test_every_frame_gets_its_mask(clip, tmp_path, monkeypatch, capsys):
    folder, truth = clip
    model, out = CountingModel(), tmp_path / "masks"
    asked = [folder, *TEXTS, "--out", out, "--clip-frames", 4, "--json"]
    assert segment(monkeypatch, model, *asked) == 0
    # Each expression has a pass of its own over each part.
    assert model.calls == [4, 4, 1]
    report = json.loads(capsys.readouterr().out)
    for number, text in enumerate(TEXTS, start=1):
        expected = np.kron(truth == number, np.ones((1, PATCH, PATCH))) > 0
        np.testing.assert_array_equal(masks(out / str(number)), expected)
        found = report["masks"][number - 1]
        assert (found["text"], found["frames"]) == (text, 9)
        assert found["pixels"] == expected.sum()
        with Image.open(found["strip"]) as strip:
            assert strip.width == 8 * (24 + 4) - 4
        with Image.open(found["animation"]) as moving:
            assert moving.n_frames == 9


def test_an_interrupted_clip_goes_on_where_it_stopped(clip, tmp_path, monkeypatch, capsys):
    folder, _ = clip
    asked = [folder, "ball", "--out", tmp_path / "masks", "--clip-frames", 4]
    assert segment(monkeypatch, CountingModel(fails_at=2), *asked) == 130
    assert len(masks(tmp_path / "masks")) == 8
    model = CountingModel()
    assert segment(monkeypatch, model, *asked) == 0
    assert model.calls == [1]
    (tmp_path / "masks/5.png").unlink()
    again = CountingModel()
    assert segment(monkeypatch, again, *asked) == 0
    assert again.calls == [4]
    assert "found in 9 of 9 frames" in capsys.readouterr().out


def test_a_budget_that_the_last_part_cannot_keep_is_refused_before_the_first(
    clip, tmp_path, monkeypatch, capsys
):
    folder, _ = clip
    out, model = tmp_path / "masks", CountingModel()
    tokens = [model.clip_view(24, 24, frames).n_tokens for frames in (4, 1)]
    asked = [folder, "ball", "--out", out, "--clip-frames", 4, "--pruner", "input_similarity"]
    assert segment(monkeypatch, model, *asked, "--budget", tokens[1] + 1) == 2
    said = capsys.readouterr().err
    assert (
        f"the last part has 1 of 9 frames, and its own number of tokens: budget {tokens[1] + 1}"
        in said
    )
    assert "give --budget as a share, or choose another --clip-frames" in said
    assert model.calls == []
    assert not out.exists()
    assert segment(monkeypatch, model, *asked, "--budget", "0.5") == 0
    assert model.calls == [4, 4, 1]


def test_masks_of_another_command_are_not_mixed(clip, tmp_path, monkeypatch, capsys):
    folder, _ = clip
    asked = [folder, "ball", "--out", tmp_path / "masks"]
    assert segment(monkeypatch, CountingModel(), *asked) == 0
    pruned = ["--pruner", "input_similarity", "--budget", 24]
    assert segment(monkeypatch, CountingModel(), *asked, *pruned) == 2
    assert "masks of another command: pruner, budget differ" in capsys.readouterr().err
    Image.new("RGB", (24, 24)).save(folder / "3.png")
    assert segment(monkeypatch, CountingModel(), *asked) == 2
    assert "masks of another command: clip differ" in capsys.readouterr().err
    other = CountingModel()
    other.name = "the same weights in fewer bits"
    assert segment(monkeypatch, other, *asked) == 2
    assert "masks of another command: model, clip differ" in capsys.readouterr().err
    (tmp_path / "masks/masks.json").write_text('{"asked": {}, "parts": {"0": {}}}')
    assert segment(monkeypatch, CountingModel(), *asked) == 2
    assert "masks.json is damaged" in capsys.readouterr().err


def test_masks_of_a_method_whose_code_changed_are_not_kept(clip, tmp_path, monkeypatch, capsys):
    folder, _ = clip
    file = tmp_path / "mine.py"
    file.write_text(OWN)
    pruner = method_at(f"{file}:Mine")()
    monkeypatch.setattr(segment_clip, "build_pruner", lambda verb: pruner)
    asked = [folder, "ball", "--out", tmp_path / "masks", "--pruner", "uniform", "--budget", 24]
    assert segment(monkeypatch, CountingModel(), *asked) == 0
    model = CountingModel()
    assert segment(monkeypatch, model, *asked) == 0
    assert model.calls == []
    file.write_text(OWN.replace("cosine", "dot"))
    assert segment(monkeypatch, model, *asked) == 2
    assert "mine.py changed after Mine was loaded" in capsys.readouterr().err
    monkeypatch.delitem(sys.modules, type(pruner).__module__)
    pruner = method_at(f"{file}:Mine")()
    assert segment(monkeypatch, model, *asked) == 2
    assert "masks of another command: code of the method differ" in capsys.readouterr().err


def test_frames_are_not_written_over(clip, tmp_path, monkeypatch, capsys):
    folder, _ = clip
    first, shown = folder.rename(tmp_path / "1"), tmp_path / "shown/clip.webp"
    pages = [Image.new("RGB", (24, 24), colour) for colour in ("red", "blue")]
    shown.parent.mkdir()
    pages[0].save(shown, save_all=True, append_images=pages[1:])
    for words in ([first, "ball", "--out", first], [first, *TEXTS], [shown, "ball"]):
        asked = words if "--out" in words else [*words, "--out", tmp_path]
        assert segment(monkeypatch, CountingModel(), *asked) == 2
        assert "must be a folder of its own" in capsys.readouterr().err


def test_answers_without_a_mask_are_counted(clip, tmp_path, monkeypatch, capsys):
    folder, _ = clip
    asked = [folder, "ball", "--out", tmp_path / "masks", "--clip-frames", 4]
    assert segment(monkeypatch, CountingModel(silent=True), *asked) == 1
    said = capsys.readouterr().out
    assert "found in 0 of 9 frames" in said
    assert "no mask in 3 parts: answers without [SEG]" in said
    assert not masks(tmp_path / "masks").any()


def test_a_model_of_images_takes_each_frame_alone(clip, tmp_path, capsys):
    folder, _ = clip
    for frame in sorted(folder.iterdir())[2:]:
        frame.unlink()
    asked = ["segment", str(folder), "the yellow giraffe", "--out", str(tmp_path / "masks")]
    assert main(asked) == 2
    assert "the clip has 2 frames" in (said := capsys.readouterr().err)
    assert "--clip-frames 1 takes each frame alone" in said
    assert main([*asked, "--clip-frames", "1"]) == 0
    assert masks(tmp_path / "masks").shape == (2, 24, 24)
