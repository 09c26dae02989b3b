"""Scores in place of CLIP's text similarity, each under its own name.

A model without a text tower of its own gives no text embedding, so LiteLVLM and its kin cannot run
as published. These methods keep the tokens with the highest of another score, which ``prune`` and
``load_vlm`` compute; ``get_pruner("reverse", of=...)`` keeps the lowest.
``llm_attention`` with ``query_token="last_prompt"`` is one more.
"""

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from litelvlm.pruning.base import Origin, ScorePruner
from litelvlm.pruning.cues import Cues


@dataclass(frozen=True, kw_only=True)
class Substitute(ScorePruner):
    """Keeps the tokens with the highest value of the cue that bears the method's name."""

    stage: ClassVar[str] = "post_projector"

    def score(self, cues: Cues) -> Float[Tensor, "n"]:
        """The cue."""
        return cues.float32(self.name)


@dataclass(frozen=True, kw_only=True)
class ExternalSimilarity(Substitute):
    """Keeps the tokens whose cell another model finds most similar to the text.

    ``s_i`` is given with the call, resampled to the grid of the tokens. Cost: the other model.
    """

    name: ClassVar[str] = "external_similarity"
    title: ClassVar[str] = "external similarity"
    summary: ClassVar[str] = "tokens most similar to the text in another model"
    needs: ClassVar[frozenset[str]] = frozenset({"external_similarity"})
    text_guided: ClassVar[bool] = True


@dataclass(frozen=True, kw_only=True)
class InputSimilarity(Substitute):
    """Keeps the tokens most like the words behind the image.

    ``s_i = cos(P_i, mean_j e_j)`` in the language model's input space, e_j the embeddings of all
    text tokens behind the image, words of the template included. Cost: N x d.
    """

    name: ClassVar[str] = "input_similarity"
    title: ClassVar[str] = "input similarity"
    summary: ClassVar[str] = "tokens most like the mean embedding of the text behind the image"
    needs: ClassVar[frozenset[str]] = frozenset({"input_similarity"})
    text_guided: ClassVar[bool] = True


@dataclass(frozen=True, kw_only=True)
class ReceivedAttention(Substitute):
    """Keeps the tokens that the image tower's last block attends to most.

    ``s_i = mean_h mean_j A[h, j, i]``, mean over the patches of a token. It stands in for CLS
    attention in towers without CLS. Cost: the attention of one block.

    Source: the answer of VisPruner's author for encoders without CLS (Theia-4869/VisPruner issue
        1).
    """

    name: ClassVar[str] = "received_attention"
    title: ClassVar[str] = "received attention"
    summary: ClassVar[str] = "tokens that the tower's last block attends to most"
    origin: ClassVar[Origin] = Origin("VisPruner issue 1", "Apache-2.0", "B")
    needs: ClassVar[frozenset[str]] = frozenset({"received_attention"})


@dataclass(frozen=True, kw_only=True)
class TowerValueNorm(Substitute):
    """Keeps the tokens with the longest value vectors in the image tower's last block.

    ``s_i = |V_i|_2``, heads joined, mean over the patches of a token. Cost: N x D.
    """

    name: ClassVar[str] = "tower_value_norm"
    title: ClassVar[str] = "tower value norm"
    summary: ClassVar[str] = "tokens with the longest values in the tower's last block"
    needs: ClassVar[frozenset[str]] = frozenset({"tower_value_norm"})
