"""Tokens of one image in the joint space of a CLIP model, layer by layer."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from litelvlm.arrays import Array
from litelvlm.clip.probes.last_blocks import to_joint_space
from litelvlm.clip.tower import Tower
from litelvlm.layout import Layout
from litelvlm.pruning.cues import Cues
from litelvlm.pruning.methods.centre_distance import CentreDistance
from litelvlm.pruning.methods.cls_cosine import ClsCosine
from litelvlm.pruning.methods.value_norm import ValueNorm
from litelvlm.pruning.ranking import row_norms
from litelvlm.pruning.scoring import context_scores, text_similarity


@dataclass(frozen=True)
class Patches:
    """Tokens of one image, in float32 on the CPU.

    Attributes:
        layers: Joint-space tokens by layer counted from the end (-1 is the last block's output, -2
            what is used).
        free: Scores that need no text, by name; high values are kept by the methods of that name.
        layout: How they lie.
    """

    layers: Mapping[int, Float[Tensor, "n p"]]
    free: Mapping[str, Float[Array, "n"]]
    layout: Layout

    def scores(
        self, texts: Float[Tensor, "t p"], layer: int = -2, kind: Literal["dot", "cosine"] = "dot"
    ) -> Float[Array, "t n"]:
        """Similarity of every token with every text, as the methods compute it."""
        cues = Cues({"patch_embeds": self.layers[layer], "text_embeds": texts}, self.layout)
        return text_similarity(cues, kind).numpy()


@torch.inference_mode()
def embed_patches(tower: Tower, picture: Image.Image, every_layer: bool = True) -> Patches:
    """Tokens of one image in the joint space and the scores that need no text.

    A lens on other layers than the last two only: final norm and projection were trained on the
    last CLS alone.

    Args:
        tower: CLIP tower.
        picture: RGB picture.
        every_layer: Whether to read all layers instead of the last two.
    """
    clip = tower.image(tower.pixel_values(picture))
    depth = len(clip.states)
    states = {i - depth - 1: s for i, s in enumerate(clip.states) if every_layer or i == depth - 1}
    states[-1] = clip.last_hidden_state
    layers = {
        layer: to_joint_space(tower, s[:, tower.n_prefix :])[0].float().cpu()
        for layer, s in states.items()
    }
    names = ("patch_tokens", "cls_token", "query", "keys", "values")
    held = [name for name in names if name not in tower.lacks]
    layout = Layout(1, *tower.grid)
    cues = Cues({name: getattr(clip, name)[0].float().cpu() for name in held}, layout)
    free = {"centre_distance": CentreDistance().score(cues), "value_norm": ValueNorm().score(cues)}
    free["state_norm"] = row_norms(cues.float32("patch_tokens"))
    if "cls_token" in held:
        free |= {"cls_cosine": ClsCosine().score(cues), "context": context_scores(cues)}
    return Patches(layers, {name: values.numpy() for name, values in free.items()}, layout)
