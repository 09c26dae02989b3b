"""Boxes in answers: reading the first one, and how far it overlaps another.

What the numbers of an answer are measured in is no matter of their size: see
``litelvlm.models.vlm.boxes``.
"""

import re
from dataclasses import dataclass
from typing import NamedTuple

from litelvlm.metrics.answers import ScoredAnswer

_NUMBER = r"\s*(-?(?:\d+\.?\d*|\.\d+))\s*"
_COMMA = f"{_NUMBER},{_NUMBER}"
_POINT = rf"[\[(]{_COMMA}[\])]"
_BOX = re.compile(
    rf"[\[(]{_COMMA},{_COMMA}[\])]"  # [x1, y1, x2, y2], in JSON and in [[...]] too
    rf"|{_POINT}\s*,?\s*{_POINT}"  # (x1, y1), (x2, y2), in <box> and <|box_start|> too
)
_BARE = re.compile(f"{_COMMA},{_COMMA}")
_MARKS = re.compile(r"<[^<>]*>")
_THOUGHT, _THINKING = "</think>", "<think>"


class Box(NamedTuple):
    """A box with sides along the axes; x grows right, y grows down."""

    left: float
    top: float
    right: float
    bottom: float

    @property
    def area(self) -> float:
        """Width times height; 0 where a side is not positive."""
        return max(0.0, self.right - self.left) * max(0.0, self.bottom - self.top)

    def shared(self, other: "Box") -> float:
        """Area of what lies in both."""
        return Box(*map(max, self[:2], other[:2]), *map(min, self[2:], other[2:])).area


def read_box(text: str) -> Box | None:
    r"""The first box of an answer, in the answer's own numbers; None if there is none.

    These are read: [x1, y1, x2, y2] wherever it stands (JSON with or without a fence, lists in
    lists, between words and tags), (x1, y1), (x2, y2), and four bare numbers that are the whole
    answer. Corners may be swapped. What a model thinks before ``</think>`` is no answer.

    Example:
        >>> read_box('```json\n[{"bbox_2d": [30, 40, 10, 20], "label": "dog"}]\n```')
        Box(left=10.0, top=20.0, right=30.0, bottom=40.0)
        >>> read_box("<ref>dog</ref><box>(10,20),(30,40)</box>") == read_box("[[10, 20, 30, 40]]")
        True
        >>> read_box("It is at [10, 20].") is None
        True
    """
    said = text.rpartition(_THOUGHT)[2]
    if _THINKING in said:
        return None
    found = _BOX.search(said) or _BARE.fullmatch(_MARKS.sub("", said).strip())
    if found is None:
        return None
    x1, y1, x2, y2 = (float(number) for number in found.groups() if number is not None)
    return Box(min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2))


def box_iou(first: Box, second: Box) -> float:
    """Intersection over union; 0 where neither has an area.

    Example:
        >>> box_iou(Box(0, 0, 2, 2), Box(1, 0, 3, 2))
        0.3333333333333333
    """
    shared = first.shared(second)
    union = first.area + second.area - shared
    return shared / union if union else 0.0


@dataclass(frozen=True)
class BoxScale:
    """Where the numbers of answers lie in a picture.

    Attributes:
        seen: What their range covers, in pixels of the picture; it may reach beyond the picture,
            or show a part of it.
        range: Number that stands for the right side, and for the bottom; 0 is left and top.
    """

    seen: Box
    range: tuple[float, float]

    def fits(self, box: Box) -> bool:
        """Whether numbers can be of this range, rather than of another format.

        Pixels or thousandths are not all at most 1, and no share is 2 or more.
        """
        shares = self.range == (1.0, 1.0)
        return max(box) < 2 if shares else max(box) > 1

    def in_picture(self, box: Box) -> Box:
        """A box in pixels of the picture.

        Example:
            >>> scale = BoxScale(Box(0, -80, 640, 560), (1000, 1000))
            >>> scale.in_picture(Box(250, 500, 500, 750))
            Box(left=160.0, top=240.0, right=320.0, bottom=400.0)
        """
        left, top, right, bottom = self.seen
        x = [left + (right - left) * place / self.range[0] for place in (box.left, box.right)]
        y = [top + (bottom - top) * place / self.range[1] for place in (box.top, box.bottom)]
        return Box(x[0], y[0], x[1], y[1])


def score_box(said: str, truth: Box, scale: BoxScale) -> ScoredAnswer:
    """Score the first box of an answer by its IoU with the true one; 0 if it has none.

    Args:
        said: What the model said.
        truth: The true box, in pixels of the picture.
        scale: Where its numbers lie.

    Example:
        >>> score_box("[0.5, 0, 1, 1]", Box(40, 0, 80, 60), BoxScale(Box(0, 0, 80, 60), (1, 1)))
        ScoredAnswer(read='[40.0, 0.0, 80.0, 60.0]', score=1.0, state='read')
    """
    found = read_box(said)
    if found is None or not scale.fits(found):
        return ScoredAnswer("", 0.0, "unreadable" if said.strip() else "empty")
    box = scale.in_picture(found)
    return ScoredAnswer(written(box), box_iou(box, truth), "read")


def written(box: Box) -> str:
    """A box as text, in tenths of a pixel."""
    return f"[{', '.join(f'{side:.1f}' for side in box)}]"
