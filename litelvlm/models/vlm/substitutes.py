"""Scores in place of CLIP's text similarity, each under its own name.

A model without a text tower of its own gives no text embedding, so LiteLVLM and its kin cannot run
as published. These methods keep the tokens with the highest of another score;
``get_pruner("reverse", of=...)`` keeps the lowest.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from litelvlm.names import check_name
from litelvlm.pruning import Cues, Pruner, ScorePruner, get_pruner, list_pruners


@dataclass(frozen=True, kw_only=True)
class ExternalSimilarity(ScorePruner):
    """Keeps the tokens whose cell another model finds most similar to the text (U1).

    ``s_i`` is given with the call, resampled to the grid of the tokens. Cost: the other model.
    """

    name: ClassVar[str] = "external_similarity"
    title: ClassVar[str] = "external similarity (U1)"
    summary: ClassVar[str] = "tokens most similar to the text in another model"
    needs: ClassVar[frozenset[str]] = frozenset({"external_similarity"})
    stage: ClassVar[str] = "post_projector"
    text_guided: ClassVar[bool] = True

    def score(self, cues: Cues) -> Float[Tensor, "n"]:
        """The given similarity."""
        return cues.float32("external_similarity")


@dataclass(frozen=True, kw_only=True)
class InputSimilarity(ScorePruner):
    """Keeps the tokens most like the words behind the image (U2).

    ``s_i = cos(P_i, mean_j e_j)`` in the language model's input space, e_j the embeddings of all
    text tokens behind the image, words of the template included. Cost: N x d.
    """

    name: ClassVar[str] = "input_similarity"
    title: ClassVar[str] = "input similarity (U2)"
    summary: ClassVar[str] = "tokens most like the mean embedding of the text behind the image"
    needs: ClassVar[frozenset[str]] = frozenset({"input_similarity"})
    stage: ClassVar[str] = "post_projector"
    text_guided: ClassVar[bool] = True

    def score(self, cues: Cues) -> Float[Tensor, "n"]:
        """The cosine."""
        return cues.float32("input_similarity")


@dataclass(frozen=True, kw_only=True)
class ReceivedAttention(ScorePruner):
    """Keeps the tokens that the image tower's last block attends to most (U3).

    ``s_i = mean_h mean_j A[h, j, i]``, mean over the patches of a token. It stands in for CLS
    attention in towers without CLS. Cost: the attention of one block.

    Source: the answer of VisPruner's author for encoders without CLS (Theia-4869/VisPruner issue
        1).
    """

    name: ClassVar[str] = "received_attention"
    title: ClassVar[str] = "received attention (U3)"
    summary: ClassVar[str] = "tokens that the tower's last block attends to most"
    needs: ClassVar[frozenset[str]] = frozenset({"received_attention"})
    stage: ClassVar[str] = "post_projector"

    def score(self, cues: Cues) -> Float[Tensor, "n"]:
        """The attention received."""
        return cues.float32("received_attention")


@dataclass(frozen=True, kw_only=True)
class TowerValueNorm(ScorePruner):
    """Keeps the tokens with the longest value vectors in the image tower's last block (U4).

    ``s_i = |V_i|_2``, heads joined, mean over the patches of a token. Cost: N x D.
    """

    name: ClassVar[str] = "tower_value_norm"
    title: ClassVar[str] = "tower value norm (U4)"
    summary: ClassVar[str] = "tokens with the longest values in the tower's last block"
    needs: ClassVar[frozenset[str]] = frozenset({"tower_value_norm"})
    stage: ClassVar[str] = "post_projector"

    def score(self, cues: Cues) -> Float[Tensor, "n"]:
        """The length."""
        return cues.float32("tower_value_norm")


SUBSTITUTES: Mapping[str, type[Pruner]] = MappingProxyType(
    {
        method.name: method
        for method in (ExternalSimilarity, InputSimilarity, ReceivedAttention, TowerValueNorm)
    }
)
"""U1 to U4 by name. U5 is ``llm_attention`` with ``query_token="last_prompt"``."""


def pruner_of(method: Pruner | str) -> Pruner:
    """A method from itself or its name, substitutes included.

    Raises:
        ValueError: If there is no such method.
    """
    if isinstance(method, Pruner):
        return method
    if method in SUBSTITUTES:
        return SUBSTITUTES[method]()
    if ":" in method:
        return get_pruner(method)
    return get_pruner(check_name(method, [*list_pruners(), *SUBSTITUTES], "pruner"))
