"""Ref-DAVIS17 from its files to printed scores, in both protocols."""

import json
import shutil

import numpy as np
import pytest
from pandas.testing import assert_frame_equal
from PIL import Image

from litelvlm.analysis.api import read_rows
from litelvlm.analysis.cli import main
from litelvlm.analysis.cli.actions import evaluate as evaluate_action
from litelvlm.analysis.inputs.samples import target_masks
from litelvlm.data.video.read import ANNOTATORS, load_clips
from litelvlm.metrics import IGNORE
from tests.integration.test_planted_clip_model import NAMES, PATCH, ClipModel, clips


class SwappedModel(ClipModel):
    """Finds the other object."""

    def conversation(self, expressions, question_index=0, answer_index=0):
        other = [{"ball": "cube", "cube": "ball"}[text] for text in expressions]
        return super().conversation(other, question_index, answer_index)


@pytest.fixture(scope="module")
def davis(tmp_path_factory):
    """Three planted clips in the layout of the data set; object 2 of the last one comes late."""
    root = tmp_path_factory.mktemp("ref-davis")
    samples, videos = clips(3), {}
    samples[2].codes[0][samples[2].codes[0] == 2] = 0
    for sample in samples:
        name = f"clip{sample.image_id}"
        frames = [f"{frame:05d}" for frame in range(sample.frames)]
        expressions = {
            str(4 * (label - 1) + kind): {"exp": NAMES[label], "obj_id": str(label)}
            for label in (1, 2)
            for kind in range(4)
        }
        videos[name] = {"frames": frames, "expressions": expressions}
        for place, frame in enumerate(frames):
            labels = np.kron(sample.codes[place], np.ones((PATCH, PATCH))).astype(np.uint8)
            for folder, picture in (
                ("JPEGImages", sample.frame(place)),
                ("Annotations", Image.fromarray(labels)),
            ):
                path = root / "valid" / folder / name / f"{frame}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                picture.save(path)
    table = root / "meta_expressions/valid/meta_expressions.json"
    table.parent.mkdir(parents=True)
    table.write_text(json.dumps({"videos": videos}))
    return root


def evaluate(monkeypatch, capsys, model, davis, out, *more):
    monkeypatch.setattr(evaluate_action, "model_of", lambda verb: model)
    data = ["--data", str(davis), "--dataset", "ref-davis17", "--split", "valid"]
    method = ["--methods", "input_similarity", "--budgets", "36", "--out", str(out)]
    assert main(["evaluate", *data, *method, *more, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_model_that_swaps_objects_is_seen_by_one_protocol_only(
    davis, tmp_path, monkeypatch, capsys
):
    found = evaluate(monkeypatch, capsys, SwappedModel(), davis, tmp_path)
    assert "3 clips, published are 30" in found["count_note"]
    for line in found["scores"]:
        assert line["jf"] == 0
        assert line["matched_jf"] == pytest.approx(1.0)
    rows = read_rows(found["run"])
    unpruned = rows[rows["method"] == "none"]
    assert set(unpruned["kind"]) == set(ANNOTATORS)
    late = (unpruned["image_id"] == 2) & (unpruned["ann_id"] == 2)
    assert unpruned["matched_n"].tolist() == (~late).astype(float).tolist()


@pytest.mark.parametrize("protocol", ["single", "conversation"])
def test_a_model_that_finds_everything_has_full_scores(
    davis, tmp_path, monkeypatch, capsys, protocol
):
    model = ClipModel()
    found = evaluate(monkeypatch, capsys, model, davis, tmp_path, "--protocol", protocol)
    for line in found["scores"]:
        assert [line[name] for name in ("j", "f", "jf", "ciou_exact")] == [1, 1, 1, 1]
        assert line["matched_j"] == line["matched_f"] == 1
        assert line["n"] == 24


def test_draws_do_not_hold_all_objects_and_are_not_matched(davis, tmp_path, monkeypatch, capsys):
    more = ("--protocol", "official", "--seeds", "2")
    found = evaluate(monkeypatch, capsys, ClipModel(), davis, tmp_path, *more)
    assert all("matched_j" not in line and line["jf"] == 1 for line in found["scores"])


def test_pixels_to_ignore_are_no_part_of_what_is_meant(davis, tmp_path, monkeypatch, capsys):
    root = shutil.copytree(davis, tmp_path / "ref-davis")
    for path in root.glob("valid/Annotations/*/*.png"):
        labels = np.asarray(Image.open(path))
        Image.fromarray(np.where(labels == 0, IGNORE, labels).astype(np.uint8)).save(path)

    def columns(data, out):
        rows = read_rows(evaluate(monkeypatch, capsys, ClipModel(), data, out)["run"])
        return rows[["area_frac", "visible_frac", "n_in", "tiny"]]

    assert_frame_equal(columns(davis, tmp_path / "plain"), columns(root, tmp_path / "ignored"))
    sample = load_clips(root)[0]
    expression = sample.expressions[0]
    np.testing.assert_array_equal(target_masks(sample, expression), sample.masks(expression) == 1)
