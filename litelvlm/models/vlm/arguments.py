"""What callers may hand to a pruned model: made exact for the shortened prompt, or refused.

``docs/any-vlm.md`` holds the table of all arguments; this module is where it is made true.
"""

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import cast

import torch
from jaxtyping import Int
from torch import Tensor
from transformers import (
    Cache,
    GenerationConfig,
    LogitsProcessorList,
    PreTrainedModel,
    StoppingCriteriaList,
)
from transformers.generation.streamers import BaseStreamer
from transformers.utils.generic import ModelOutput

from litelvlm.models.vlm.network import has_pixels
from litelvlm.models.vlm.preparing import PreparedCall
from litelvlm.models.vlm.shorten import without_single_axis
from litelvlm.pruning import LayerPruner, Pruner
from litelvlm.pruning.layers.base import LayerPlan

OWN_PASSES = {
    "guidance_scale": "a second prompt, which holds no image,",
    "negative_prompt_ids": "a second prompt, which holds no image,",
    "negative_prompt_attention_mask": "a second prompt, which holds no image,",
    "token_healing": "a prompt that it changes itself",
    "custom_generate": "a loop of its own",
    "use_mtp": "heads that predict several tokens",
    "constraints": "a loop of its own",
    "force_words_ids": "a loop of its own",
    "penalty_alpha": "a loop of its own",
    "dola_layers": "a loop of its own",
    "num_beam_groups": "a loop of its own",
    "assistant_early_exit": "its own first layers as an assistant",
    "continuous_batching_config": "batches of its own making",
}
"""Arguments of ``generate`` that no pruned call takes, and what each would read."""
STEPWISE = {
    "prefill_chunk_size": "the prompt in pieces",
    "assistant_model": "several tokens at once, and takes some back",
    "prompt_lookup_num_tokens": "several tokens at once, and takes some back",
}
"""Those that methods between the layers cannot follow, and how each reads."""


OFF: Mapping[str, tuple[float, ...]] = {"guidance_scale": (1,), "num_beam_groups": (0, 1)}
"""Numbers that ask for nothing; 0 does so where none are named here."""


def is_on(name: str, value: object) -> bool:
    """Whether a setting asks for anything."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value not in OFF.get(name, (0,))
    return value is not None and value is not False


def setting(model: PreTrainedModel, given: Mapping[str, object], name: str) -> object:
    """A setting of ``generate``: the argument, that of its configuration, or the model's own."""
    for value in (
        given.get(name),
        getattr(given.get("generation_config"), name, None),
        getattr(model.generation_config, name, None),
    ):
        if value is not None:
            return value
    return None


def refuse_modes(
    model: PreTrainedModel, given: Mapping[str, object], method: str, between_layers: bool
) -> None:
    """Refuse ways of generating that do not see the shortened prompt as it is.

    Args:
        model: The model.
        given: Arguments of the call.
        method: Name of the method.
        between_layers: Whether it drops tokens between the layers.

    Raises:
        ValueError: Naming the argument and what to do.
    """
    for name, what in OWN_PASSES.items():
        if is_on(name, setting(model, given, name)):
            raise ValueError(
                f"{name} makes generate read {what}, which prune() does not prune; leave {name} "
                "out, or generate without pruning"
            )
    for name, how in STEPWISE.items():
        if between_layers and is_on(name, setting(model, given, name)):
            raise ValueError(
                f"{name} makes generate read {how}, and {method} drops tokens between the layers "
                f"in one pass over the prompt; leave {name} out, or take a method that acts before "
                "the language model, for example 'divprune'"
            )
    mask = given.get("attention_mask")
    if isinstance(mask, Tensor) and mask.ndim == 2 and bool((mask[:, -1] == 0).any()):
        raise ValueError(
            "a row of the batch is padded on the right, and generate would continue behind its "
            "padding; pad on the left: processor.tokenizer.padding_side = 'left'"
        )


def refuse_columns(pruner: Pruner, given: Mapping[str, object]) -> None:
    """Refuse arguments of ``forward`` that mean other tokens than those that are left.

    Raises:
        ValueError: If labels are given to a method between the layers, or columns to keep.
    """
    if isinstance(pruner, LayerPruner) and given.get("labels") is not None:
        raise ValueError(
            f"{pruner.name} drops tokens between the layers, so the model's own loss would compare "
            "labels with other tokens; leave labels out, or train with a method that acts before "
            "the language model, for example 'divprune'"
        )
    if isinstance(given.get("logits_to_keep"), Tensor):
        raise ValueError(
            "logits_to_keep names columns of the full prompt, which a pruned one does not have; "
            "give the number of last tokens instead"
        )


def refuse_cache(given: Mapping[str, object], generates: bool) -> None:
    """Refuse a filled cache where the prompt is read anew.

    Args:
        given: Arguments of the call.
        generates: Whether it is a call of ``generate``.

    Raises:
        ValueError: If it is filled, by a pruned call or before a prompt with images.
    """
    cache = given.get("past_key_values")
    if cache is None or not (has_pixels(given) or generates):
        return
    filled = getattr(cache, "get_seq_length", lambda: 1)()
    if filled and (has_pixels(given) or read_by(cache) is not None):
        raise ValueError(
            f"past_key_values already holds {filled} tokens of an earlier call, which are fewer "
            "than those of its prompts where visual tokens were pruned; leave the cache out and "
            "give the whole conversation with its images"
        )


def read_by(cache: object) -> PreparedCall | None:
    """The pruned call that filled a cache; None for any other cache."""
    found: PreparedCall | None = getattr(cache, "pruned_call", None)
    return found


