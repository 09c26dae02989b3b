"""What the fine-tuning study trains and evaluates."""

from pathlib import Path
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
from litelvlm.analysis.runs.config import Count, Index, Share, Tokens
from litelvlm.training.finetune.recipe import check_warmup

GRID = "uniform"
DEFAULT_METHODS = (PAPER, RANDOM, GRID, "value_path", "avgpool")


class Config(AnswerConfig):
    """Configuration of the study.

    Attributes:
        trainings: Folder of the trainings; those that are not finished there are trained first.
        train_data: Data to train on, as a command names them.
        train_split: Their split.
        methods: Methods to train with and to evaluate with; training with every token is added.
        budget: Tokens that are kept in training.
        other_budgets: Other numbers of tokens of the evaluation, each once.
        trained_seeds: Trainings with each method, that have seeds from 0.
        steps: Of each training.
        batch: Images of a step.
        warmup: Steps of linear warm-up, at most all.
        lr: Peak learning rate.
        draws: Of a random method, in the evaluation.
        images: Images of the evaluation, at least 2, taken at even distances from the split; None
            for all.
        expressions: Expressions of each image, likewise; None for all.
        margin: Differences of the score within it count as none.
    """

    trainings: Path = Path("finetuned")
    train_data: str = "embedded"
    train_split: str = "train"
    methods: Methods = tuple(Method.parse(m) for m in DEFAULT_METHODS)
    budget: Tokens = 48
    other_budgets: tuple[Tokens, ...] = (16,)
    trained_seeds: Count = 5
    steps: Count = 150
    batch: Count = 4
    warmup: Index = 15
    lr: Annotated[float, Field(gt=0)] = 3e-4
    draws: Count = 2
    images: Annotated[int, Field(ge=2)] | None = 60
    expressions: Count | None = 1
    margin: Share = 0.01

    @model_validator(mode="after")
    def _judged(self) -> "Config":
        check_distinct(self.methods)
        labels = [method.label for method in self.methods]
        missing = [name for name in (PAPER, GRID) if name not in labels]
        if missing:
            raise ValueError(f"the study compares {PAPER} with {GRID}; add {missing[0]} to methods")
        if UNPRUNED in labels:
            raise ValueError(f"training with every token is added by itself; leave {UNPRUNED} out")
        if len(set(self.budgets)) < len(self.budgets):
            raise ValueError(
                f"other_budgets {list(self.other_budgets)} names one twice, or the trained budget "
                f"{self.budget}; give other numbers, each once"
            )
        check_warmup(self.warmup, self.steps)
        return self

    @property
    def budgets(self) -> tuple[int, ...]:
        """All budgets of the evaluation."""
        return self.budget, *self.other_budgets
