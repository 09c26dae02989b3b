"""What the explorer ranks tokens by: signals of the model, and the methods' own scores."""

from collections.abc import Mapping

from jaxtyping import Float
from torch import Tensor

from litelvlm.analysis.pages.explore.pack import pack_levels, pack_order
from litelvlm.analysis.studies.sweep.config import Config
from litelvlm.pruning import (
    Cues,
    LiteLVLM,
    Pruner,
    ScorePruner,
    context_scores,
    get_pruner,
    stable_order,
    text_similarity,
)

SIGNALS: Mapping[str, tuple[str, str]] = {
    "similarity": ("similarity to the text", "similarity to the text; LiteLVLM keeps the lowest"),
    "context": (
        "context score",
        "LiteLVLM's context score: attention of CLS by cosine, times the value norm",
    ),
    "cls_attention": ("attention of CLS", "attention of CLS to the token, mean over heads"),
    "value_norm": ("value norm", "norm of the token's value in the last block"),
    "centre": (
        "nearness to the centre",
        "minus the squared distance to the centre of the grid, in cells",
    ),
    "coverage": ("true coverage", "share of the token's cell under the true mask"),
    "seg_attention": (
        "attention of [SEG]",
        "attention of the state that predicts [SEG], mean over the middle layers of the "
        "unpruned language model",
    ),
    "gradient": (
        "gradient x input",
        "how much the unpruned mask depends on the token, to first order",
    ),
    "block_removal": (
        "loss without its block",
        "fall of the unpruned mask's soft Dice without the token's block",
    ),
}
"""Label and meaning of every signal that ranks tokens on the page; rank 1 is the highest."""

INSIDE: Mapping[str, str] = {
    "seg_attention": "llm_attention",
    "gradient": "llm_gradient",
    "block_removal": "block_loo",
}
"""Signals of the language model, with the oracle that ranks by each; about 40 passes in all."""


def token_scores(
    cues: Cues, config: Config, inside: bool = True
) -> dict[str, Float[Tensor, "n"] | None]:
    """Score of every token by signal or method label; None where a method ranks no single token."""
    signals = {
        "similarity": text_similarity(cues).mean(dim=0),
        "context": context_scores(cues),
        "cls_attention": cues.float32("cls_attention"),
        "value_norm": context_scores(cues, "value_norm"),
        "centre": method_score(get_pruner("centre_distance"), cues),
        "coverage": cues.float32("coverage"),
    }
    if inside:
        signals |= {name: method_score(get_pruner(oracle), cues) for name, oracle in INSIDE.items()}
    own = {m.label: method_score(m.pruner(0 if m.seeded else None), cues) for m in config.methods}
    return {**signals, **own}


def method_score(pruner: Pruner, cues: Cues) -> Float[Tensor, "n"] | None:
    """Scores that a method ranks tokens by, higher is kept; None where there is no such score.

    Context tokens of LiteLVLM are chosen by another score than this similarity.
    """
    if isinstance(pruner, ScorePruner):
        return pruner.score(cues)
    if isinstance(pruner, LiteLVLM):
        similarity = text_similarity(cues, pruner.similarity).mean(dim=0)
        return similarity if pruner.direction == "highest" else -similarity
    return None


def pack_scores(values: Float[Tensor, "n"]) -> dict[str, float | str]:
    """Scores and their ranking ("order"), ties to the lower index."""
    order = stable_order(values.float().cpu(), descending=True).numpy()
    return pack_levels(values.float().cpu().numpy()) | {"order": pack_order(order)}
