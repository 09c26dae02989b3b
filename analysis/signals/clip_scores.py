"""Scores of the tokens before any language model runs: each could make a selection."""

from collections.abc import Iterable

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from litelvlm.arrays import Array
from litelvlm.models.attribution import TokenQuery
from litelvlm.pruning.cues import Cues
from litelvlm.pruning.methods.centre_distance import CentreDistance
from litelvlm.pruning.methods.cls_cosine import ClsCosine
from litelvlm.pruning.methods.fastervlm import FasterVLM
from litelvlm.pruning.methods.similarity import LowSimilarity
from litelvlm.pruning.methods.value_norm import ValueNorm
from litelvlm.pruning.ranking import row_norms, stable_order
from litelvlm.pruning.scoring import context_scores

REVERSED, REVERSED_INPUT = "low_similarity", "low_input_similarity"
SUBSTITUTES = (
    REVERSED_INPUT,
    "received_attention",
    "tower_value_norm",
    "state_norm",
    "centre_distance",
    "random",
    "coverage",
)
"""Scores of models without a text tower of their own
(``litelvlm.pruning.methods.substitutes``); the state norm is that of the projected token."""
LEADS = (REVERSED, REVERSED_INPUT)

Scores = dict[str, Float[Array, "n"]]


def token_scores(
    query: TokenQuery, coverage: Float[Array, "n"], rng: np.random.Generator
) -> Scores:
    """Every score of one image and its text; high means that the method keeps it.

    Args:
        query: The image and its text. What compares the two decides which scores there are:
            those of CLIP, or ``SUBSTITUTES`` where the model has no text tower.
        coverage: Of the true mask, which is one of the scores, as what an oracle would use.
        rng: Of the random score.
    """
    cues = query.cues(torch.from_numpy(coverage).float())
    scores = _SCORED[query.similarity](cues) | {"coverage": cues.float32("coverage")}
    arrays = {
        name: values.float().cpu().numpy().astype(np.float64) for name, values in scores.items()
    }
    return arrays | {"random": rng.random(cues.n_tokens)}


def _clip_scores(cues: Cues) -> dict[str, Tensor]:
    return {
        REVERSED: LowSimilarity().score(cues),
        "cosine_low_similarity": LowSimilarity(similarity="cosine").score(cues),
        "context": context_scores(cues),
        "cls_attention": FasterVLM().score(cues),
        "value_norm": ValueNorm().score(cues),
        "state_norm": row_norms(cues.float32("patch_tokens")),
        "cls_cosine": ClsCosine().score(cues),
        "centre_distance": CentreDistance().score(cues),
    }


def _substitute_scores(cues: Cues) -> dict[str, Tensor]:
    return {
        REVERSED_INPUT: -cues.float32("input_similarity"),
        "received_attention": cues.float32("received_attention"),
        "tower_value_norm": cues.float32("tower_value_norm"),
        "state_norm": row_norms(cues.float32("projected")),
        "centre_distance": CentreDistance().score(cues),
    }


_SCORED = {"clip": _clip_scores, "input": _substitute_scores}


def lead_of(names: Iterable[str]) -> str:
    """The reversed ranking among the names of scores: what claims are about.

    Raises:
        ValueError: If none of ``LEADS`` is among them.
    """
    present = set(names)
    found = [name for name in LEADS if name in present]
    if not found:
        raise ValueError(
            f"none of the reversed rankings ({', '.join(LEADS)}) is among {', '.join(present)}"
        )
    return found[0]


OPPOSITES = {REVERSED: "high_similarity", REVERSED_INPUT: "high_input_similarity"}
"""The intuitive ranking, opposite to each reversed one."""


def ranking(values: Float[Array, "n"]) -> Int[Array, "n"]:
    """Token indices, highest value first, ties by lower index."""
    order: Array = stable_order(torch.from_numpy(values), descending=True).numpy()
    return order
