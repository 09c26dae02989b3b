"""`litelvlm finetune`: a GLaMM that is trained further while it reads pruned tokens."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from litelvlm.analysis.cli.options import DataOptions, Printing, require_writable


@dataclass(frozen=True, kw_only=True)
class FineTune(DataOptions, Printing):
    """Fine-tune a GLaMM on pruned tokens, with LoRA, and write the merged model.

    The defaults are those of the official script. The extra `train` is needed. To continue after an
    interrupt, run the same command again. The merged model is in OUT/checkpoint, and every other
    command takes it as --model. `accelerate launch` starts it on several GPUs.

    Examples:
      litelvlm finetune --model GLAMM --data REFER_SEGM --pruner litelvlm --budget 192 --out tuned
      litelvlm finetune --budget 48 --steps 40 --accumulation 1 --warmup 4 --out tuned
      litelvlm evaluate --model tuned/checkpoint --methods litelvlm --budgets 48
      litelvlm finetune --pruner none --out tuned-unpruned
      litelvlm finetune --pruner uniform --budget 48 32 16 --out tuned-grid
    """

    out: Path
    """Folder of the states, the log and the merged model."""
    split: str = "train"
    """Split of the data set; `litelvlm ls splits` lists them."""
    pruner: str = "litelvlm"
    """Method that chooses the tokens, as in `evaluate --methods`; "none" trains with every one."""
    budget: tuple[int | float, ...] = ()
    """Tokens to keep, or shares of all from 0 to 1; of several, one is drawn each time."""
    steps: int = 2500
    """Steps of the optimiser (official: 5 x 500)."""
    batch: int = 2
    """Images that are read at once, on each device."""
    accumulation: int = 10
    """Such batches of one step, whose gradients are averaged."""
    expressions: int = 3
    """Expressions of an image at most; they are drawn and share a conversation."""
    lr: float = 3e-4
    """Peak learning rate."""
    warmup: int = 100
    """Steps in which the rate rises; afterwards it falls to 0 in a straight line."""
    weight_decay: float = 0.0
    """Weight decay of AdamW, on matrices."""
    beta1: float = 0.9
    """First moment of AdamW."""
    beta2: float = 0.95
    """Second moment of AdamW."""
    lora_rank: int = 8
    """Rank of the LoRA factors."""
    lora_alpha: int = 16
    """Scale of LoRA; it is divided by the rank."""
    lora_dropout: float = 0.05
    """Dropout before the LoRA factors."""
    lora_targets: tuple[str, ...] = ("q_proj", "v_proj")
    """Projections of the language model's layers that get LoRA."""
    trained: tuple[Literal["lm_head", "embed_tokens", "mask_decoder", "text_hidden_fcs"], ...] = (
        "lm_head",
        "embed_tokens",
        "mask_decoder",
        "text_hidden_fcs",
    )
    """Parts that are trained as a whole."""
    ce_weight: float = 1.0
    """Weight of the cross-entropy of the answers' words."""
    dice_weight: float = 0.5
    """Weight of the masks' Dice loss."""
    bce_weight: float = 2.0
    """Weight of the masks' cross-entropy."""
    seed: int = 0
    """Seed of the LoRA factors, the order of the images and every draw."""
    save_every: int = 100
    """Steps between two states on disk."""
    keep_states: bool = False
    """Keep the states inside the layers instead of computing them again: faster, more memory."""
    cache: Path | None = None
    """Keep encoded images in this folder, and read those that are there (31 MB each for GLaMM)."""

    @property
    def image_cache(self) -> Path | None:
        """The same as ``cache``."""
        return self.cache

    def refuse_early(self) -> None:
        """Check the place of the output."""
        require_writable(self.out, folder=True)
        if self.save_every < 1:
            raise ValueError(
                f"--save-every {self.save_every} is below 1; save after 1 step or more"
            )
