"""Inside lmms-eval: our models and tasks give what our own evaluators give.

`make lmms` runs this file in an environment of its own, because lmms-eval needs older packages.
"""

import pytest
from lmms_eval.evaluator import simple_evaluate
from lmms_eval.tasks import TaskManager

from litelvlm import load_model, load_refer
from litelvlm.analysis.api import run_study
from litelvlm.analysis.lmms.__main__ import TASK_FILES
from litelvlm.analysis.studies.understanding import evaluate_questions
from litelvlm.data.understanding.tasks import load_questions
from litelvlm.models.vlm.asking import load_asked_vlm

IMAGES = 3
CONDITIONS = {"unpruned": (None, None), "pruned": ("litelvlm", 16)}


@pytest.fixture(scope="module")
def manager():
    return TaskManager("ERROR", include_path=str(TASK_FILES))


def scored(manager, model, task, limit, pruner, budget):
    """Scores of a task, and its samples, as lmms-eval gives them."""
    arguments = {"pretrained": "embedded", "device": "cpu"}
    if pruner:
        arguments |= {"pruner": pruner, "budget": budget}
    text = ",".join(f"{name}={value}" for name, value in arguments.items())
    found = simple_evaluate(
        model=model, model_args=text, tasks=[task], task_manager=manager, limit=limit,
        log_samples=True, bootstrap_iters=0, verbosity="ERROR",
    )  # fmt: skip
    values = {k.split(",")[0]: v for k, v in found["results"][task].items()}
    return values, found["samples"][task]


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    """Our own rows of the first images."""
    model, data = load_model("embedded", device="cpu"), load_refer("embedded", split="val")
    return run_study(
        "sweep", model, data, tmp_path_factory.mktemp("runs"), methods=["litelvlm"],
        budgets=(16,), limit=IMAGES,
    )  # fmt: skip


@pytest.mark.parametrize("condition", CONDITIONS)
def test_masks_equal_our_evaluator_pixel_by_pixel(manager, sweep, condition):
    pruner, budget = CONDITIONS[condition]
    rows = sweep.rows
    ours = rows[rows["method"] == (pruner or "none")].set_index("sent_id")
    values, samples = scored(manager, "litelvlm_glamm", "embedded_res", len(ours), pruner, budget)
    assert len(samples) == len(ours) > 10
    for sample in samples:
        own = ours.loc[int(sample["target"])]
        pixels = sample["pixels"]
        assert (pixels["intersection"], pixels["union"]) == (own["inter_px"], own["union_px"])
    assert values["ciou"] == pytest.approx(ours["inter_px"].sum() / ours["union_px"].sum())
    assert values["ciou_low"] <= values["ciou"] <= values["ciou_high"]
    iou = ours["inter_px"] / ours["union_px"]
    assert values["giou"] == pytest.approx(iou.mean())
    assert values["p50"] == pytest.approx((iou >= 0.5).mean())
    table = sweep.table("scores")
    line = table[(table["metric"] == "ciou") & (table["method"] == (pruner or "none"))].iloc[0]
    assert values["ciou"] == pytest.approx(line["value"], abs=1e-6)


@pytest.mark.parametrize("task", ["gqa", "pope"])
@pytest.mark.parametrize("condition", CONDITIONS)
def test_answers_equal_our_evaluator(manager, tmp_path, task, condition):
    pruner, budget = CONDITIONS[condition]
    questions = load_questions(task)
    # POPE's settings stand one after the other: take the first questions as they stand.
    n = 24
    chosen = questions.__class__(task, questions.root, questions.questions[:n])
    found = evaluate_questions(
        load_asked_vlm("embedded", device="cpu"), task, chosen, ["litelvlm"], (16,), out=tmp_path,
        blank=False,
    )  # fmt: skip
    ours = found.rows[found.rows["method"] == (pruner or "none")]
    values, samples = scored(manager, "litelvlm_vlm", f"embedded_{task}", n, pruner, budget)
    said = {s["row"]["question_id"]: s["row"]["answer"] for s in samples}
    assert said == dict(zip(ours["question_id"], ours["answer"], strict=True))
    lines = found.scores[found.scores["method"] == (pruner or "none")].set_index("metric")
    names = ("accuracy",) if task == "gqa" else ("f1", "accuracy", "yes_ratio")
    for name in names:
        assert values[name] == pytest.approx(lines.loc[name, "value"])
        assert values[f"{name}_low"] == pytest.approx(lines.loc[name, "low"])
