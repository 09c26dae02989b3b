"""A question about an image with its answer, a set of them, and how they are asked and scored."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType

from PIL import Image

from litelvlm.data.content import content_digest
from litelvlm.data.images import open_image
from litelvlm.data.safe.shown import shown
from litelvlm.data.understanding.scenes import SHORT_ANSWER
from litelvlm.metrics.answers import WordRule
from litelvlm.names import check_name

TASKS: Mapping[str, WordRule] = MappingProxyType(
    {"gqa": "exact", "pope": "yes_no", "vqav2": "exact"}
)
"""Every task by name, and how its answers become a score. Its questions have the form of those of
the published set of this name."""
PROMPT = f"{{}}\n{SHORT_ANSWER}"
"""How a question is asked, ``{}``."""


@dataclass(frozen=True)
class Question:
    """One question about one image.

    Attributes:
        question_id: Unique in its set.
        image_id: Questions about the same image share it; intervals resample it.
        text: The question.
        answer: Its only answer, lower case.
        image: The picture's file.
        group: What scores are split by: POPE's setting, VQA v2's answer type, or the kind.
    """

    question_id: str
    image_id: str
    text: str
    answer: str
    image: Path
    group: str = ""

    @property
    def prompt(self) -> str:
        """The text that the model is asked, without its own template."""
        return PROMPT.replace("{}", self.text)

    def open(self) -> Image.Image:
        """The RGB picture.

        Raises:
            ValueError: If it is damaged.
            FileNotFoundError: If it is gone.
        """
        return open_image(self.image)


@dataclass(frozen=True)
class QuestionSet:
    """Questions of one task; one that could count twice or for another image is refused.

    Attributes:
        task: A name in ``TASKS``.
        questions: Those of an image are not necessarily together.
        split: Name of the split of the scenes.
        split_by: Who made the split.

    Raises:
        ValueError: If the task is unknown, there is no question, a field of one is no text, an id
            stands twice, an image has two pictures, or an answer is not one of the task's.
    """

    task: str
    questions: tuple[Question, ...]
    split: str = "val"
    split_by: str = "embedded"

    def __post_init__(self) -> None:
        rule = TASKS[check_name(self.task, TASKS, "task")]
        if not self.questions:
            raise ValueError(f"there is no question of {self.task}")
        ids, pictures = set[str](), dict[str, Path]()
        for one in self.questions:
            for name in ("question_id", "image_id", "text", "answer"):
                value: object = getattr(one, name)
                if not isinstance(value, str) or not value.strip():
                    told = f"{name} is {shown(value)}, expected text"
                    raise ValueError(f"question {shown(one.question_id)}: {told}")
            if rule == "yes_no" and one.answer not in ("yes", "no"):
                raise ValueError(
                    f"question {one.question_id!r}: the answer is {shown(one.answer)}; {self.task} "
                    "takes yes or no"
                )
            if one.question_id in ids:
                raise ValueError(f"question {one.question_id!r} stands twice and would count twice")
            ids.add(one.question_id)
            if pictures.setdefault(one.image_id, one.image) != one.image:
                raise ValueError(
                    f"question {one.question_id!r}: image {one.image_id!r} has two pictures, "
                    f"{pictures[one.image_id].name} and {one.image.name}"
                )

    @property
    def name(self) -> str:
        """Name of the task, as run records call the data."""
        return self.task

    def __len__(self) -> int:
        return len(self.questions)

    @cached_property
    def digest(self) -> str:
        """Sha256 over questions, answers and the content of the pictures."""
        stated = [{**asdict(q), "image": q.image.name} for q in self.questions]
        text = json.dumps([self.task, stated, content_digest({q.image for q in self.questions})])
        return hashlib.sha256(text.encode()).hexdigest()
