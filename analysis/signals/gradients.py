"""Gradient signals of the visual tokens, by captum.

They are saliency, input x gradient, integrated gradients and gradient x activation of inner layers.
captum sees one function, from projected visual tokens [b, n, d] to the targets [b, t], so its
``target`` is a column. A token's value is the L2 norm over its channels for saliency, which
has no sign, and their signed sum otherwise.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from captum.attr import InputXGradient, IntegratedGradients, LayerGradientXActivation, Saliency
from jaxtyping import Float
from PIL import Image, ImageFilter
from torch import Tensor

from litelvlm.arrays import Array
from litelvlm.data.dataset import Dataset
from litelvlm.data.images import open_image
from litelvlm.models.attribution import TokenTargets, frozen
from litelvlm.models.base import QueriedModel

BLUR_SHARE = 1 / 16  # standard deviation of the blurred baseline, as a share of the shorter side


class Integrated(NamedTuple):
    """Integrated gradients of one baseline.

    Attributes:
        values: Signed sum per token.
        error: Completeness error: |sum of all values - (target at the tokens - target at the
            baseline)| over the size of that difference.
    """

    values: Float[Array, "n"]
    error: float


def token_sums(attribution: Float[Tensor, "n d"]) -> Float[Array, "n"]:
    """Signed sum over channels."""
    return attribution.detach().float().sum(-1).cpu().numpy().astype(np.float64)


def input_signals(targets: TokenTargets, column: int) -> dict[str, Float[Array, "n"]]:
    """Saliency and input x gradient of one target at the visual tokens."""
    with frozen(targets.network):
        inputs = targets.visual[None].clone().requires_grad_(True)
        steep = Saliency(targets).attribute(inputs, target=column)[0]
        product = InputXGradient(targets).attribute(inputs, target=column)[0]
    norms = torch.linalg.vector_norm(steep.detach().float(), dim=-1)
    return {
        "saliency": norms.cpu().numpy().astype(np.float64),
        "input_x_gradient": token_sums(product),
    }


def inner_layers(n_layers: int) -> tuple[int, ...]:
    """Layers whose output is read: the first and each quarter, but never the last.

    The visual states of the last layer reach no output.

    Example:
        >>> inner_layers(32), inner_layers(4)
        ((0, 8, 16, 24), (0, 1, 2))
    """
    return tuple(sorted({n_layers * quarter // 4 for quarter in range(4)} - {n_layers - 1}))


def layer_signals(
    targets: TokenTargets, column: int, layers: Sequence[int]
) -> dict[int, Float[Array, "n"]]:
    """Gradient x activation of one target at the visual tokens' states behind some layers."""
    image = slice(targets.start, targets.start + targets.n_tokens)
    modules = [targets.layers[index] for index in layers]
    with frozen(targets.network):
        inputs = targets.visual[None].clone().requires_grad_(True)
        found = LayerGradientXActivation(targets, modules).attribute(inputs, target=column)
    return {
        index: token_sums((product[0] if isinstance(product, tuple) else product)[0, image])
        for index, product in zip(layers, found, strict=True)
    }


def integrated_gradients(
    targets: TokenTargets,
    column: int,
    baseline: Float[Tensor, "n d"],
    steps: int = 32,
    batch_size: int | None = None,
) -> Integrated:
    """Integrated gradients of one target from a baseline to the visual tokens.

    Args:
        targets: Image, conversation and model.
        column: Which of the targets.
        baseline: Tokens to start from.
        steps: Gauss-Legendre nodes.
        batch_size: Nodes at once; as many as are safe if left out.
    """
    with frozen(targets.network):
        attribution, delta = IntegratedGradients(targets).attribute(
            targets.visual[None],
            baselines=baseline[None].to(targets.visual),
            target=column,
            n_steps=steps,
            internal_batch_size=batch_size or targets.batch_size,
            return_convergence_delta=True,
        )
        with torch.no_grad():
            ends = targets(torch.stack([targets.visual, baseline.to(targets.visual)]))[:, column]
    difference = abs(float(ends[0] - ends[1]))
    error = abs(float(delta[0])) / difference if difference else float("inf")
    return Integrated(token_sums(attribution[0]), error)


def blurred_tokens(model: QueriedModel, picture: Image.Image) -> Float[Tensor, "n d"]:
    """Projected tokens of the picture blurred until no object is left."""
    image = open_image(picture)
    blurred = image.filter(ImageFilter.GaussianBlur(BLUR_SHARE * min(image.size)))
    return model.projected_image(blurred)


@torch.inference_mode()
def mean_token(model: QueriedModel, data: Dataset, images: int) -> Float[Tensor, "d"]:
    """Mean projected token over the first images of a split."""
    means = [
        model.projected_image(data[index].image()).float().mean(0)
        for index in range(min(images, len(data)))
    ]
    return torch.stack(means).sum(0) / len(means)
