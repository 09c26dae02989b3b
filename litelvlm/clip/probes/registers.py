"""Register neurons: the few MLP neurons that write high-norm outliers, moved to a spare token.

Source: Jiang et al., Vision Transformers Don't Need Trained Registers (arXiv 2506.08010).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from jaxtyping import Float
from torch import Tensor, nn

from litelvlm.clip.blocks import Block
from litelvlm.clip.probes.last_blocks import norm_outliers, to_joint_space
from litelvlm.clip.tower import Tower


@torch.inference_mode()
def register_neurons(
    tower: Tower,
    images: Sequence[Float[Tensor, "1 3 h w"]],
    count: int = 10,
    deviations: float = 5.0,
) -> dict[int, tuple[int, ...]]:
    """Neurons below the used layer with the largest mean activation at outlier tokens, by block.

    Args:
        tower: Image tower.
        images: Preprocessed images, as ``tower.pixel_values`` gives them.
        count: Neurons in all.
        deviations: Median absolute deviations above the median norm from which a token is an
            outlier.

    Returns:
        By block, indices of neurons; empty if no image has an outlier.
    """
    blocks = tower.image_blocks[:-1]
    sums = [torch.zeros(())] * len(blocks)
    seen = 0
    for pixels in images:
        with _neuron_activations(blocks) as activations:
            image = tower.image(pixels)
        outliers = norm_outliers(image.patch_tokens[0].float().norm(dim=-1), deviations)
        seen += int(outliers.sum())
        for block, values in enumerate(activations):
            sums[block] = sums[block] + values[0, tower.n_prefix :][outliers].float().abs().sum(0)
    if not seen:
        return {}
    means = torch.stack(sums) / seen
    order = torch.sort(means.flatten(), descending=True, stable=True).indices[:count].tolist()
    places = [divmod(place, means.shape[1]) for place in order]
    return {
        block: tuple(sorted(n for b, n in places if b == block))
        for block in sorted({b for b, _ in places})
    }


@contextmanager
def _neuron_activations(blocks: Sequence[Block]) -> Iterator[list[Tensor]]:
    """Collect what enters the second linear map of each MLP; no hook outlives the context."""
    found: list[Tensor] = []
    handles = [
        block.mlp_output_layer.register_forward_pre_hook(
            lambda _module, args: found.append(args[0])
        )
        for block in blocks
    ]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def moved_to_last_token(tower: Tower, neurons: Mapping[int, Sequence[int]]) -> Iterator[None]:
    """Give the last token each neuron's largest activation and the other tokens 0, in a context.

    Args:
        tower: Image tower; as found afterwards, on an error too.
        neurons: By block, indices of neurons.
    """
    blocks, handles = tower.image_blocks, []

    def mover(chosen: Sequence[int]) -> Callable[[nn.Module, tuple[Tensor]], tuple[Tensor]]:
        index = torch.tensor(list(chosen))

        def move(_module: nn.Module, args: tuple[Tensor]) -> tuple[Tensor]:
            activations = args[0].clone()
            largest = activations[..., index].amax(dim=1)
            activations[..., index] = 0
            activations[:, -1, index] = largest
            return (activations,)

        return move

    try:
        for block, chosen in neurons.items():
            handles.append(blocks[block].mlp_output_layer.register_forward_pre_hook(mover(chosen)))
        yield
    finally:
        for handle in handles:
            handle.remove()


@torch.inference_mode()
def with_spare_register(
    tower: Tower, pixel_values: Float[Tensor, "b 3 h w"], neurons: Mapping[int, Sequence[int]]
) -> Float[Tensor, "b n p"]:
    """Patches of the used layer in the joint space, with a spare token that takes the neurons over.

    The spare token starts at 0.

    Raises:
        ValueError: If the tower rotates positions, which a token without a place does not have.
    """
    if tower.rotates:
        raise ValueError(
            f"{tower.family} rotates positions, so a token without a place cannot be added; "
            "leave the probe 'spare_register' out"
        )
    states = tower.embed(pixel_values)
    states = torch.cat([states, torch.zeros_like(states[:, :1])], dim=1)
    with moved_to_last_token(tower, neurons):
        for block in range(tower.n_blocks - 1):
            states = tower.block(block, states)
    return to_joint_space(tower, states[:, tower.n_prefix : -1])
