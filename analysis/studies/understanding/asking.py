"""What a model is asked about each image: questions with answers in words, or boxes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import NamedTuple

from PIL import Image

from litelvlm.analysis.inputs.boxes import BoxTarget, box_targets
from litelvlm.analysis.runs.columns import Row
from litelvlm.analysis.studies.understanding.config import Config
from litelvlm.data.dataset import Dataset, clean
from litelvlm.data.understanding.question import PROMPT, TASKS, Question, QuestionSet
from litelvlm.metrics.answers import Rule, ScoredAnswer, score_answer
from litelvlm.metrics.boxes import BoxScale, score_box, written
from litelvlm.models.vlm.boxes import BoxHabit, box_habit, box_scale
from litelvlm.models.vlm.model import Vlm

REC = "rec"
"""The task of referring expressions that are answered with a box."""
RULES: Mapping[str, Rule] = MappingProxyType({**TASKS, REC: "box"})
"""Every task by name, and how its answers become a score."""
_WORD_TOKENS, _BOX_TOKENS = 16, 128


class Asked(NamedTuple):
    """One thing that is asked about an image.

    Attributes:
        keys: Columns that name it.
        text: What methods that read CLIP's text rank by.
        prompt: The text that the model is asked, without its own template.
        score: Scores what it says.
    """

    keys: Row
    text: str
    prompt: str
    score: Callable[[str], ScoredAnswer]


class AskedImage(NamedTuple):
    """One image, what is asked about it, and why other expressions about it are not."""

    picture: Image.Image
    asked: list[Asked]
    skipped: tuple[str, ...] = ()


@dataclass(frozen=True)
class Asking:
    """What is asked about all images.

    Attributes:
        data: The images, where their expressions are what is asked.
        sizes: Samples of each image; None for its expressions.
        begin: From the index of an image to what is asked about it.
        max_new_tokens: Length of an answer.
        resolved: Fields of the configuration as used.
        notes: What a reader of the scores should know.
    """

    data: Dataset | None
    sizes: Sequence[int] | None
    begin: Callable[[int], AskedImage]
    max_new_tokens: int
    resolved: Mapping[str, object]
    notes: tuple[str, ...] = ()


def asking_of(model: Vlm, data: QuestionSet | Dataset, config: Config) -> Asking:
    """What is asked: the questions of a set, or the box of each referring expression.

    Raises:
        ValueError: If it is not known how the model writes boxes.
    """
    if isinstance(data, QuestionSet):
        return _words(data, config)
    return _boxes(model, data, config)


def _words(data: QuestionSet, config: Config) -> Asking:
    if config.box_format is not None:
        raise ValueError("box_format belongs to task rec; leave it out where words are the answer")
    by_image: dict[str, list[Question]] = {}
    for question in data.questions:
        by_image.setdefault(question.image_id, []).append(question)
    images = list(by_image.values())
    prompt = config.prompt or PROMPT

    def asked(one: Question) -> Asked:
        keys = _keys(data.task, one.question_id, one.image_id, one.group, one.answer)
        score = partial(score_answer, TASKS[data.task], truth=one.answer)
        return Asked(keys, one.text, prompt.replace("{}", one.text), score)

    def begin(index: int) -> AskedImage:
        return AskedImage(images[index][0].open(), list(map(asked, images[index])))

    tokens = config.max_new_tokens or _WORD_TOKENS
    return Asking(None, list(map(len, images)), begin, tokens, {"prompt": prompt})


def _boxes(model: Vlm, data: Dataset, config: Config) -> Asking:
    habit = box_habit(model.family, config.box_format, config.prompt)
    box_scale(model, habit.format, 1, 1)  # what is not known of the model is refused now

    def begin(index: int) -> AskedImage:
        sample = data[index]
        picture = sample.image()
        targets, skipped = box_targets(sample)
        scale = box_scale(model, habit.format, picture.height, picture.width)
        asked = [_box(one, str(sample.image_id), habit, scale) for one in targets]
        return AskedImage(picture, asked, skipped)

    tokens = config.max_new_tokens or _BOX_TOKENS
    resolved = {"box_format": habit.format, "prompt": habit.prompt}
    note = f"asked with {habit.prompt!r}; numbers of boxes are read as {habit.format}"
    return Asking(data, None, begin, tokens, resolved, (note,))


def _box(target: BoxTarget, image_id: str, habit: BoxHabit, scale: BoxScale) -> Asked:
    expression, box = target
    text = clean(expression.sent)
    keys = _keys(REC, str(expression.sent_id), image_id, expression.kind or "", written(box))
    keys["seen"] = box.shared(scale.seen) / box.area
    score = partial(score_box, truth=box, scale=scale)
    return Asked(keys, text, habit.prompt.replace("{}", text), score)


def _keys(task: str, question_id: str, image_id: str, group: str, truth: str) -> Row:
    return {
        "task": task,
        "question_id": question_id,
        "image_id": image_id,
        "group": group,
        "truth": truth,
        "seen": None,
    }
