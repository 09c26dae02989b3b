"""Rows of answers: every question of an image under every condition."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from PIL import Image

from litelvlm.analysis.runs.columns import Row
from litelvlm.analysis.runs.origin.fingerprint import fingerprint
from litelvlm.analysis.runs.work import ItemResult, Work
from litelvlm.analysis.studies.understanding.config import Config
from litelvlm.analysis.studies.understanding.plan import (
    AnswerCondition,
    budgets_of,
    conditions,
    possible_conditions,
)
from litelvlm.data.understanding.question import Question, QuestionSet
from litelvlm.data.understanding.tasks import TASKS, Task
from litelvlm.metrics.understanding import score_answer
from litelvlm.models.vlm.model import Vlm

_GREY = (127, 127, 127)
Picture = Image.Image | str
"""A picture, or why it cannot be read."""


@dataclass(frozen=True)
class AnswerContext:
    """What all images of a run share.

    Attributes:
        model: The model.
        task: Gives the prompt and the rule.
        asked: How every question is asked.
        ocr: Name the words that an OCR system read.
    """

    model: Vlm
    task: Task
    asked: tuple[AnswerCondition, ...]
    ocr: bool = False


def prepare(model: Vlm, questions: QuestionSet, config: Config) -> Work:
    """Group the questions by image and settle the conditions.

    Methods that cannot work with the model are excluded with their reason.
    """
    budgets = budgets_of(config, model.fixed_tokens)
    every = conditions(config, budgets)
    asked, excluded = possible_conditions(model, every)
    context = AnswerContext(model, TASKS[config.task], asked, config.ocr)
    by_image: dict[str, list[Question]] = {}
    for question in questions.questions:
        by_image.setdefault(question.image_id, []).append(question)
    images = list(by_image.values())

    def begin(index: int) -> Callable[[], ItemResult]:
        return partial(image_rows, context, images[index], pictures_of(images[index]))

    resolved: dict[str, object] = {"pad": model.pad}
    resolved |= {} if model.fixed_tokens is None else {"budgets": list(budgets)}
    resolved |= {} if model.clip_tower is None else {"clip": fingerprint(model.clip_tower)}
    return Work(
        None,
        begin,
        sizes=[len(group) for group in images],
        resolved=resolved,
        methods=tuple(one.pruner for one in every if one.pruner is not None),
        excluded=excluded,
        notes=tuple(question_notes(questions, context.task, config)),
    )


def question_notes(questions: QuestionSet, task: Task, config: Config) -> list[str]:
    """Known artefacts of the questions that are asked, and what was left out of the data."""
    notes = list(questions.notes)
    if config.limit is not None:  # what is known of all questions need not hold for the first ones
        notes = task.notes(list(questions.first(config.limit).questions))
    notes += [f"{number} questions left out: {reason}" for reason, number in questions.skipped]
    if questions.missing:
        names = ", ".join(questions.missing[:3])
        more = ", ..." if len(questions.missing) > 3 else ""
        notes.append(f"{len(questions.missing)} pictures are missing: {names}{more}")
    if task.name == "textvqa":
        notes.append(f"OCR words are {'' if config.ocr else 'not '}in the prompt")
    return notes


def pictures_of(questions: Sequence[Question]) -> dict[Path, Picture]:
    """The pictures of some questions by file; for a damaged one the reason."""
    found: dict[Path, Picture] = {}
    for question in questions:
        if question.image not in found:
            try:
                found[question.image] = question.open()
            except (ValueError, OSError) as error:
                found[question.image] = str(error)
    return found


def image_rows(
    context: AnswerContext, questions: Sequence[Question], pictures: Mapping[Path, Picture]
) -> ItemResult:
    """Ask the questions about one image under every condition.

    A budget that does not fit this image gives a row without an answer whose field "failure" says
    why; so does a damaged picture.
    """
    rows: list[Row] = []
    for question in questions:
        picture = pictures[question.image]
        if isinstance(picture, str):
            rows += [
                _row(context.task, question, one) | {"failure": picture} for one in context.asked
            ]
            continue
        grey = Image.new("RGB", picture.size, _GREY)
        rows += [
            _answered(context, question, grey if one.blank else picture, one)
            for one in context.asked
        ]
    return ItemResult(rows)


def _answered(
    context: AnswerContext, question: Question, picture: Image.Image, one: AnswerCondition
) -> Row:
    """The row of one question under one condition."""
    task, row = context.task, _row(context.task, question, one)
    try:
        found = context.model.answer(
            picture,
            task.prompt(question, context.ocr),
            one.pruner,
            one.budget,
            text=question.text,
        )
    except ValueError as error:
        return row | {"failure": str(error)}
    scored = score_answer(task.scoring, found.text, question.answers, question.options)
    return row | {
        "answer": found.text,
        "visual_tokens": float(found.visual_tokens),
        "read": scored.read,
        "score": float(scored.score),
        "state": scored.state,
    }


def _row(task: Task, question: Question, one: AnswerCondition) -> Row:
    return {
        "task": task.name,
        "question_id": question.question_id,
        "image_id": question.image_id,
        "group": question.group,
        "base": question.base,
        "truth": question.answers[0],
        "method": one.method,
        "budget": None if one.budget is None else float(one.budget),
        "draw": one.draw,
        "answer": None,
        "visual_tokens": None,
        "read": None,
        "score": None,
        "state": "failed",
        "failure": "",
    }
