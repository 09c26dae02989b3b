"""Scores of the tokens before any language model runs: each could make a selection."""

from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from litelvlm.arrays import Array
from litelvlm.pruning.cues import Cues
from litelvlm.pruning.features import row_norms
from litelvlm.pruning.methods.centre_distance import CentreDistance
from litelvlm.pruning.methods.cls_cosine import ClsCosine
from litelvlm.pruning.methods.fastervlm import FasterVLM
from litelvlm.pruning.methods.similarity import HighSimilarity, LowSimilarity
from litelvlm.pruning.methods.value_norm import ValueNorm
from litelvlm.pruning.ranking import stable_order
from litelvlm.pruning.scoring.context import context_scores

REVERSED = "low_similarity"
SCORES = (
    REVERSED,
    "cosine_low_similarity",
    "context",
    "cls_attention",
    "value_norm",
    "state_norm",
    "cls_cosine",
    "centre_distance",
    "random",
    "coverage",
)
"""Scores by name, high is kept; the highest-similarity ranking has the negated correlations."""

# A massive activation: beyond 20 in units of the root mean square for width 4096, where 64 is the
# most there can be, sqrt(width).
MASSIVE_SHARE = 20 / 64


def clip_scores(cues: Cues, rng: np.random.Generator) -> dict[str, Float[Array, "n"]]:
    """Every score of ``SCORES`` for one image and its text; high means that the method keeps it.

    Args:
        cues: Of one image and one text; "coverage" of the true mask is one of the scores, as what
            an oracle would use.
        rng: Of the random score.
    """
    found: Mapping[str, Tensor] = {
        REVERSED: LowSimilarity().score(cues),
        "cosine_low_similarity": LowSimilarity(similarity="cosine").score(cues),
        "context": context_scores(cues),
        "cls_attention": FasterVLM().score(cues),
        "value_norm": ValueNorm().score(cues),
        "state_norm": row_norms(cues.float32("patch_tokens")),
        "cls_cosine": ClsCosine().score(cues),
        "centre_distance": CentreDistance().score(cues),
        "coverage": cues.float32("coverage"),
    }
    scores = {
        name: values.float().cpu().numpy().astype(np.float64) for name, values in found.items()
    }
    return scores | {"random": rng.random(cues.n_tokens)}


def ranking(values: Float[Array, "n"]) -> Int[Array, "n"]:
    """Token indices, highest value first, ties by lower index."""
    order: Array = stable_order(torch.from_numpy(values), descending=True).numpy()
    return order


def highest_similarity(cues: Cues) -> Float[Array, "n"]:
    """The intuitive score, opposite to the method's."""
    return HighSimilarity().score(cues).float().cpu().numpy().astype(np.float64)


def visual_sinks(states: Float[Tensor, "s d"], first: int, n_tokens: int) -> Bool[Array, "n"]:
    """Visual tokens with massive activations in the massive channels of the first token.

    Args:
        states: States inside the language model.
        first: Index of the first visual token.
        n_tokens: Visual tokens.

    Source: Kang et al. 2025, See what you are told: visual attention sink in large multimodal
        models, section 3. There the bound is 20 at d = 4096, and channels 1415 and 2533 of
        LLaMA-2-7B were found by looking; here they are read off the first token, so that any model
        can be asked.
    """
    scaled = states.float() / states.float().pow(2).mean(1, keepdim=True).sqrt().clamp(min=1e-12)
    bound = MASSIVE_SHARE * states.shape[1] ** 0.5
    channels = scaled[0].abs() > bound
    massive = (scaled[first : first + n_tokens, channels].abs() > bound).any(1)
    found: Array = massive.cpu().numpy()
    return found
