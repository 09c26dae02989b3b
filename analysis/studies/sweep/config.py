"""What a sweep compares: methods with presets and fields, budgets, and the protocol."""

from collections.abc import Sequence
from typing import Literal

from pydantic import model_validator

from litelvlm.analysis.inputs.methods import (
    PAPER,
    PAPER_RULE,
    RANDOM,
    Method,
    Methods,
    check_distinct,
)
from litelvlm.analysis.inputs.questions import AnswerConfig
from litelvlm.analysis.runs.config import Budgets, Count, Share

DEFAULT_METHODS = (
    PAPER,
    PAPER_RULE,
    "high_similarity",
    "value_path",
    "value_path_grid",
    RANDOM,
    "uniform",
    "avgpool",
    "image_downsampling",
    "mask_oracle",
    "inverse_mask_oracle",
)
Protocol = Literal["single", "conversation", "official"]


class Config(AnswerConfig):
    """Configuration of the study.

    Attributes:
        methods: Methods to compare: names, "name:preset", "name(field=value)", method objects of
            any class, or "all" for every method in every preset. The unpruned model is always run.
        budgets: Token counts; None for the published shares of all tokens.
        seeds: Draws of a method that is random; in protocol "official" also of expressions and
            templates.
        protocol: "single": every expression alone, with one template. "conversation": all
            expressions of an image in one conversation with one selection, with one template.
            "official": up to three drawn expressions of an image in such a conversation with drawn
            templates, as the official evaluation does.
        doubled: Target pixels where polygons of one object overlap: "background" as in the official
            evaluation (a predicted one is an error, one left out is none), or part of the "object".
        answer: "forced": the model reads a template answer. "generated": it answers itself; an
            answer without [SEG] is an empty mask, and is counted.
        retained: Share of the unpruned score that a method keeps at its largest budget, as H8 says.
    """

    methods: Methods = tuple(Method.parse(m) for m in DEFAULT_METHODS)
    budgets: Budgets | None = None
    seeds: Count = 5
    protocol: Protocol = "single"
    doubled: Literal["background", "object"] = "background"
    answer: Literal["forced", "generated"] = "forced"
    retained: Share = 0.90

    @model_validator(mode="after")
    def _distinct(self) -> "Config":
        check_distinct(self.methods)
        if self.protocol == "official" and (self.question_index or self.answer_index):
            raise ValueError(
                "protocol 'official' draws its templates; leave out question_index and answer_index"
            )
        return self


def sweep_of(
    config: AnswerConfig, methods: Sequence[str | Method], seeds: int, **more: object
) -> Config:
    """A sweep of methods that asks as another study does, for studies that add to its rows."""
    asked = {
        name: getattr(config, name) for name in ("question_index", "answer_index", "batch_size")
    }
    return Config.model_validate(asked | {"methods": tuple(methods), "seeds": seeds} | more)
