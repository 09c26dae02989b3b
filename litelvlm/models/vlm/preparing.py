"""Turn the arguments of a call into those of a pruned one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor
from transformers import PreTrainedModel
from transformers.utils.generic import ModelOutput

from litelvlm.models.vlm.cues import CallSources, ClipText, item_cues
from litelvlm.models.vlm.families import VlmFamily
from litelvlm.models.vlm.items import VisualItem, locate
from litelvlm.models.vlm.network import MODALITIES, encode, has_pixels, with_features
from litelvlm.models.vlm.selecting import ItemSlots, fill_slots, select
from litelvlm.models.vlm.shorten import ShortPrompt, full_positions, shorten
from litelvlm.models.vlm_base.tower import reads_tower
from litelvlm.pruning import Cues, LayerPlan, Pruner, Selection
from litelvlm.pruning.positions import Positions

MADE_HERE = {
    "inputs_embeds": "give input_ids, whose placeholders say where the images stand",
    "mm_encoder_outputs": "give the pixels; prune() encodes them itself",
    "position_ids": "leave them out; positions= of prune() sets them",
}
"""Arguments that the door makes itself, and what to give instead."""


@dataclass(frozen=True, eq=False)
class PruningSettings:
    """What ``prune`` was called with.

    Attributes:
        model: The model.
        family: Its family.
        pruner: The method, with the positions to use.
        budget: Tokens of each image, or their share.
        frames: How a video's tokens are chosen.
        scores: For ``external_similarity``.
        clip: CLIP's towers and the text to rank by; None without.
    """

    model: PreTrainedModel
    family: VlmFamily
    pruner: Pruner
    budget: int | float
    frames: str
    scores: Float[Tensor, "n"] | None
    clip: ClipText | None


@dataclass(frozen=True, eq=False)
class PreparedCall:
    """A pruned call.

    Attributes:
        arguments: What ``forward`` or ``generate`` gets, without positions.
        prompt: The shortened prompts.
        slots: What is left of each image.
        open_end: Whether a prompt ends with an image, so that the position behind it does not
            follow from the last token that is left.
    """

    arguments: Mapping[str, object]
    prompt: ShortPrompt
    slots: tuple[ItemSlots, ...]
    open_end: bool = False

    @property
    def token_counts(self) -> list[int]:
        """Visual tokens of each image that the language model reads, ends of lines included."""
        return [len(entry.columns) for entry in self.slots]

    @property
    def drops_between_layers(self) -> bool:
        """Whether tokens of some image are dropped inside the language model."""
        return any(isinstance(entry.selection, LayerPlan) for entry in self.slots)

    @property
    def selections(self) -> list[Selection]:
        """The choice among the patches of each image."""
        return [entry.selection for entry in self.slots]


def prepare(settings: PruningSettings, given: Mapping[str, object]) -> PreparedCall:
    """Encode the images of a call, choose among their tokens and shorten the prompt.

    Args:
        settings: What ``prune`` was called with.
        given: Arguments of the call.

    Raises:
        ValueError: If the call gives embeddings, encoded images or positions of its own, the
            placeholders do not fit the images, or a choice is impossible.
    """
    watch = settings.clip is None and reads_tower(settings.pruner.needs)
    sources, rest = opened(settings, given, watch)
    return pruned_call(settings, sources, rest)


def pruned_call(
    settings: PruningSettings, sources: CallSources, rest: Mapping[str, object]
) -> PreparedCall:
    """Choose among the tokens of encoded images and shorten the prompt.

    Args:
        settings: What ``prune`` was called with.
        sources: The encoded images of a call.
        rest: Its arguments that the encoder did not take.

    Raises:
        ValueError: If a choice is impossible.
    """
    slots, pruner = [], settings.pruner
    with torch.no_grad():  # a choice has no gradient; the chosen tokens have
        for item, cues in zip(sources.items, cues_of(sources), strict=True):
            chosen, places = select(pruner, item, cues, settings.budget, settings.frames)
            slots.append(fill_slots(item, chosen, places, pruner.positions, pruner.name))
    pad = int(getattr(settings.model.generation_config, "pad_token_id", None) or 0)
    policy = settings.pruner.positions
    prompt = shorten(sources.given, slots, sources.positions, policy, pad)
    outputs = {
        modality: shortened(
            settings.family, made.output, [s for s in slots if s.item.modality == modality]
        )
        for modality, made in sources.encoded.items()
    }
    arguments = {**rest, **prompt.arguments, "mm_encoder_outputs": outputs}
    open_end = any(_ends_open(sources, entry, policy) for entry in slots)
    return PreparedCall(arguments, prompt, tuple(slots), open_end)


END = (
    "a prompt ends with an image, and the position of what follows does not follow from the tokens "
    "that are left of it; put text behind the image, as chat templates do"
)
"""Why nothing can be said behind a prompt with an open end."""


def _ends_open(sources: CallSources, entry: ItemSlots, policy: Positions) -> bool:
    """Whether a row ends with this image and goes on elsewhere than behind its last token."""
    last = cast(Tensor, sources.given["attention_mask"])[entry.item.row].nonzero()[-1].cpu()
    if not bool((entry.item.columns.cpu() == last).any()):
        return False
    if len(sources.positions) > 1 or policy == "stretch":
        return True
    return policy == "original" and not bool((entry.columns.cpu() == last).any())


def opened(
    settings: PruningSettings, given: Mapping[str, object], watch: bool
) -> tuple[CallSources, dict[str, object]]:
    """Encode the images of a call and find their tokens.

    Args:
        settings: What ``prune`` was called with.
        given: Arguments of the call.
        watch: Whether to watch the image tower.

    Returns:
        The images and what their cues come from, and the arguments that the encoder did not take.

    Raises:
        ValueError: As ``prepare``.
    """
    given, mask = checked(given)
    model, family = settings.model, settings.family
    newline = getattr(model.base_model, "image_newline", None)
    if family.separators and isinstance(newline, Tensor) and newline.is_meta:
        raise ValueError(
            "image_newline is offloaded, and the ends of lines are told from patches by it; keep "
            "model.image_newline on a device in device_map"
        )
    if family.video_placeholder == "image_token_id" and all(
        has_pixels(given, modality) for modality in MODALITIES
    ):
        raise ValueError(
            f"{family.model_type} reads images or videos in one call, not both: its videos stand "
            "at the placeholders of images"
        )
    encoded, rest = encode(model, given, family.patches if watch else "unknown")
    items = [
        item
        for modality, made in encoded.items()
        for item in locate(model, family, modality, made.output, given)
    ]
    for item in items:
        if not bool(mask[item.row, item.columns.to(mask.device)].all()):
            raise ValueError(
                f"attention_mask hides placeholders of {item.name}; leave the image out instead"
            )
    positions = full_positions(model, given, mask)
    scores, clip = settings.scores, settings.clip
    return CallSources(model, family, given, encoded, items, positions, scores, clip), rest


def cues_of(sources: CallSources) -> list[Cues]:
    """What a method may read of each image of a call."""
    items = sources.items
    return [
        item_cues(item, key, sources.of(item)) for item, key in zip(items, keys(items), strict=True)
    ]


def checked(given: Mapping[str, object]) -> tuple[dict[str, object], Tensor]:
    """The arguments of a call with an attention mask, and that mask.

    Raises:
        ValueError: If they hold what the door makes itself.
    """
    for name, instead in MADE_HERE.items():
        if given.get(name) is not None:
            raise ValueError(f"{name} cannot be given to a pruned model: {instead}")
    ids, mask = given.get("input_ids"), given.get("attention_mask")
    if not isinstance(ids, Tensor) or ids.ndim != 2:
        raise ValueError("a pruned call needs input_ids [batch, length]")
    mask = torch.ones_like(ids) if mask is None else mask
    if not isinstance(mask, Tensor) or mask.shape != ids.shape:
        raise ValueError(
            f"attention_mask must have the shape {list(ids.shape)} of input_ids; leave it out for "
            "prompts without padding"
        )
    return {**given, "attention_mask": mask}, mask


def keys(items: Sequence[VisualItem]) -> list[int]:
    """Number of each image in its row, so that a row of a batch is pruned as it is alone."""
    rows = [item.row for item in items]
    return [rows[:place].count(row) for place, row in enumerate(rows)]


def shortened(family: VlmFamily, output: ModelOutput, slots: Sequence[ItemSlots]) -> ModelOutput:
    """An encoder's output with the chosen tokens alone."""
    layers = output.get("deepstack_features") or []
    deepstack = [
        [entry.take(part) for entry, part in zip(slots, layer, strict=True)] for layer in layers
    ]
    return with_features(family, output, [s.take(s.item.features) for s in slots], deepstack)
