"""What a member is trained on: images and texts that must find each other, and a dense helper."""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from litelvlm.clip.probes.text import TextTrace, eos_attention
from litelvlm.training.trainings.scenes import NAMES, SceneTable

_OWNED = 0.3  # coverage from which a patch belongs to an object
_SIGMOID_SCALE, _SIGMOID_BIAS = 10.0, -10.0
_LARGEST_SCALE = 100.0
SOS_SHARE = 0.68
"""Attention of [EOS] on [SOS] that LiteLVLM reports for CLIP; what ``sos_loss`` asks for."""


class PairLoss(nn.Module):
    """Contrastive loss of image and text embeddings whose rows belong together.

    Args:
        kind: "softmax" (both directions over the batch) or "sigmoid" (every pair by itself).

    Source: Radford et al. (arXiv 2103.00020) and Zhai et al. (arXiv 2303.15343), section 3.
    """

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        sigmoid = kind == "sigmoid"
        self.log_scale = nn.Parameter(torch.tensor(math.log(_SIGMOID_SCALE if sigmoid else 14.3)))
        self.bias = nn.Parameter(torch.tensor(_SIGMOID_BIAS), requires_grad=sigmoid)

    def forward(
        self, image: Float[Tensor, "b p"], text: Float[Tensor, "b p"]
    ) -> tuple[Tensor, Tensor]:
        """The loss, and how often an image finds its own text in the batch."""
        scale = self.log_scale.exp().clamp(max=_LARGEST_SCALE)
        logits = scale * F.normalize(image, dim=-1) @ F.normalize(text, dim=-1).T
        target = torch.arange(len(logits), device=logits.device)
        found = (logits.argmax(1) == target).float().mean()
        if self.kind == "softmax":
            loss = F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)
            return loss / 2, found
        signs = 2 * torch.eye(len(logits), device=logits.device) - 1
        return -F.logsigmoid(signs * (logits + self.bias)).sum() / len(logits), found


class PatchHelper(nn.Module):
    """A linear read-out of the category that covers each patch of the second-last layer.

    Args:
        width: Of the image tower.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.head = nn.Linear(width, len(NAMES) + 1)  # the last value is the ground

    def forward(self, tokens: Float[Tensor, "b n d"], table: SceneTable) -> Tensor:
        """Cross-entropy; the ground fills most patches, so it is averaged apart and counts less."""
        share, owner = table.coverage.to(tokens.device).max(-1)
        owned = share > _OWNED
        kind = torch.from_numpy(table.category).to(tokens.device).gather(1, owner)
        logits = self.head(tokens)
        ground = torch.full_like(kind[~owned], len(NAMES))
        return F.cross_entropy(logits[owned], kind[owned]) + 0.3 * F.cross_entropy(
            logits[~owned], ground
        )


def sos_shortfall(trace: TextTrace) -> Tensor:
    """How much attention of [EOS] on [SOS] lacks to ``SOS_SHARE``, in logarithms.

    Returns:
        Mean over texts, layers and heads; 0 where all have at least that share.
    """
    weights = eos_attention(trace)[..., 0]
    return F.relu(math.log(SOS_SHARE) - weights.clamp_min(1e-12).log()).mean()
