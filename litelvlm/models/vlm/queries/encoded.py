"""One picture after a model's image encoder, and calls of the language model with its tokens."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import PreTrainedModel
from transformers.utils.generic import ModelOutput

from litelvlm.models.view import ImageView
from litelvlm.models.vlm.cues import CallSources, ClipText
from litelvlm.models.vlm.families import VlmFamily
from litelvlm.models.vlm.items import locate
from litelvlm.models.vlm.network import Encoded, encode, with_features
from litelvlm.models.vlm.prompts import Prompt
from litelvlm.models.vlm.shorten import full_positions, without_single_axis

TYPES = "mm_token_type_ids"
"""Argument that marks visual tokens among text, in families that have it."""


Generate = Callable[..., Tensor]  # type: ignore[explicit-any]  # arguments differ by family


def own_generate(network: PreTrainedModel) -> Generate:
    """The class's own ``generate``: an instance's may be the pruned one."""
    found: Generate = getattr(type(network), "generate").__get__(network)  # noqa: B009
    return found


@dataclass(frozen=True, eq=False)
class EncodedPicture:
    """One picture after the image encoder.

    Attributes:
        network: The model.
        family: Its family.
        view: Where the visual tokens lie.
        tensors: What the encoder read.
        encoded: What it gave.
    """

    network: PreTrainedModel
    family: VlmFamily
    view: ImageView
    tensors: Mapping[str, Tensor]
    encoded: Encoded

    @classmethod
    @torch.no_grad()
    def of(
        cls,
        network: PreTrainedModel,
        family: VlmFamily,
        view: ImageView,
        tensors: Mapping[str, Tensor],
    ) -> "EncodedPicture":
        """Run the image encoder once, its attention watched.

        Raises:
            ValueError: If it gives other tokens than the view says.
        """
        given = {
            name: value.to(network.device, network.dtype if value.is_floating_point() else None)
            for name, value in tensors.items()
        }
        found, _ = encode(network, given, family.patches)
        picture = cls(network, family, view, given, found["image"])
        if len(picture.features) != view.n_tokens:
            raise ValueError(
                f"the encoder gives {len(picture.features)} visual tokens where the image "
                f"processor promises {view.n_tokens}; give the processor that belongs to the model"
            )
        return picture

    @property
    def features(self) -> Float[Tensor, "n d"]:
        """Visual tokens in the language model's input space."""
        (rows,) = list(self.encoded.output[self.family.field])
        found: Tensor = rows
        return found

    def arguments(self, ids: Int[Tensor, "b s"]) -> dict[str, Tensor]:
        """Ids, mask and types of prompts with all placeholders."""
        given = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
        if TYPES in inspect.signature(type(self.network).forward).parameters:
            image = int(self.network.config.image_token_id)
            given[TYPES] = (ids == image).long()
        return given

    def positions(self, ids: Int[Tensor, "s"]) -> Int[Tensor, "axes s"]:
        """Position of every token of a prompt with all placeholders, as ``forward`` takes them."""
        given = {**self.tensors, **self.arguments(ids[None])}
        found = full_positions(self.network, given, given["attention_mask"])
        return found[:, 0] + self.family.first_position

    def sources(self, prompt: Prompt, clip: ClipText | None = None) -> CallSources:
        """What the cues of a question about this picture come from."""
        ids = prompt.ids.to(self.network.device)
        given = {**self.tensors, **self.arguments(ids[None])}
        items = locate(self.network, self.family, "image", self.encoded.output, given)
        positions = self.positions(ids)[:, None] - self.family.first_position
        encoded = {"image": self.encoded}
        return CallSources(self.network, self.family, given, encoded, items, positions, None, clip)

    def run(
        self,
        ids: Int[Tensor, "b s"],
        positions: Int[Tensor, "axes b s"],
        features: Sequence[Float[Tensor, "_ d"]],
        mask: Int[Tensor, "b s"] | None = None,
        logits_to_keep: int = 0,
    ) -> ModelOutput:
        """Run the language model with some visual tokens; differentiable.

        Args:
            ids: Rows with as many placeholders as they have features.
            positions: Of every token.
            features: Visual tokens of each row.
            mask: 1 for a token that may be attended to; all of them if left out.
            logits_to_keep: Logits of the last so many tokens; 0 for all.
        """
        given: dict[str, object] = {**self.arguments(ids)}
        if mask is not None:
            given["attention_mask"] = mask
        if any(len(rows) for rows in features):
            output = with_features(self.family, self.encoded.output, list(features), [])
            given["mm_encoder_outputs"] = {"image": output}
        # The class's own method: an instance's may be the pruned one.
        found: ModelOutput = type(self.network).forward(
            self.network,
            **given,
            position_ids=without_single_axis(positions),
            logits_to_keep=logits_to_keep,
            use_cache=False,
        )
        return found
