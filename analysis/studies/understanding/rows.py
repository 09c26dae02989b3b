"""Rows of answers: every question of an image under every condition."""

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image

from litelvlm.analysis.runs.columns import CONDITION, Column, Row
from litelvlm.analysis.runs.work import ItemResult
from litelvlm.analysis.stats.ends import POSITIVE, SHARE
from litelvlm.analysis.studies.understanding.asking import Asked, AskedImage
from litelvlm.models.vlm.model import Vlm
from litelvlm.pruning import Pruner

COLUMNS = (
    Column("task", str, "Name of the task.", CONDITION),
    Column("question_id", str, "Question."),
    Column("image_id", str, "Image; questions about the same image share it."),
    Column("group", str, "What scores are split by, such as POPE's setting."),
    Column("truth", str, "The accepted answer; of an expression the true box in pixels."),
    Column("seen", float, "Share of the true box that the model is shown; empty for words.", SHARE),
    Column("method", str, "Label of the method; 'none' keeps all tokens.", CONDITION),
    Column("positions", str, "Positions of the tokens that stay; empty where all do.", CONDITION),
    Column("budget", float, "Visual tokens to keep, or their share; empty for all.", CONDITION),
    Column("draw", int, "Number of the draw of a random method, from 0.", CONDITION),
    Column("answer", str, "What the model answered; empty if it failed."),
    Column("visual_tokens", float, "Visual tokens that a layer read, on average.", POSITIVE),
    Column("read", str, "The answer as the task's rule reads it; a box is in pixels."),
    Column("score", float, "Score by the task's rule: 0 or 1; of a box the IoU.", SHARE),
    Column("state", str, "'read', 'empty', 'unreadable', or 'failed'."),
    Column("failure", str, "Why there is no answer; empty if there is one."),
)
BLANK = "blank image"
"""The condition in which the model sees a grey picture and all its tokens."""
_GREY = (127, 127, 127)


@dataclass(frozen=True)
class AnswerCondition:
    """One way of asking every question.

    Attributes:
        method: Label of the method; "none" for all tokens, ``BLANK`` for those of a grey picture.
        budget: Visual tokens to keep, or their share; None for all.
        draw: Number of the draw of a random method, else 0.
        pruner: The method; None keeps all tokens.
    """

    method: str
    budget: int | float | None = None
    draw: int = 0
    pruner: Pruner | None = None


def image_rows(
    model: Vlm, image: AskedImage, conditions: Sequence[AnswerCondition], max_new_tokens: int
) -> ItemResult:
    """Ask what is asked about one image under every condition.

    A budget that does not fit this image gives a row without an answer whose field "failure" says
    why.
    """
    grey = Image.new("RGB", image.picture.size, _GREY)
    rows = [
        _row(model, asked, grey if one.method == BLANK else image.picture, one, max_new_tokens)
        for asked in image.asked
        for one in conditions
    ]
    return ItemResult(rows, image.skipped)


def _row(
    model: Vlm, asked: Asked, picture: Image.Image, one: AnswerCondition, max_new_tokens: int
) -> Row:
    row: Row = asked.keys | {
        "method": one.method,
        "positions": "" if one.pruner is None else one.pruner.positions,
        "budget": None if one.budget is None else float(one.budget),
        "draw": one.draw,
    }
    try:
        found = model.answer(
            picture, asked.prompt, one.pruner, one.budget, asked.text, max_new_tokens
        )
    except ValueError as error:
        lost = dict.fromkeys(("answer", "visual_tokens", "read", "score"))
        return row | lost | {"state": "failed", "failure": str(error)}
    return row | {
        "answer": found.text,
        "visual_tokens": float(found.visual_tokens),
        **asked.score(found.text)._asdict(),
        "failure": "",
    }
