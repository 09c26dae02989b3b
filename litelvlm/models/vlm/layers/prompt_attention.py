"""Attention of text tokens to visual ones in an unpruned pass, layer by layer."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from litelvlm.models.vlm.layers.view import Decoder, DecoderView

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
