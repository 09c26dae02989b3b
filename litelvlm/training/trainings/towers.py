"""The towers of one training: Hugging Face's CLIP with the changes that its conditions ask for."""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformers import CLIPConfig, CLIPModel, PreTrainedTokenizerBase

from litelvlm.clip.hf import ClipTower
from litelvlm.data.worlds.pictograms.places import PLACE_NAMES
from litelvlm.training.clip_parts import new_clip, small_clip_config
from litelvlm.training.trainings.factors import Factors
from litelvlm.training.trainings.pixels import PATCH, SIDE
from litelvlm.training.trainings.scenes import GRID, NAMES, SYMBOL, TINT_NAMES, SceneTable
from litelvlm.training.trainings.words import caption_tokenizer

HEADS = 4
IMAGE_SHAPES: Mapping[str, tuple[int, int, int]] = {
    "grid": (GRID, 1, SYMBOL),
    "pixels": (SIDE, PATCH, 3),
    "bag": (2, 1, 1),
}
"""Side, patch and channels of what the image tower reads; a bag has one that is not used."""


class ConditionedTower(ClipTower):
    """A ``CLIPModel`` with registers, other poolings and, instead of a picture, a bag of objects.

    Args:
        clip: Both towers.
        tokenizer: One token for each word.
        factors: Conditions of the training.
    """

    def __init__(
        self, clip: CLIPModel, tokenizer: PreTrainedTokenizerBase, factors: Factors
    ) -> None:
        super().__init__(clip, tokenizer)
        self.factors = factors
        self.n_prefix = 1 + factors.registers
        self.registers = nn.Parameter(0.02 * torch.randn(factors.registers, factors.width))
        self.bag = Bag(factors.width) if factors.image == "bag" else None

    def embed(self, pixel_values: Float[Tensor, "b c h w"]) -> Float[Tensor, "b s d"]:
        """States that enter the first block: class token, registers, patches."""
        vision = self.clip.vision_model
        states = vision.embeddings(pixel_values)
        spare = self.registers.expand(len(states), -1, -1)
        entering: Tensor = vision.pre_layrnorm(
            torch.cat([states[:, :1], spare, states[:, 1:]], dim=1)
        )
        return entering

    def pool(self, last_hidden_state: Float[Tensor, "b s d"]) -> Float[Tensor, "b p"]:
        """The image embedding, from the class token or from the mean of the patches."""
        if self.factors.pooling == "cls":
            return self.project(last_hidden_state[:, 0])
        return self.project(last_hidden_state[:, self.n_prefix :].mean(dim=1))

    def encode_text(
        self, input_ids: Int[Tensor, "t l"], attention_mask: Int[Tensor, "t l"]
    ) -> tuple[Tensor, Tensor]:
        """Projected text states [T, P], and the position [T] of the first [EOS]."""
        if self.factors.text_pooling == "eos":
            return super().encode_text(input_ids, attention_mask)
        eos = (input_ids == self.tokenizer.eos_token_id).int().argmax(dim=-1)
        states = self.clip.text_model(
            input_ids=input_ids, attention_mask=attention_mask
        ).last_hidden_state
        places = torch.arange(input_ids.shape[1], device=input_ids.device)[None]
        # A text without words is read at [EOS].
        inside = (places > 0) & (places < eos[:, None])
        inside = inside | ((eos[:, None] == 1) & (places == 1))
        weights = inside.to(states.dtype)[..., None]
        return self.clip.text_projection((states * weights).sum(1) / weights.sum(1)), eos

    def scene_embeds(self, table: SceneTable) -> Float[Tensor, "b p"]:
        """Image embeddings of scenes, not normalised."""
        if self.bag is not None:
            content: Tensor = self.bag(table)
            return content
        return self.image(table.pixels.to(self.device)).image_embeds


class Bag(nn.Module):
    """Scenes without a picture: the sum of what each object is, and the place, through an MLP.

    Args:
        width: Of the joint space.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.category = nn.Embedding(len(NAMES) + 1, width, padding_idx=len(NAMES))
        self.tint = nn.Embedding(len(TINT_NAMES) + 1, width)
        self.large = nn.Embedding(2, width)
        self.place = nn.Embedding(len(PLACE_NAMES), width)
        self.each = nn.Sequential(
            nn.Linear(width, 2 * width), nn.SiLU(), nn.Linear(2 * width, width)
        )
        self.whole = nn.Sequential(
            nn.Linear(width, 2 * width), nn.SiLU(), nn.Linear(2 * width, width)
        )

    def forward(self, table: SceneTable) -> Float[Tensor, "b p"]:
        """Embeddings of scenes, not normalised."""
        device = self.place.weight.device
        category, tint, large, place = (
            torch.from_numpy(values).to(device)
            for values in (table.category, table.tint, table.large, table.place)
        )
        there = (category >= 0)[..., None].float()
        category = torch.where(category < 0, len(NAMES), category)
        tint = torch.where(tint < 0, len(TINT_NAMES), tint)
        each = self.category(category) + self.tint(tint)
        each = self.each(each + self.large(large.long()))
        total = (each * there).sum(1) + self.place(place)
        embeds: Tensor = self.whole(total)
        return embeds


def clip_config(factors: Factors, vocab_size: int) -> CLIPConfig:
    """Sizes of both towers; the last two words are [SOS] and [EOS]."""
    side, patch, channels = IMAGE_SHAPES[factors.image]
    bag, width = factors.image == "bag", factors.width
    shared: dict[str, int | str] = {"num_attention_heads": HEADS, "hidden_act": "silu"}
    vision = shared | {
        "hidden_size": 16 if bag else width,
        "intermediate_size": 16 if bag else 2 * width,
        "num_hidden_layers": 1 if bag else factors.image_depth,
        "image_size": side,
        "patch_size": patch,
        "num_channels": channels,
    }
    text = shared | {
        "hidden_size": width,
        "intermediate_size": 4 * width,
        "num_hidden_layers": factors.text_depth,
    }
    return small_clip_config(vision, text, vocab_size, width)


def new_tower(factors: Factors) -> ConditionedTower:
    """Untrained towers, drawn by torch's global generator."""
    tokenizer = caption_tokenizer()
    clip = new_clip(clip_config(factors, len(tokenizer)))
    with torch.no_grad():
        for layer in clip.text_model.encoder.layers:
            layer.self_attn.q_proj.weight *= factors.sharpness
            layer.self_attn.k_proj.weight *= factors.sharpness
    return ConditionedTower(clip, tokenizer, factors)


def question_constancy(embeds: Float[Tensor, "t p"] | Sequence[Tensor]) -> float:
    """Length of the mean of unit vectors: 1 if all texts have one embedding, near 0 if none agree.

    Example:
        >>> question_constancy(torch.tensor([[1.0, 0.0], [-1.0, 0.0]]))
        0.0
    """
    vectors = embeds if isinstance(embeds, Tensor) else torch.stack(list(embeds))
    return float(nn.functional.normalize(vectors.float(), dim=-1).mean(dim=0).norm())
