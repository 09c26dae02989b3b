"""Generated answers without [SEG]: empty masks, counted by method and budget, and told."""

import json
from dataclasses import replace

import pytest
import torch

from litelvlm.analysis.api import complete_run, read_rows, read_summary
from litelvlm.analysis.cli import main
from litelvlm.analysis.cli.actions import evaluate as evaluate_action
from litelvlm.analysis.cli.actions.report import write_report
from litelvlm.analysis.pages.explore.page import build_page
from litelvlm.analysis.studies import sweep
from litelvlm.analysis.studies.examples import read_examples
from tests.integration.test_planted_clip_model import FULL, ClipModel, clips
from tests.video_glamm_parts import load, write_folder

METHODS = ("input_similarity", "random")
EMPTY = {"pred_px": 0, "inter_px": 0, "iou": 0.0, "jf": 0.0}


class QuietModel(ClipModel):
    """Its own answers about the cube hold no [SEG] where tokens were dropped."""

    def ground(self, states, conversations, selections, answer="forced", max_new_tokens=64):
        found = super().ground(states, conversations, selections)
        return found if answer == "forced" else [*map(self.answered, found, conversations)]

    def answered(self, found, conversation):
        cut = found.selection is not None
        has_seg = tuple(not cut or text != "cube" for text in conversation.expressions)
        logits = found.logits.clone()
        logits[[place for place, one in enumerate(has_seg) if not one]] = float("-inf")
        return replace(found, logits=logits, found=has_seg)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    def swept(answer):
        config = sweep.Config(methods=METHODS, budgets=(36, 12), seeds=2, answer=answer)
        out = tmp_path_factory.mktemp("runs")
        return complete_run(sweep.STUDY, QuietModel(), clips(4), config, out)

    return {answer: swept(answer) for answer in ("forced", "generated")}


def test_a_row_without_seg_is_an_empty_mask_and_says_so(runs):
    rows = read_rows(runs["generated"])
    quiet = rows[~rows["seg_found"]]
    assert len(quiet) == 4 * 2 * (1 + 2)  # clips, budgets, one draw and two
    assert set(quiet["ann_id"] % 10) == {2}
    for column, value in EMPTY.items():
        assert (quiet[column] == value).all(), column
    assert (rows.loc[rows["method"] == "none", "seg_found"]).all()
    assert read_rows(runs["forced"])["seg_found"].all()


def test_tables_count_them_by_method_and_budget_and_the_report_names_them(runs, tmp_path):
    summary = read_summary(runs["generated"])
    cells = summary.table("scores").drop_duplicates(["method", "budget"])
    counts = cells.set_index(["method", "budget"])[["n_answers", "n_without_seg"]]
    assert counts.loc[("none", FULL)].tolist() == [8, 0]
    for budget in (36, 12):
        assert counts.loc[("input_similarity", budget)].tolist() == [8, 4]
        assert counts.loc[("random", budget)].tolist() == [16, 8]
    said = "Answers without [SEG] count as empty masks: input_similarity at 36 4 of 8"
    assert said in summary.interpretation
    assert said in write_report([runs["generated"]], tmp_path / "report").read_text()
    forced = read_summary(runs["forced"])
    assert (forced.table("scores")["n_without_seg"] == 0).all()
    assert "[SEG]" not in forced.interpretation


def test_evaluate_prints_them_for_every_draw(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(evaluate_action, "model_of", lambda verb: QuietModel())
    monkeypatch.setattr(evaluate_action, "data_of", lambda verb: QuietData(clips(4)))
    asked = ["--methods", *METHODS, "--budgets", "36", "--seeds", "2", "--out", str(tmp_path)]
    assert main(["evaluate", *asked, "--answer", "generated", "--json"]) == 0
    lines = json.loads(capsys.readouterr().out)["scores"]
    counts = {(one["method"], one["draw"]): one["n_without_seg"] for one in lines}
    by_draw = {("random", "0"): 4, ("random", "1"): 4, ("random", "mean"): 8}
    assert counts == {("none", "0"): 0, ("input_similarity", "0"): 4} | by_draw


def test_pictures_are_of_the_same_answers(runs, tmp_path):
    model, data, run = QuietModel(), clips(4), runs["generated"]
    asked = sweep.Config(methods=METHODS, budgets=(36, 12), seeds=2, answer="generated")
    sweep.STUDY.pictures(model, data, run, asked)
    _, shown = read_examples(run)
    titles = {one.text: " ".join(one.titles) for one in shown}
    assert titles["cube"].count("J&F 0.00, no [SEG]") == 2
    assert "no [SEG]" not in titles["ball"]
    legend = {name: (name, "black") for name in METHODS}
    page = build_page(model, data, run, tmp_path / "page.html", legend, samples=8).read_text()
    assert "36 tokens: J 0.0, F 0.0, no [SEG]" in page


class QuietData(type(clips(1))):
    count_note = ""


@pytest.mark.parametrize("asked", ["forced", "generated"])
def test_the_miniature_of_images_answers_in_both_ways(model, data, tmp_path, asked):
    config = sweep.Config(methods=("litelvlm",), budgets=(16,), limit=2, answer=asked)
    rows = read_rows(complete_run(sweep.STUDY, model, data, config, tmp_path))
    assert rows["seg_found"].all()
    image = data[0]
    state = model.encode_image(image.image())
    own = rows[(rows["image_id"] == image.image_id) & (rows["method"] == "none")]
    for row in own.itertuples():
        (sentence,) = (e.sent for e in image.expressions if e.sent_id == row.sent_id)
        (found,) = model.ground([state], [model.conversation([sentence])], [None], asked)
        assert int(found.masks.sum()) == row.pred_px


def test_a_video_glamm_that_does_not_answer_with_seg_gives_empty_rows(tmp_path):
    model = load(write_folder(tmp_path), masks="framewise")
    with torch.no_grad():
        model.phi3.lm_head.weight[model.tokenizer.seg_id] = 0
    data = clips(1)
    config = sweep.Config(methods=("litelvlm",), budgets=(40,), answer="generated")
    rows = read_rows(complete_run(sweep.STUDY, model, data, config, tmp_path / "runs"))
    assert not rows["seg_found"].any()
    assert (rows[["pred_px", "inter_px"]] == 0).all(axis=None)
