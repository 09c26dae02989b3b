"""A question about an image with its accepted answers, and a set of them."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path

from PIL import Image

from litelvlm.data.content import content_digest
from litelvlm.data.images import open_image


class QuestionDataError(ValueError):
    """A file of questions cannot be used as it is."""


class PlacedError(QuestionDataError):
    """The same, and its message tells where."""


class NoPictureError(QuestionDataError):
    """A question comes without its picture."""


@dataclass(frozen=True)
class Question:
    """One question about one image.

    Attributes:
        question_id: Unique in its set.
        image_id: Questions about the same image share it; intervals resample it.
        text: The question as stored.
        answers: Accepted answers: one, or those of ten people; for options the letter.
        image: The picture's file.
        options: Texts of the options, the first being A; empty for free answers.
        group: What scores are split by: POPE's setting, MME's category, VQA's answer type.
        hint: Text that belongs before the question.
        ocr: Words that an OCR system read in the image.
        base: Question of which this is a reordering of the options; empty where there is none.
    """

    question_id: str
    image_id: str
    text: str
    answers: tuple[str, ...]
    image: Path
    options: tuple[str, ...] = ()
    group: str = ""
    hint: str = ""
    ocr: tuple[str, ...] = ()
    base: str = ""

    def open(self) -> Image.Image:
        """The RGB picture.

        Raises:
            ValueError: If it is damaged.
            FileNotFoundError: If it is gone.
        """
        return open_image(self.image)


@dataclass(frozen=True)
class QuestionSet:
    """Questions of one task.

    Attributes:
        task: Name of the task.
        root: Where they were read.
        questions: In file order, those of an image not necessarily together.
        missing: Pictures that are not there; their questions are left out.
        skipped: What else was left out, and why: (reason, number).
        notes: Known artefacts that a reader of the scores should see.
        split: Name of the split; empty where it is not known.
    """

    task: str
    root: str
    questions: tuple[Question, ...]
    missing: tuple[str, ...] = ()
    skipped: tuple[tuple[str, int], ...] = ()
    notes: tuple[str, ...] = ()
    split: str = ""

    @property
    def name(self) -> str:
        """Name of the task, as run records call the data."""
        return self.task

    @property
    def split_by(self) -> str:
        """Who made the split: every task has one official split."""
        return "authors"

    def __len__(self) -> int:
        return len(self.questions)

    @cached_property
    def digest(self) -> str:
        """Sha256 over questions, answers and the content of the pictures."""
        stated = [{**asdict(q), "image": q.image.name} for q in self.questions]
        text = json.dumps([self.task, stated, content_digest({q.image for q in self.questions})])
        return hashlib.sha256(text.encode()).hexdigest()

    def first(self, images: int | None) -> "QuestionSet":
        """The questions about the first so many images; all for None.

        Raises:
            ValueError: If the number is below 1.
        """
        if images is None:
            return self
        if images < 1:
            raise ValueError(f"limit is {images}, allowed are whole numbers from 1")
        kept = set(list(dict.fromkeys(q.image_id for q in self.questions))[:images])
        chosen = tuple(q for q in self.questions if q.image_id in kept)
        return replace(self, questions=chosen)


def share_of(answers: Sequence[str], wanted: str) -> float:
    """Share of answers equal to one, in lower case; 0 for none."""
    found = [answer.strip().lower() == wanted for answer in answers]
    return sum(found) / len(found) if found else 0.0
