"""One layer of any decoder as methods inside the language model see it."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from litelvlm.models.vlm_base.attention import AttentionStates, reading
from litelvlm.pruning.layers.base import LayerView


@runtime_checkable
class Decoder(Protocol):
    """What the views need of a language model's decoder.

    Attributes:
        layers: Its layers, each with ``self_attn`` and ``input_layernorm``.
        norm: Its final norm.
        rotary_emb: Cosine and sine of positions.
    """

    layers: nn.ModuleList
    norm: nn.Module
    rotary_emb: nn.Module


class DecoderView(LayerView):
    """One sequence as it enters one layer; queries and keys are computed when read.

    Args:
        decoder: The language model.
        index: The layer, from 0.
        hidden_states: States of the sequence, without padding.
        rotary: Cosine and sine of its positions [s, e].
        image: Place of the remaining visual tokens of one image.
        queries: Sequence indices of the query tokens.
    """

    def __init__(  # type: ignore[explicit-any, unused-ignore]  # a slice has no types at run time
        self,
        decoder: Decoder,
        index: int,
        hidden_states: Float[Tensor, "s d"],
        rotary: tuple[Tensor, Tensor],
        image: slice,
        queries: Int[Tensor, "q"],
    ) -> None:
        self.decoder, self.index, self._rotary = decoder, index, rotary
        self.hidden_states, self.image, self.queries = hidden_states, image, queries

    @cached_property
    def _states(self) -> AttentionStates:
        layer = self.decoder.layers[self.index]
        cos, sin = self._rotary
        attention: nn.Module = layer.self_attn  # type: ignore[assignment]
        with reading([attention], attend=False) as (reader,):
            attention(
                hidden_states=layer.input_layernorm(self.hidden_states)[None],  # type: ignore[operator]
                position_embeddings=(cos[None], sin[None]),
                attention_mask=None,
            )
        if not reader.calls:
            raise ValueError(
                f"{type(attention).__name__} attends in its own way, so no method can rank tokens "
                "by its attention; take a method that acts before the language model"
            )
        return reader.calls[0]

    def attention(self, queries: Int[Tensor, "q"]) -> Float[Tensor, "heads q s"]:
        """The layer's attention rows of some tokens over the whole sequence, float32."""
        states = self._states
        query, key = states.query[0], states.key[0]
        keys = key.repeat_interleave(len(query) // len(key), dim=0)
        logits = query[:, queries].float() @ keys.float().mT * states.scale
        later = torch.arange(keys.shape[1], device=keys.device) > queries[:, None]
        rows: Tensor = logits.masked_fill(later, float("-inf")).softmax(dim=-1)
        return rows

    def keys(self) -> Float[Tensor, "s k"]:
        """The layer's keys with their rotation, heads joined, float32."""
        return self._states.key[0].transpose(0, 1).flatten(1).float()

    def values(self) -> Float[Tensor, "s heads e"]:
        """The layer's values, float32."""
        return self._states.value[0].transpose(0, 1).float()

    def rotary(self) -> tuple[Float[Tensor, "s e"], Float[Tensor, "s e"]]:
        """Cosine and sine of the rotary angles at each position, float32."""
        cos, sin = self._rotary
        return cos.float(), sin.float()

    def states(self) -> Float[Tensor, "s d"]:
        """States that enter the layer, after the model's final norm, float32."""
        normed: Tensor = self.decoder.norm(self.hidden_states)
        return normed.float()


Entering = Callable[[int, Tensor, tuple[Tensor, Tensor]], None]
"""Called with a layer's index, the states [b, s, d] that enter it, cosine and sine [b, s, e]."""


@contextmanager
def layers_read(decoder: Decoder, read: Entering) -> Iterator[None]:
    """Read the states that enter each layer while the model runs inside the block."""

    def hook(
        index: int,
    ) -> Callable[[nn.Module, tuple[object, ...], dict[str, object]], None]:
        def before(layer: nn.Module, given: tuple[object, ...], options: dict[str, object]) -> None:
            states = given[0] if given else options["hidden_states"]
            rotary = options["position_embeddings"]
            if not isinstance(states, Tensor) or not isinstance(rotary, tuple):
                raise ValueError("the decoder's layers must be given states and rotary angles")
            cos, sin = (part.expand(len(states), -1, -1) for part in rotary)
            read(index, states, (cos, sin))

        return before

    handles = [
        layer.register_forward_pre_hook(hook(index), with_kwargs=True)
        for index, layer in enumerate(decoder.layers)
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def prompt_attention(
    decoder: Decoder,
    run: Callable[[], object],
    mask: Int[Tensor, "b s"],
    images: Sequence[tuple[int, Int[Tensor, "_"]]],
) -> list[Float[Tensor, "_ layers"]]:
    """Attention from the last token of each row to the visual tokens of some images.

    Args:
        decoder: The language model.
        run: Runs the unpruned model once.
        mask: 1 for a token, 0 for padding.
        images: Row and columns of each image.

    Returns:
        For each image the attention in every layer, mean over heads, float32.
    """
    found: list[list[Tensor]] = [[] for _ in images]

    def read(index: int, states: Tensor, rotary: tuple[Tensor, Tensor]) -> None:
        for place, (row, columns) in enumerate(images):
            real = mask[row].bool()
            cos, sin = (part[row, real] for part in rotary)
            end = torch.tensor([int(real.sum()) - 1], device=states.device)
            view = DecoderView(decoder, index, states[row, real], (cos, sin), slice(0, 0), end)
            attention = view.attention(end).mean(dim=(0, 1))
            full = attention.new_zeros(len(real)).masked_scatter(real, attention)
            found[place].append(full[columns])

    with layers_read(decoder, read):
        run()
    return [torch.stack(layers, dim=1) for layers in found]


def head_rows(
    decoder: Decoder, run: Callable[[], object], queries: Int[Tensor, "q"], start: int, stop: int
) -> Float[Tensor, "layers heads n"]:
    """Attention of some tokens of a single row to those from ``start`` to ``stop``, by head.

    Args:
        decoder: The language model.
        run: Runs the unpruned model once, without padding.
        queries: Columns of the tokens that attend; the result is the mean over them.
        start: First column that is attended to.
        stop: Column behind the last one.
    """
    rows: list[Tensor] = []

    def read(index: int, states: Tensor, rotary: tuple[Tensor, Tensor]) -> None:
        cos, sin = rotary
        view = DecoderView(decoder, index, states[0], (cos[0], sin[0]), slice(start, stop), queries)
        rows.append(view.attention(queries)[:, :, start:stop].mean(1))

    with layers_read(decoder, read):
        run()
    return torch.stack(rows)
