"""Inside lmms-eval: our models and tasks give what our own evaluators give.

`make lmms` runs this file in an environment of its own, because lmms-eval needs older packages.
"""

import copy
import gc
import weakref
from dataclasses import dataclass

import pytest
from lmms_eval.evaluator import simple_evaluate
from lmms_eval.loggers.evaluation_tracker import EvaluationTracker
from lmms_eval.tasks import TaskManager
from PIL import Image

from litelvlm import load_model, load_refer, load_vlm
from litelvlm.analysis.api import read_samples, run_study
from litelvlm.analysis.lmms.__main__ import TASK_FILES
from litelvlm.analysis.lmms.answers import QuestionSource
from litelvlm.analysis.lmms.models import LmmsGlamm, LmmsVlm
from litelvlm.analysis.studies.understanding.evaluate import evaluate_questions
from litelvlm.data.understanding.question import QuestionSet
from litelvlm.data.understanding.rendered import load_questions

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


def logged_file(folder, task, samples):
    """The file that ``--log_samples`` writes; lmms-eval changes the samples while it writes."""
    tracker = EvaluationTracker(output_path=str(folder))
    tracker.general_config_tracker.model_name_sanitized, tracker.date_id = "model", "date"
    tracker.save_results_samples(task, copy.deepcopy(samples))
    return folder / "model" / f"date_samples_{task}.jsonl"


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
        pixels = sample["ciou"]
        assert (pixels["intersection"], pixels["union"]) == (own["inter_px"], own["union_px"])
    assert values["ciou"] == pytest.approx(ours["inter_px"].sum() / ours["union_px"].sum())
    assert values["ciou_low"] <= values["ciou"] <= values["ciou_high"]
    iou = ours["inter_px"] / ours["union_px"]
    assert values["giou"] == pytest.approx(iou.mean())
    assert values["p50"] == pytest.approx((iou >= 0.5).mean())
    table = sweep.table("scores")
    line = table[(table["metric"] == "ciou") & (table["method"] == (pruner or "none"))].iloc[0]
    assert values["ciou"] == pytest.approx(line["value"], abs=1e-6)


NAMES = {"gqa": ("accuracy",), "vqav2": ("accuracy",),
         "pope": ("f1", "accuracy", "precision", "recall", "yes_ratio")}  # fmt: skip


@pytest.fixture(scope="module", params=NAMES)
def answered(request, tmp_path_factory):
    """A few questions of a task, and what our own evaluator finds for them."""
    task = request.param
    questions = load_questions(task)
    # The first questions of each group: POPE's settings, VQA's answer types, kinds in GQA's form.
    groups = {one.group for one in questions.questions}
    chosen = tuple(
        one for group in sorted(groups)
        for one in [q for q in questions.questions if q.group == group][: 24 // len(groups)]
    )  # fmt: skip
    few = QuestionSet(task, chosen)
    assert len(few) == 24
    assert task != "pope" or groups == {"random", "popular", "adversarial"}
    return few, evaluate_questions(
        load_vlm("vlm:embedded", device="cpu"), few, ["litelvlm"], (16,),
        out=tmp_path_factory.mktemp(task), blank=False,
    )  # fmt: skip


@pytest.mark.parametrize("condition", CONDITIONS)
def test_answers_and_their_log_equal_our_evaluator(
    manager, monkeypatch, answered, condition, tmp_path
):
    (few, found), (pruner, budget) = answered, CONDITIONS[condition]
    task = few.task
    monkeypatch.setattr(QuestionSource, "questions", few)
    ours = found.rows[found.rows["method"] == (pruner or "none")]
    values, samples = scored(manager, "litelvlm_vlm", f"embedded_{task}", None, pruner, budget)
    logged = read_samples(logged_file(tmp_path, task, samples), "accuracy")
    assert logged["score"].mean() == pytest.approx(values["accuracy"])
    assert list(logged["image_id"]) == [one.image_id for one in few.questions]
    said = {s["accuracy"]["question_id"]: s["accuracy"]["answer"] for s in samples}
    assert said == dict(zip(ours["question_id"], ours["answer"], strict=True))
    assert len(said) == 24
    table = found.table("scores")
    lines = table[table["method"] == (pruner or "none")].set_index("metric")
    for name in NAMES[task]:
        assert values[name] == pytest.approx(lines.loc[name, "value"])
        assert values[f"{name}_low"] == pytest.approx(lines.loc[name, "low"], nan_ok=True)


class Pictures:
    """Numbers of the pictures that are in memory, and how many were at once."""

    def __init__(self):
        self.alive, self.most = set(), 0


PICTURES = Pictures()


def counted(number):
    """A grey picture; how many of them were in memory at once stands in ``PICTURES.most``."""
    image = Image.new("RGB", (168, 168), (number % 255,) * 3)
    PICTURES.alive.add(number)
    PICTURES.most = max(PICTURES.most, len(PICTURES.alive))
    weakref.finalize(image, PICTURES.alive.discard, number)
    return image


@dataclass(frozen=True)
class Request:
    """A request as lmms-eval hands it over."""

    args: tuple[object, ...]


def requests_of(images, options=(), task="made"):
    docs = [{"image_id": image, "question": "is there a dog?"} for image in images]
    return {task: {"test": docs}}, [
        Request(("is there a dog?", dict(options), lambda doc: [counted(doc["image_id"])], place,
                 task, "test"))
        for place in range(len(docs))
    ]  # fmt: skip


@pytest.mark.parametrize("kind", [LmmsGlamm, LmmsVlm])
def test_pictures_of_few_requests_are_in_memory_at_once(kind):
    model = kind("embedded", device="cpu")
    PICTURES.alive.clear()
    PICTURES.most = 0
    model.task_dict, requests = requests_of([1, 1, 2, 3, 4, 5])
    assert len(model.generate_until(requests)) == 6
    gc.collect()
    # The next one is opened before the last is given up.
    assert 1 <= PICTURES.most <= 2


def test_masks_of_tasks_with_equal_image_ids_see_their_own_picture():
    model = LmmsGlamm("embedded", device="cpu")
    data = load_refer("embedded", split="val")
    tables, requests = {}, []
    for task, index in (("one", 0), ("two", 1)):
        picture, tables[task] = data[index].image(), {"test": [{"image_id": 7}]}
        requests.append(
            Request(("person", {}, lambda doc, picture=picture: [picture], 0, task, "test"))
        )
    model.task_dict = tables
    first, second = model.generate_until(requests)
    assert second == model.generate_until(requests[1:])[0]
    assert first != second


def test_answers_end_at_the_texts_of_a_request():
    model = LmmsVlm("embedded", device="cpu")
    model.task_dict, plain = requests_of([1])
    (said,) = model.generate_until(plain)
    assert len(said) > 1
    model.task_dict, cut = requests_of([1], {"until": [said[1:]]})
    assert model.generate_until(cut) == [said[0]]


@pytest.mark.parametrize("kind", [LmmsGlamm, LmmsVlm])
def test_sampling_and_several_pictures_are_refused(kind):
    model = kind("embedded", device="cpu")
    model.task_dict, sampled = requests_of([1], {"do_sample": True})
    with pytest.raises(ValueError, match="decoding is greedy here"):
        model.generate_until(sampled)
    many = Request(("which?", {}, lambda doc: [counted(1)] * 2, 0, "made", "test"))
    with pytest.raises(ValueError, match="one image a request is read"):
        model.generate_until([many])
