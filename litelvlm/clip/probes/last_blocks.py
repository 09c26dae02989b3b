"""Variants of the image tower's last blocks: they show what shapes patch similarity.

Each function takes an encoded image and gives its patches in the joint space, [B, N, P], not
normalised. All are pure: they run the tower's own modules on other mixtures and leave weights,
hooks and outputs as they were.

The vocabulary of the sources: query-key attention mixes positions; value-value attention and the
like keep each position close to itself; the residual stream and the MLP carry directions that
dominate the final norm.
"""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import conv2d, normalize

from litelvlm.clip.parts import TowerParts
from litelvlm.clip.states import ClipImage

SURGERY_BLOCKS = 6


def to_joint_space(tower: TowerParts, states: Float[Tensor, "*b d"]) -> Float[Tensor, "*b p"]:
    """Map states into the joint space.

    A family without a projection (SigLIP) uses the value path of its pooling.
    """
    carried: Tensor = (
        tower.map_values(states) if "patch_embeds" in tower.lacks else tower.project(states)
    )
    return carried


def used_layer(image: ClipImage) -> Float[Tensor, "b n p"]:
    """Second-last layer, which LiteLVLM ranks (P0).

    Source: LiteLVLM official code.
    """
    return to_joint_space(image.tower, image.patch_tokens)


def final_layer(image: ClipImage) -> Float[Tensor, "b n p"]:
    """Last layer, for which the final norm and projection were trained, if only at CLS (P1)."""
    return _patches(image, image.last_hidden_state)


def identity_attention(image: ClipImage) -> Float[Tensor, "b n p"]:
    """Last block with every position attending to itself alone; residual and MLP stay (P2a).

    Source: MaskCLIP (arXiv 2112.01071), official code of its ViT.
    """
    layer = image.tower.image_blocks[-1]
    states = image.states[-1] + layer.attention_output(image.last_qkv[2])
    return _patches(image, states + layer.feed_forward(states))


def value_path(image: ClipImage) -> Float[Tensor, "b n p"]:
    """Values of the last block through its output projection, nothing else (P2b).

    Source: MaskCLIP (arXiv 2112.01071), section 3.2.
    """
    return _patches(image, image.tower.image_blocks[-1].attention_output(image.last_qkv[2]))


def surgery(image: ClipImage, blocks: int = SURGERY_BLOCKS) -> Float[Tensor, "b n p"]:
    """A second path that collects value-value attention of the last blocks without MLPs (P3).

    Values are those of the original path. A tower with fewer blocks uses all of them.

    Source: CLIP Surgery (arXiv 2304.05653), official code.
    """
    tower = image.tower
    layers = tower.image_blocks
    first = max(0, len(layers) - blocks)
    original = image.states[first]
    path = original
    for index in range(first, len(layers)):
        values = tower.qkv(original, index)[2]
        weights = attention_weights(values, values, tower.n_heads)
        path = path + layers[index].attention_output(mix(weights, values))
        original = tower.block(index, original)
    return _patches(image, path)


def clear_clip(image: ClipImage) -> Float[Tensor, "b n p"]:
    """Query-query attention of the last block alone, without residual and MLP (P4a).

    Source: ClearCLIP (arXiv 2407.12442), section 3.3.
    """
    query, _, values = _placed(image)
    mixed = mix(attention_weights(query, query, image.tower.n_heads), values)
    return _patches(image, image.tower.image_blocks[-1].attention_output(mixed))


def s_clip(image: ClipImage) -> Float[Tensor, "b n p"]:
    """Query-query plus key-key attention in the last block (P4b).

    Residual and MLP stay; the rows of weights sum to 2.

    Source: SCLIP (arXiv 2312.01597), official code.
    """
    layer, n_heads = image.tower.image_blocks[-1], image.tower.n_heads
    query, keys, values = _placed(image)
    weights = attention_weights(query, query, n_heads) + attention_weights(keys, keys, n_heads)
    states = image.states[-1] + layer.attention_output(mix(weights, values))
    return _patches(image, states + layer.feed_forward(states))


def readout_cues(image: Callable[[], ClipImage]) -> dict[str, Callable[[], Tensor]]:
    """Cues of methods that rank by another readout than the released one, computed when read.

    Args:
        image: Gives the encoded image, a batch of one.
    """
    return {
        "value_path_embeds": lambda: value_path(image())[0],
        "surgery_embeds": lambda: surgery(image())[0],
        "clear_clip_embeds": lambda: clear_clip(image())[0],
    }


def neighbour_mean(
    tokens: Float[Tensor, "n d"], outliers: Bool[Tensor, "n"], grid: tuple[int, int]
) -> Float[Tensor, "n d"]:
    """Replace each outlier by the mean of those of its up to 8 neighbours that are none (P5).

    An outlier without such a neighbour stays.
    """
    keep = (~outliers).to(tokens.dtype)
    planes = torch.cat([tokens * keep[:, None], keep[:, None]], dim=1).T.reshape(-1, 1, *grid)
    ring = torch.ones(1, 1, 3, 3, dtype=tokens.dtype, device=tokens.device)
    ring[..., 1, 1] = 0
    sums = conv2d(planes, ring, padding=1).reshape(len(planes), -1).T
    count = sums[:, -1:]
    mean = torch.where(count > 0, sums[:, :-1] / count.clamp_min(1), tokens)
    return torch.where(outliers[:, None], mean, tokens)


def norm_outliers(
    norms: Float[Tensor, "n"], deviations: float = 5.0, cutoff: float | None = None
) -> Bool[Tensor, "n"]:
    """Find tokens with a norm many median absolute deviations above the median, or above a cut-off.

    Source: Darcet et al. (arXiv 2309.16588), section 2.1, who cut at a fixed norm.
    """
    if cutoff is None:
        middle = norms.median()
        cutoff = float(middle + deviations * (norms - middle).abs().median())
    return norms > cutoff


def without_direction(
    vectors: Float[Tensor, "*b p"], direction: Float[Tensor, "p"]
) -> Float[Tensor, "*b p"]:
    """Project a direction out of vectors (P6); a direction of length 0 removes nothing."""
    unit = normalize(direction, dim=0)
    remaining: Tensor = vectors - (vectors @ unit)[..., None] * unit
    return remaining


def attention_weights(
    query: Float[Tensor, "b s d"], keys: Float[Tensor, "b s d"], n_heads: int
) -> Float[Tensor, "b h s s"]:
    """Softmax of scaled products over all positions, per head, in float32; rows sum to 1."""
    q, k = (x.float().unflatten(-1, (n_heads, -1)).transpose(1, 2) for x in (query, keys))
    weights: Tensor = (q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5).softmax(dim=-1)
    return weights


def mix(
    weights: Float[Tensor, "b h q s"], values: Float[Tensor, "b s d"]
) -> Float[Tensor, "b q d"]:
    """Weighted sums of the values of every head, heads joined, in the values' number type."""
    heads = values.float().unflatten(-1, (weights.shape[1], -1)).transpose(1, 2)
    mixed: Tensor = (weights @ heads).transpose(1, 2).flatten(-2).to(values.dtype)
    return mixed


def _placed(image: ClipImage) -> Sequence[Tensor]:
    query, keys, values = image.last_qkv
    return *image.tower.placed(query, keys, block=-1), values


def _patches(image: ClipImage, states: Tensor) -> Tensor:
    return to_joint_space(image.tower, states[:, image.tower.n_prefix :])
