"""The images and videos of a call: their visual tokens, and where these stand in the prompt."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import PreTrainedModel
from transformers.utils.generic import ModelOutput

from litelvlm.layout import Layout
from litelvlm.models.vlm.families import VlmFamily


@dataclass(frozen=True, eq=False)
class VisualItem:
    """One image, tile or video of a batch.

    Attributes:
        modality: "image" or "video".
        index: Number among those of its modality.
        features: Visual tokens as the encoder gives them all: in the language model's input space,
            or before the family's ``projector`` where it has one.
        row: Row of the batch.
        columns: Column of each visual token in that row.
        patches: Those of the tokens that are patches; the others mark ends of lines and stay.
        layout: How the patches lie.
    """

    modality: str
    index: int
    features: Float[Tensor, "n d"]
    row: int
    columns: Int[Tensor, "n"]
    patches: Int[Tensor, "p"]
    layout: Layout

    @property
    def name(self) -> str:
        """The item in messages: "image 0"."""
        return f"{self.modality} {self.index}"


def parts_of(
    family: VlmFamily, modality: str, output: ModelOutput, given: Mapping[str, object]
) -> list[Float[Tensor, "_ d"]]:
    """Visual tokens of each image in an encoder's output, one tensor per image, tile or video."""
    parts, clips = list(output[family.field]), given.get("pixel_values_videos")
    if family.frames_apart and modality == "video" and isinstance(clips, Tensor):
        return list(torch.cat(parts).split(len(parts[0]) * clips.shape[1]))
    if not family.tiles:
        return parts
    together = torch.cat(parts)
    # The tower's own output has one entry per tile; the connector's joins those of a row.
    return list(together.split(len(together) // len(output["last_hidden_state"])))


def locate(
    model: PreTrainedModel,
    family: VlmFamily,
    modality: str,
    output: ModelOutput,
    given: Mapping[str, object],
) -> list[VisualItem]:
    """Find the column of every visual token of one modality.

    Args:
        model: The model.
        family: Its family.
        modality: "image" or "video".
        output: What the encoder returned.
        given: Arguments of the call; ``input_ids`` [b, s] is read.

    Raises:
        ValueError: If the placeholders of the prompt are not as many as the visual tokens.
    """
    parts, input_ids = parts_of(family, modality, output, given), given["input_ids"]
    if not isinstance(input_ids, Tensor):
        raise ValueError("input_ids must be a tensor of token ids [batch, length]")
    name = "image_token_id" if modality == "image" else family.video_placeholder
    token = int(getattr(model.config, name))
    rows, columns = (input_ids == token).nonzero(as_tuple=True)
    if len(rows) != sum(map(len, parts)):
        lengths = [len(part) for part in parts]
        raise ValueError(
            f"the prompt has {len(rows)} {modality} placeholders (token {token}) and the encoder "
            f"gives {sum(lengths)} visual tokens, {lengths} per {modality}; make the inputs with "
            "the processor of this model, which repeats the placeholder once per visual token"
        )
    items, start = [], 0
    for index, part in enumerate(parts):
        place = slice(start, start + len(part))
        start += len(part)
        if len(torch.unique(rows[place])) > 1:
            raise ValueError(
                f"{modality} {index} has its placeholders in more than one row of the batch; give "
                "each row the placeholders of its own images"
            )
        patches = patch_rows(model, family, part)
        layout = family.layout(model.config, given, modality, index, len(patches))
        items.append(
            VisualItem(modality, index, part, int(rows[start - 1]), columns[place], patches, layout)
        )
    return items


def patch_rows(
    model: PreTrainedModel, family: VlmFamily, features: Float[Tensor, "n d"]
) -> Int[Tensor, "p"]:
    """Rows of an image that are patches: all but those that hold the learned end of a line."""
    everything = torch.arange(len(features), device=features.device)
    newline = getattr(model.base_model, "image_newline", None)
    if not family.separators or newline is None:
        return everything
    marks = (features == newline.to(features)).all(dim=1)
    return everything[~marks]