def note_cache(out: object, call: PreparedCall) -> None:
    """Note in the cache that a call returns which call filled it."""
    cache = out.get("past_key_values") if isinstance(out, ModelOutput) else None
    if cache is not None:
        cache.pruned_call = call


def continued(given: Mapping[str, object], call: PreparedCall, first: int) -> dict[str, object]:
    """Arguments of a pass that goes on behind a pruned prompt, with its mask and positions.

    Args:
        given: Arguments of the call, without images: ids of new tokens, and a cache.
        call: The pruned call that filled the cache.
        first: Position of the first token in the family.

    Raises:
        ValueError: If the layers hold different tokens, a row of the prompts is padded on the
            right, or the new tokens have positions or padding of their own.
    """
    ids, cache, mask = (given.get(n) for n in ("input_ids", "past_key_values", "attention_mask"))
    prompt = call.prompt.arguments["attention_mask"]
    if not isinstance(ids, Tensor) or ids.ndim != 2:
        raise ValueError("give input_ids [batch, length] of the new tokens beside past_key_values")
    if any(isinstance(choice, LayerPlan) for choice in call.selections):
        raise ValueError(
            "past_key_values holds other tokens in each layer, which forward cannot go on from; "
            "call generate, or a method that acts before the language model"
        )
    past = cast(Cache, cache).get_seq_length()  # read_by knows it
    new = past - prompt.shape[1] + ids.shape[1]
    tail = torch.ones_like(ids[:, :1]).expand(-1, new)
    padded = bool((prompt[:, -1] == 0).any())
    if isinstance(mask, Tensor):
        padded |= mask.shape[1] < new or not bool((mask[:, -new:] == 1).all())
    if padded or given.get("position_ids") is not None:
        raise ValueError(
            "a pass behind a pruned prompt takes its mask and positions from the prompt: pad "
            "prompts on the left, give the new tokens no padding, and leave position_ids out"
        )
    steps = torch.arange(new - ids.shape[1] + 1, new + 1, device=ids.device)
    positions = call.prompt.position_ids[..., -1:] + steps + first
    return {
        **given,
        "attention_mask": torch.cat([prompt, tail.to(prompt)], dim=1),
        "position_ids": without_single_axis(positions),
    }


def short_limits(
    model: PreTrainedModel, given: Mapping[str, object], cut: int
) -> dict[str, object]:
    """Limits of the whole length, wherever they are set, less the tokens cut from the prompt.

    Args:
        model: The model.
        given: Arguments of the call.
        cut: Tokens that the prompt lost.
    """
    changed: dict[str, object] = {}
    config = deepcopy(given.get("generation_config"))
    for name, counts_new in (("max_length", "max_new_tokens"), ("min_length", "min_new_tokens")):
        limit = setting(model, given, name)
        if not isinstance(limit, int) or setting(model, given, counts_new) is not None:
            continue
        if given.get(name) is None and isinstance(config, GenerationConfig):
            setattr(config, name, max(0, limit - cut))
            changed["generation_config"] = config
        else:
            changed[name] = max(0, limit - cut)
    return changed


@dataclass(frozen=True, eq=False)
class FullPrompts:
    """Sequences as the caller knows them: the full prompts, then what was generated.

    Attributes:
        input_ids: The full prompts [b, s].
        short: Length of the shortened prompts.
    """

    input_ids: Int[Tensor, "b s"]
    short: int

    def of(self, sequences: Int[Tensor, "k t"]) -> Int[Tensor, "k u"]:
        """Sequences with the full prompts in front, one prompt or more to each row."""
        copies = len(sequences) // len(self.input_ids)
        prompts = self.input_ids.repeat_interleave(copies, dim=0).to(sequences.device)
        return torch.cat([prompts, sequences[:, self.short :]], dim=1)

    def callbacks(self, given: Mapping[str, object]) -> dict[str, object]:
        """The caller's own processors, criteria and streamer, which see full prompts."""
        changed: dict[str, object] = {}
        processors, criteria = given.get("logits_processor"), given.get("stopping_criteria")
        if isinstance(processors, Sequence):
            changed["logits_processor"] = LogitsProcessorList(map(self._seeing, processors))
        if isinstance(criteria, Sequence):
            changed["stopping_criteria"] = StoppingCriteriaList(map(self._seeing, criteria))
        allowed, streamer = given.get("prefix_allowed_tokens_fn"), given.get("streamer")
        if callable(allowed):
            changed["prefix_allowed_tokens_fn"] = lambda row, ids: allowed(
                row, torch.cat([self.input_ids[row].to(ids.device), ids[self.short :]])
            )
        if streamer is not None:
            changed["streamer"] = _Streamer(cast(BaseStreamer, streamer), self.input_ids)
        return changed

    def _seeing(
        self, inner: Callable[[Tensor, object], object]
    ) -> Callable[[Tensor, object], object]:
        """A processor or criterion of the caller's, which sees full prompts."""

        def called(input_ids: Tensor, scores: object) -> object:
            return inner(self.of(input_ids), scores)

        return called


class _Streamer(BaseStreamer):
    """A caller's streamer, which gets the full prompt first."""

    def __init__(self, inner: BaseStreamer, prompt: Int[Tensor, "b s"]) -> None:
        self.inner, self.prompt, self.begun = inner, prompt, False

    def put(self, value: Tensor) -> None:
        """Hand on what was generated; the first value is the prompt."""
        self.inner.put(value if self.begun else self.prompt.cpu())
        self.begun = True

    def end(self) -> None:
        """Hand on the end."""
        self.inner.end()
