"""The oracle of two passes: keep the tokens that the unpruned language model attends to."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from jaxtyping import Float
from torch import Tensor

from litelvlm.names import check_name
from litelvlm.pruning.base import ScorePruner
from litelvlm.pruning.cues import Cues
from litelvlm.pruning.layers.drops import middle_layers

POOLS = ("middle", "mean")


@dataclass(frozen=True, kw_only=True)
class LlmAttention(ScorePruner):
    """Keeps the tokens that an unpruned pass attends to.

    ``s_i = mean_{l in layers} mean_h A_l[h, query, i]``. Oracle: it spends a whole pass to prune
    the next one, so it saves nothing; it shows how good attention could be as a score if it were
    known before the language model. Cost: one unpruned pass and one attention row per layer.

    Attributes:
        layers: A layer, from 0; a share of the depth, below 1 (0.5 is layer 16 of 32); "middle":
            see ``middle_layers``; "mean": all.
        query_token: The token whose attention is read. "seg": the state that the mask is decoded
            from; "last_prompt": the last token before the answer, which generation would know. Mean
            over the turns.
    """

    name: ClassVar[str] = "llm_attention"
    title: ClassVar[str] = "LLM attention, two passes"
    summary: ClassVar[str] = (
        "tokens that an unpruned pass of the language model attends to (oracle)"
    )
    needs: ClassVar[frozenset[str]] = frozenset({"llm_attention", "llm_prompt_attention"})
    text_guided: ClassVar[bool] = True

    layers: int | float | str = "middle"
    query_token: Literal["seg", "last_prompt"] = "seg"  # noqa: S105 - a place in the text

    @classmethod
    def check_options(cls, options: Mapping[str, object]) -> None:
        """Refuse layers that are neither a number nor one of ``POOLS``."""
        super().check_options({name: value for name, value in options.items() if name != "layers"})
        layers = options.get("layers", "middle")
        if isinstance(layers, str):
            check_name(layers, POOLS, "layers")
        elif not (type(layers) is int and layers >= 0) and not (
            type(layers) is float and 0 <= layers < 1
        ):
            raise ValueError(
                f"layers {layers!r} is not allowed; give a layer from 0, a share of the depth "
                "below 1, 'middle' or 'mean'"
            )

    def score(self, cues: Cues) -> Float[Tensor, "n"]:
        """Attention, mean over the chosen layers."""
        by_seg = self.query_token == "seg"  # noqa: S105 - a place in the text, no credential
        seen = cues.float32("llm_attention" if by_seg else "llm_prompt_attention")
        return seen[:, layer_slice(self.layers, seen.shape[1])].mean(dim=1)


def layer_slice(  # type: ignore[explicit-any, unused-ignore]  # a slice has no types at run time
    layers: int | float | str, n_layers: int
) -> slice:
    """The layers that are averaged.

    Raises:
        ValueError: If the model has no such layer.

    Example:
        >>> layer_slice("mean", 4), layer_slice(2, 4), layer_slice(0.5, 32)
        (slice(0, 4, None), slice(2, 3, None), slice(16, 17, None))
    """
    if isinstance(layers, str):
        return middle_layers(n_layers) if layers == "middle" else slice(0, n_layers)
    layer = int(layers * n_layers) if isinstance(layers, float) else layers
    if layer >= n_layers:
        raise ValueError(
            f"layers {layer} does not exist; the language model has 0 to {n_layers - 1}"
        )
    return slice(layer, layer + 1)
