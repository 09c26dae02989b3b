"""The front door: any supported transformers vision-language model with fewer visual tokens."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from types import TracebackType
from typing import cast, get_args

import torch
from jaxtyping import Float
from torch import Tensor
from transformers import PreTrainedModel
from transformers.utils.generic import ModelOutput

from litelvlm.clip.tower import Tower
from litelvlm.models.vlm.arguments import (
    refuse_columns,
    refuse_modes,
    refuse_padding,
    refuse_unknown,
)
from litelvlm.models.vlm.caches import continued, note_caches, noted, refuse_cache
from litelvlm.models.vlm.cues import ClipText
from litelvlm.models.vlm.full_prompts import FullPrompts, short_limits
from litelvlm.models.vlm.last_call import LastCall
from litelvlm.models.vlm.layers.drops import LayerDrops
from litelvlm.models.vlm.layers.find import decoder_of, layer_drops
from litelvlm.models.vlm.network import family_of, has_pixels
from litelvlm.models.vlm.preparing import (
    END,
    PreparedCall,
    PruningSettings,
    cues_of,
    opened,
    prepare,
)
from litelvlm.models.vlm.selecting import Frames
from litelvlm.models.vlm.shorten import without_single_axis
from litelvlm.models.vlm.stand_ins import StandIn, methods_replaced, named
from litelvlm.names import check_name
from litelvlm.pruning import Cues, LayerPruner, Pruner, get_pruner
from litelvlm.pruning.positions import Positions


def prune(
    model: PreTrainedModel,
    pruner: Pruner | str,
    budget: int | float,
    positions: str | None = None,
    frames: str = "each",
    scores: Float[Tensor, "n"] | None = None,
    clip: Tower | None = None,
    text: str | Sequence[str] | None = None,
) -> "PrunedVlm":
    """Let a vision-language model of transformers read fewer visual tokens.

    The result is a context manager, inside which the model's own ``forward`` and ``generate`` are
    pruned, and a wrapper with ``forward`` and ``generate`` of its own. After the context manager
    the model is as before.

    Args:
        model: A model of a family in ``litelvlm.models.vlm.families.VLM_FAMILIES``, with its head.
        pruner: A method, or its name as ``get_pruner`` takes it.
        budget: Visual tokens to keep of each image, tile or video: a count, or their share as a
            number strictly between 0 and 1.
        positions: "contiguous", "original" or "stretch"; None for the method's own habit. On three
            axes "contiguous" closes up rows, columns and frames without any token left.
        frames: How a video's tokens are chosen: "each" frame with an equal part of the budget, or
            all "together".
        scores: Similarity of each token of the only image with the text in another model, for
            ``external_similarity``.
        clip: Both towers of the CLIP that the model's image tower comes from: methods then read its
            states, its text embeddings included. It runs on the images a second time.
        text: What ``clip`` ranks the tokens by.

    Raises:
        ValueError: If the class is not supported, transformers is older than 5.19, or an argument
            is not allowed. Calls raise it for prompts whose placeholders do not fit the images,
            budgets that do not fit them, and cues that the model cannot give.

    Example:
        >>> model = AutoModelForImageTextToText.from_pretrained(hub_id)  # doctest: +SKIP
        >>> with prune(model, "divprune", budget=0.25) as pruned:  # doctest: +SKIP
        ...     answer = model.generate(**inputs, max_new_tokens=64)
        >>> pruned.token_counts  # doctest: +SKIP
        [144]
    """
    family = family_of(model)
    method = get_pruner(pruner) if isinstance(pruner, str) else pruner
    if not isinstance(method, Pruner):
        raise ValueError(
            f"pruner {pruner!r} is not a method; give a name of list_pruners(), for example "
            "'divprune', or what get_pruner returns"
        )
    if positions is not None:
        policy = check_name(positions, get_args(Positions), "positions")
        method = replace(method, positions=cast(Positions, policy))
    check_name(frames, get_args(Frames), "frames")
    if scores is not None and not isinstance(scores, Tensor):
        raise ValueError(
            f"scores must be a tensor of one number per visual token, not {type(scores).__name__}; "
            "give torch.as_tensor(scores)"
        )
    if scores is not None and not method.is_foreign and "external_similarity" not in method.needs:
        raise ValueError(
            f"{method.name} does not read scores; leave scores out, or take 'external_similarity'"
        )
    if method.stage == "vit":
        raise ValueError(
            f"{method.name} works inside CLIP's image tower, which prune() does not enter; take a "
            "method that works after the tower, for example 'divprune', or give the processor a "
            "smaller image"
        )
    if isinstance(method, LayerPruner):
        decoder_of(model, family, method)
    return PrunedVlm(
        PruningSettings(
            model, family, method, budget, frames, scores, ClipText.given(model, clip, text)
        )
    )


Forward = Callable[..., ModelOutput]  # type: ignore[explicit-any]  # arguments differ by family
Generate = Callable[..., Tensor | ModelOutput]  # type: ignore[explicit-any]  # likewise


class PrunedVlm:
    """A vision-language model that reads fewer visual tokens (see ``prune``).

    Args:
        settings: What ``prune`` was called with.

    Attributes:
        settings: The same.
    """

    def __init__(self, settings: PruningSettings) -> None:
        self.settings = settings
        self._calls = LastCall()
        self._forward: Forward = settings.model.forward
        self._generate = cast(Generate, settings.model.generate)
        self._inside: AbstractContextManager[None] = nullcontext()
        self._entered = 0

    @property
    def last(self) -> PreparedCall | None:
        """What the last call kept: None before any, if it read no images, and if it failed."""
        return self._calls.kept

    @property
    def layers(self) -> LayerDrops | None:
        """What the last call dropped between the layers; None if nothing."""
        return self._calls.layers

    @property
    def token_counts(self) -> list[int]:
        """Visual tokens that the language model read of each image in the last call.

        A pass behind the cache of a pruned call reads that call's tokens.
        """
        return [] if self.last is None else self.last.token_counts

    @property
    def layer_counts(self) -> list[list[int]]:
        """The same for every layer of the language model."""
        if self.layers is None:
            depth = int(self.settings.model.config.get_text_config().num_hidden_layers)
            return [[count] * depth for count in self.token_counts]
        return [image.counts for image in self.layers.images]

    def __enter__(self) -> "PrunedVlm":
        """Replace the model's own methods.

        Raises:
            ValueError: If the model is pruned already.
        """
        model = self.settings.model
        if not self._entered:
            if isinstance(model.forward, StandIn):
                raise ValueError("the model is pruned already; leave the outer prune() first")
            self._forward, self._generate = model.forward, cast(Generate, model.generate)
            methods = {"forward": self.forward, "generate": self.generate}
            self._inside = methods_replaced(model, methods)
            self._inside.__enter__()
        self._entered += 1
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Give the model its own methods back, once nobody generates in another thread."""
        self._entered -= 1
        if not self._entered:
            self._inside.__exit__(kind, error, trace)

    @torch.no_grad()
    def cues(self, **given: object) -> list[Cues]:
        """What a method may read of each image of a call, computed when read; nothing is pruned.

        Args:
            **given: What the model's own ``forward`` takes.

        Raises:
            ValueError: See ``prune``.
        """
        sources, _ = opened(self.settings, given, watch=self.settings.clip is None)
        return cues_of(sources)

    def forward(self, *args: object, **given: object) -> ModelOutput:
        """Run the model once; logits are those of the shortened prompts.

        A call without images is left as it is.

        Args:
            *args: What the model's own ``forward`` takes, ids [b, s] of the full prompts first.
            **given: The same by name.

        Raises:
            ValueError: See ``prune``.
        """
        with self._calls.begun():
            given = named(self._forward, args, given)
            if has_pixels(given):
                return self._read(given)
            if self._calls.runs_here:  # a pass of the door's own generate
                return self._forward(**with_mask(given))
            note = noted(given.get("past_key_values"))
            if note is None:
                return self._forward(**given)
            out = self._forward(**continued(given, note, self.settings.family.first_position))
            note_caches(given, out, note.call)
            self._calls.tell(note.call, None)
            return out

    def _read(self, given: dict[str, object]) -> ModelOutput:
        """Read prompts with images once."""
        refuse_cache(given, generates=False)
        refuse_unknown(self.settings.model, given, generates=False)
        refuse_columns(self.settings.pruner, given)
        with self._calls.alone():
            call = prepare(self.settings, given)
            positions = call.prompt.position_ids + self.settings.family.first_position
            with self._dropping(call):
                out = self._forward(**call.arguments, position_ids=without_single_axis(positions))
        note_caches(given, out, call)
        return out

    def generate(self, *args: object, **given: object) -> Tensor | ModelOutput:
        """Generate answers; the sequences returned begin with the full prompts.

        Args:
            *args: What the model's own ``generate`` takes, ids [b, s] of the full prompts first.
            **given: The same by name; the ids may be called ``input_ids``.

        Raises:
            ValueError: See ``prune``.
        """
        with self._calls.begun():
            given = named(self._generate, args, given)
            refuse_cache(given, generates=True)
            if not has_pixels(given):
                return self._generate(**given)
            inputs = given.pop("inputs", None)
            if inputs is not None and given.get("input_ids") is not None:
                raise ValueError("the prompts are given twice, as inputs and as input_ids")
            given["input_ids"] = given.get("input_ids") if inputs is None else inputs
            refuse_modes(self.settings, given)
            refuse_padding(self.settings.model, given)
            with self._calls.alone():
                return self._generated(given)

    def _generated(self, given: dict[str, object]) -> Tensor | ModelOutput:
        """Generate from prompts with images."""
        model = self.settings.model
        with torch.no_grad():
            call = prepare(self.settings, given)
        if call.open_end and any(len(one.columns) < len(one.item.columns) for one in call.slots):
            raise ValueError(END)
        ids, mask = cast(Tensor, given["input_ids"]), given.get("attention_mask")
        full = FullPrompts(
            ids, torch.ones_like(ids) if mask is None else cast(Tensor, mask), call,
            self.settings.family,
        )  # fmt: skip
        changed = short_limits(model, call.arguments, full.cut)
        changed["streamer"] = full.streamer(given.get("streamer"))
        positions = without_single_axis(call.prompt.position_ids)
        out = None
        try:
            # Every pass must go through the door's own forward, which gives it an explicit mask.
            with self, self._dropping(call), full.seen(model):
                out = self._generate(**{**call.arguments, **changed}, position_ids=positions)
        finally:
            note_caches(given, out, call)
        if isinstance(out, Tensor):
            return full.of(out)
        out["sequences"] = full.of(out["sequences"])
        return out

    @contextmanager
    def _dropping(self, call: PreparedCall) -> Iterator[None]:
        """Drop tokens between the layers, if the method does that; callbacks can read of it."""
        settings, layers = self.settings, None
        if call.drops_between_layers and isinstance(settings.pruner, LayerPruner):
            layers = layer_drops(
                settings.model, settings.family, settings.pruner, call.slots, call.prompt
            )
        self._calls.tell(call, layers)
        with nullcontext() if layers is None else layers.hooked():
            yield
        self._calls.tell(call, layers)  # a call of another thread may have told of itself meanwhile


def with_mask(given: dict[str, object]) -> dict[str, object]:
    """The arguments of a prefill with an explicit mask.

    Without a mask and a cache the library takes a gap in the positions for the start of another
    sequence that was packed into the row.
    """
    ids = given.get("input_ids")
    bare = given.get("attention_mask") is None and given.get("past_key_values") is None
    if bare and given.get("position_ids") is not None and isinstance(ids, Tensor):
        return {**given, "attention_mask": torch.ones_like(ids)}
    return given
