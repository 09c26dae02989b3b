"""What decides the weights of a fine-tuning, but for the model and the data it begins with."""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from litelvlm.training.loop import Stage

Projection = Literal["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
Part = Literal["lm_head", "embed_tokens", "mask_decoder", "text_hidden_fcs"]
Count = Annotated[int, Field(ge=1)]
Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Moment = Annotated[float, Field(ge=0, lt=1)]
Rate = Annotated[float, Field(gt=0, allow_inf_nan=False)]


@dataclass(frozen=True)
class LinearStage(Stage):
    """A stage whose rate falls in a straight line after the warm-up.

    Attributes:
        beta1, beta2: Of AdamW.
    """

    beta1: float = 0.9
    beta2: float = 0.95

    @property
    def betas(self) -> tuple[float, float]:
        """How slowly AdamW's two moments follow."""
        return self.beta1, self.beta2

    def rate(self, step: int) -> float:
        """Learning rate of a step: linear warm-up, then linearly to 0 behind the last step."""
        if step < self.warmup:
            return self.lr * (step + 1) / self.warmup
        return self.lr * (self.steps - step) / (self.steps - self.warmup)


def check_warmup(warmup: int, steps: int) -> None:
    """Refuse a warm-up that outlasts the training.

    Raises:
        ValueError: If the rate never reaches its peak.
    """
    if warmup > steps:
        raise ValueError(
            f"warmup {warmup} is more than the {steps} steps, so the rate never reaches its peak; "
            f"give warmup from 0 to {steps}"
        )


class FineTuneRecipe(BaseModel):
    """Options of a fine-tuning; the defaults are the official script's.

    Attributes:
        pruner: Method, as on the command line; "none" trains with every token.
        budget: Tokens to keep, or shares of all; of several, each part of a step draws one.
        steps: Optimiser steps.
        batch: Images of a part of a step, in each process.
        accumulation: Parts of a step, whose gradients are averaged.
        expressions: Expressions of an image at most, drawn; they share a conversation.
        lr: Peak learning rate.
        warmup: Steps of linear warm-up, at most all; afterwards the rate falls linearly to 0.
        weight_decay: AdamW's.
        beta1, beta2: AdamW's.
        lora_rank, lora_alpha, lora_dropout: LoRA of the language model's projections.
        lora_targets: These projections.
        trained: Parts that are trained as a whole.
        ce_weight: Weight of the cross-entropy of the answers' words.
        dice_weight: Weight of the masks' Dice loss.
        bce_weight: Weight of the masks' cross-entropy.
        seed: Of the adapters, the order of the images and every draw.

    Source: GLaMM official code, ``train.py`` and ``model/GLaMM.py``; its first step has rate 0,
    where the first of the warm-up's rates is used here.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    pruner: str = "litelvlm"
    budget: tuple[int | float, ...] = ()
    steps: Count = 2500
    batch: Count = 2
    accumulation: Count = 10
    expressions: Count = 3
    lr: Rate = 3e-4
    warmup: Annotated[int, Field(ge=0)] = 100
    weight_decay: Weight = 0.0
    beta1: Moment = 0.9
    beta2: Moment = 0.95
    lora_rank: Count = 8
    lora_alpha: Count = 16
    lora_dropout: Moment = 0.05
    lora_targets: Annotated[tuple[Projection, ...], Field(min_length=1)] = ("q_proj", "v_proj")
    trained: tuple[Part, ...] = ("lm_head", "embed_tokens", "mask_decoder", "text_hidden_fcs")
    ce_weight: Weight = 1.0
    dice_weight: Weight = 0.5
    bce_weight: Weight = 2.0
    seed: Annotated[int, Field(ge=0)] = 0

    @model_validator(mode="after")
    def _reaches_its_peak(self) -> "FineTuneRecipe":
        check_warmup(self.warmup, self.steps)
        return self

    def stage(self, save_every: int) -> LinearStage:
        """The stage that the loop runs."""
        return LinearStage(
            "finetune",
            steps=self.steps,
            batch=self.batch,
            lr=self.lr,
            warmup=self.warmup,
            weight_decay=self.weight_decay,
            save_every=save_every,
            beta1=self.beta1,
            beta2=self.beta2,
        )
