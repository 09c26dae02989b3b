"""Caches that callers hand back: which pruned call filled one, and how a pass goes on behind it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor
from transformers import Cache, EncoderDecoderCache
from transformers.utils.generic import ModelOutput

from litelvlm.models.vlm.network import has_pixels
from litelvlm.models.vlm.preparing import END, PreparedCall
from litelvlm.models.vlm.shorten import without_single_axis
from litelvlm.pruning.layers.base import LayerPlan


@dataclass(frozen=True, eq=False)
class CacheNote:
    """What is remembered of a cache that a pruned call filled.

    Attributes:
        call: That call.
        end: The last key of its first layer that holds any, after the call; rows that were taken
            away, repeated or put into another order no longer end in it.
    """

    call: PreparedCall
    end: Float[Tensor, "b heads e"] | None


def refuse_cache(given: Mapping[str, object], generates: bool) -> None:
    """Refuse a filled cache where the prompt is read anew.

    Args:
        given: Arguments of the call.
        generates: Whether it is a call of ``generate``.

    Raises:
        ValueError: If it is filled, by a pruned call or before a prompt with images, or is none of
            a decoder alone.
    """
    cache = given.get("past_key_values")
    if cache is None or not (has_pixels(given) or generates):
        return
    if not isinstance(cache, Cache) or isinstance(cache, EncoderDecoderCache):
        raise ValueError(
            f"past_key_values is a {type(cache).__name__}, and these models keep their keys in a "
            "cache of one decoder; give an empty DynamicCache, or leave past_key_values out"
        )
    filled = cache.get_seq_length()
    if filled and (has_pixels(given) or noted(cache) is not None):
        raise ValueError(
            f"past_key_values already holds {filled} tokens of an earlier call, which are fewer "
            "than those of its prompts where visual tokens were pruned; leave the cache out and "
            "give the whole conversation with its images"
        )


def noted(cache: object) -> CacheNote | None:
    """What is remembered of a cache; None if no pruned call filled it, or it is empty again."""
    found: CacheNote | None = getattr(cache, "pruned_call", None)
    return found if isinstance(cache, Cache) and cache.get_seq_length() else None


def note_caches(given: Mapping[str, object], out: object, call: PreparedCall) -> None:
    """Note in the caches that a call takes and returns which pruned call filled them."""
    returned = list(out.values()) if isinstance(out, ModelOutput) else out
    parts = returned if isinstance(returned, list | tuple) else ()
    for cache in (given.get("past_key_values"), *parts):
        if isinstance(cache, Cache):
            cache.pruned_call = CacheNote(call, last_keys(cache))  # type: ignore[attr-defined]


def last_keys(cache: Cache) -> Float[Tensor, "b heads e"] | None:
    """The newest key of the first layer that holds any as they are; None without one."""
    for layer in cache.layers:
        keys = getattr(layer, "keys", None)
        if isinstance(keys, Tensor) and keys.ndim == 4 and keys.shape[2]:
            newest = min(int(cache.get_seq_length()), keys.shape[2]) - 1
            return keys[:, :, newest].detach().clone()
    return None


def continued(given: Mapping[str, object], note: CacheNote, first: int) -> dict[str, object]:
    """Arguments of a pass that goes on behind a pruned prompt, with its mask and positions.

    Args:
        given: Arguments of the call, without images: ids of new tokens, and a cache.
        note: What is remembered of the cache.
        first: Position of the first token in the family.

    Raises:
        ValueError: If the layers hold different tokens, the cache was changed since, a row of the
            prompts is padded on the right, or the new tokens have positions or padding of their
            own.
    """
    ids, cache, mask = (given.get(n) for n in ("input_ids", "past_key_values", "attention_mask"))
    call = note.call
    prompt = call.prompt.arguments["attention_mask"]
    if not isinstance(ids, Tensor) or ids.ndim != 2:
        raise ValueError("give input_ids [batch, length] of the new tokens beside past_key_values")
    if any(isinstance(choice, LayerPlan) for choice in call.selections):
        raise ValueError(
            "past_key_values holds other tokens in each layer, which forward cannot go on from; "
            "call generate, or a method that acts before the language model"
        )
    if call.open_end:
        raise ValueError(f"{END}, or give the whole conversation with its images")
    end = last_keys(cast(Cache, cache))  # noted() knows it
    same = end is None or note.end is None or torch.equal(end, note.end)
    if len(ids) != len(prompt) or not same:
        raise ValueError(
            "the rows of past_key_values were cropped, repeated or put into another order since "
            "the pruned call, so its mask and positions no longer belong to them; give the whole "
            "conversation with its images"
        )
    past = cast(Cache, cache).get_seq_length()
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
