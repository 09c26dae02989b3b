"""What the bench times: methods at budgets, and the prompt each gives the language model."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import torch
from PIL import Image
from pydantic import Field, model_validator

from litelvlm.analysis.inputs.methods import PAPER, UNPRUNED, AnyMethod, check_distinct
from litelvlm.analysis.runs.config import (
    Budgets,
    Count,
    Index,
    StudyConfig,
)
from litelvlm.analysis.runs.outcome import Exclusion
from litelvlm.analysis.studies.sweep.passes import model_sizes
from litelvlm.models.base import Conversation
from litelvlm.models.glamm.language.layer_pruning import LayerDropping
from litelvlm.models.glamm.model import Glamm
from litelvlm.models.glamm.outputs import Spliced
from litelvlm.pruning import LayerPruner, Pruner, Selection
from litelvlm.pruning.cues import TRUTH


class Config(StudyConfig):
    """Configuration of the bench.

    Attributes:
        methods: Methods to time beside the unpruned model.
        budgets: Token counts; None for the published shares. All tokens are always added for the
            paper's method.
        n_texts: Expressions per pass, all in one conversation with one selection.
        rounds: Timed rounds, at least 2, for one alone has no interval.
        warm_up: Rounds before them.
        decoded: Answer tokens behind the first one that the language model generates to time one of
            them.
        prefill_only: Time the prefill of the language model alone, on random states: what a CPU can
            do at full size.
    """

    methods: tuple[AnyMethod, ...] = (PAPER, "vispruner", "fastv")  # type: ignore[assignment]
    budgets: Budgets | None = None
    n_texts: Annotated[tuple[Count, ...], Field(min_length=1)] = (1,)
    rounds: int = Field(default=20, ge=2)
    warm_up: Index = 3
    decoded: Count = 8
    prefill_only: bool = False

    model_config = StudyConfig.model_config | {"validate_default": True}

    @model_validator(mode="after")
    def _can_be_timed(self) -> "Config":
        check_distinct(self.methods)
        if len(set(self.n_texts)) < len(self.n_texts):
            raise ValueError(
                f"n_texts holds a number twice: {', '.join(map(str, self.n_texts))}; name each once"
            )
        oracles = [method.label for method in self.methods if method.pruner().needs & TRUTH]
        if oracles:
            raise ValueError(
                f"methods that read the true mask cannot be timed: {', '.join(oracles)}; "
                "leave them out"
            )
        return self


@dataclass(frozen=True)
class Arm:
    """What is timed: a method at a budget, None for the unpruned model."""

    method: str
    pruner: Pruner | None
    budget: int
    n_text: int


def arms_of(
    model: Glamm, config: Config, budgets: Sequence[int]
) -> tuple[list[Arm], tuple[Exclusion, ...]]:
    """What is timed, and why the rest is not."""
    arms, excluded = list[Arm](), dict[tuple[str, int], Exclusion]()
    for n_text in config.n_texts:
        arms.append(Arm(UNPRUNED, None, model.n_tokens, n_text))
        for method in config.methods:
            whole = (model.n_tokens,) if method.label == PAPER else ()
            for budget in dict.fromkeys((*whole, *budgets)):
                pruner = method.pruner()
                try:
                    pruner.average_tokens(budget, model_sizes(model))
                except ValueError as error:
                    excluded[method.label, budget] = Exclusion(
                        method=method.label, budget=budget, reason=str(error)
                    )
                else:
                    arms.append(Arm(method.label, pruner, budget, n_text))
    return arms, tuple(excluded.values())


@dataclass(frozen=True)
class Prompt:
    """A spliced sequence of random visual states, as the language model gets it from one arm.

    Attributes:
        conversation: Its questions and answers.
        plan: What drops tokens inside the language model; None if nothing does.
        spliced: Its embeddings with the visual states in place.
    """

    conversation: Conversation
    plan: Selection | None
    spliced: Spliced

    @classmethod
    def of(cls, model: Glamm, picture: Image.Image, texts: list[str], arm: Arm) -> "Prompt":
        """The prompt about the first texts, with the tokens that enter the language model."""
        conversation, plan, n_tokens = model.conversation(texts[: arm.n_text]), None, arm.budget
        if isinstance(arm.pruner, LayerPruner):
            cues = model.cues(model.encode_image(picture), conversation)
            plan = arm.pruner.select(cues, arm.budget)
            n_tokens = len(plan)
        generator, shape = (
            torch.Generator(model.device).manual_seed(0),
            (n_tokens, model.llama.config.hidden_size),
        )
        visual = torch.randn(shape, generator=generator, device=model.device, dtype=model.dtype)
        return cls(conversation, plan, model.splice([visual], [conversation], [plan]))

    def dropping(self, model: Glamm) -> LayerDropping | None:
        """What drops tokens between layers, anew for each pass."""
        if self.plan is None:
            return None
        spliced = self.spliced
        return LayerDropping(
            model.llama,
            model.tokenizer,
            [self.conversation],
            [self.plan],
            spliced.image_start,
            spliced.lengths,
        )
