"""What the study of clips compares: prune points, methods, budgets as shares, and the window."""

from typing import Annotated

from pydantic import Field, model_validator

from litelvlm.analysis.inputs.methods import (
    PAPER,
    RANDOM,
    UNPRUNED,
    Method,
    Methods,
    check_distinct,
)
from litelvlm.analysis.inputs.questions import AnswerConfig
from litelvlm.analysis.runs.config import Count, Share
from litelvlm.models.video_glamm.points import POINTS
from litelvlm.names import check_name

RIVAL = "vispruner"
EVEN, FIRST, WHOLE = "uniform", "uniform(frames=first)", "random(frames=whole)"
"""The three temporal controls: every frame alike, the first frame before any other, whole frames
drawn at random."""
DEFAULT_METHODS = (PAPER, RIVAL, "value_path", RANDOM, EVEN, FIRST, WHOLE, "mask_oracle")


class Config(AnswerConfig):
    """Configuration of the study.

    Attributes:
        methods: Methods to compare at every prune point; one that a point cannot hold is named in
            the record. The unpruned model is always run.
        points: Prune points of the model.
        shares: Of the tokens among which a method chooses, largest first. Each frame keeps the
            nearest whole number of them, at V1 the square of the nearest side; at V4 the clip keeps
            their sum. The first two are the paper's 196 and 81 of 576.
        kept: Shares of the tokens, and the part of the unpruned J&F that the paper keeps there.
        near: How far, as a part of it, a budget may lie from such a share to be judged by it.
        window: Tokens that a token sees in the comparison of windows, as a share of the unpruned
            visual tokens. The published window has 2,048 of 3,328.
        seeds: Draws of random methods.
        clips: Clips, taken at even distances from the split; None for all.
        expressions: Expressions of each clip, likewise; None for all. Objects are paired anew only
            where all are asked.
    """

    methods: Methods = tuple(Method.parse(m) for m in DEFAULT_METHODS)
    points: Annotated[tuple[str, ...], Field(min_length=1)] = tuple(POINTS)
    shares: Annotated[tuple[Share, ...], Field(min_length=1)] = (196 / 576, 81 / 576, 36 / 576)
    kept: tuple[tuple[Share, Share], ...] = ((196 / 576, 0.995), (81 / 576, 0.95))
    near: Share = 0.25
    window: Share = 2048 / 3328
    seeds: Count = 3
    clips: Count | None = 24
    expressions: Count | None = None

    @model_validator(mode="after")
    def _possible(self) -> "Config":
        check_distinct(self.methods)
        for point in self.points:
            check_name(point, tuple(POINTS), "prune point")
        if len(set(self.points)) < len(self.points):
            raise ValueError(f"points names one twice: {', '.join(self.points)}")
        if list(self.shares) != sorted(set(self.shares), reverse=True):
            raise ValueError(f"shares must fall from entry to entry, got {self.shares}")
        if UNPRUNED in [method.label for method in self.methods]:
            raise ValueError(f"the unpruned model is always run; leave {UNPRUNED} out of methods")
        return self
