"""Attention of the prompt's last token in an unpruned pass, layer by layer."""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from litelvlm.models.vlm.decoder.view import Decoder, DecoderView


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

    def hook(
        index: int,
    ) -> Callable[[nn.Module, tuple[object, ...], dict[str, object]], None]:
        def before(layer: nn.Module, given: tuple[object, ...], options: dict[str, object]) -> None:
            states = given[0] if given else options["hidden_states"]
            rotary = options["position_embeddings"]
            if not isinstance(states, Tensor) or not isinstance(rotary, tuple):
                raise ValueError("the decoder's layers must be given states and rotary angles")
            for place, (row, columns) in enumerate(images):
                real = mask[row].bool()
                cos, sin = (part.expand(len(states), -1, -1)[row, real] for part in rotary)
                end = torch.tensor([int(real.sum()) - 1], device=states.device)
                nowhere = slice(0, 0)
                view = DecoderView(decoder, index, states[row, real], (cos, sin), nowhere, end)
                attention = view.attention(end).mean(dim=(0, 1))
                full = attention.new_zeros(len(real)).masked_scatter(real, attention)
                found[place].append(full[columns])

        return before

    handles = [
        layer.register_forward_pre_hook(hook(index), with_kwargs=True)
        for index, layer in enumerate(decoder.layers)
    ]
    try:
        run()
    finally:
        for handle in handles:
            handle.remove()
    return [torch.stack(layers, dim=1) for layers in found]
