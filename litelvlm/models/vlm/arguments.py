"""Every argument of ``generate`` and ``forward``: what a pruned call does with it, or its refusal.

``docs/any-vlm.md`` prints this as a table. What stands in no list is refused, so that an argument
that a later release of transformers brings is noticed.
"""

from collections.abc import Mapping

import torch
from torch import Tensor
from transformers import GenerationConfig, PreTrainedModel

from litelvlm.models.vlm.families import IMAGE_BOTH_WAYS, PROMPT_BOTH_WAYS
from litelvlm.models.vlm.preparing import MADE_HERE, PruningSettings
from litelvlm.models.vlm.shorten import PER_TOKEN
from litelvlm.pruning import LayerPruner, Pruner


def names(words: str) -> frozenset[str]:
    """The names in a text with blanks between them."""
    return frozenset(words.split())


ENCODED = names(
    "pixel_values pixel_values_images pixel_values_videos pixel_attention_mask image_sizes "
    "image_sizes_videos image_grid_thw video_grid_thw image_merge_sizes video_merge_sizes "
    "video_compression_mask spatial_shapes batch_num_images second_per_grid_ts vision_aspect_ratio "
    "vision_feature_layer vision_feature_select_strategy"
)
"""Arguments of ``forward`` that images are encoded and placed by, before any token is dropped."""
ANY_LENGTH = names(
    "past_key_values use_cache logits_to_keep num_items_in_batch output_attentions "
    "output_hidden_states output_router_logits return_dict"
)
"""Arguments of ``forward`` that mean the same for a prompt of any length."""
FORWARD = ENCODED | ANY_LENGTH | {"input_ids", "attention_mask", *PER_TOKEN, *MADE_HERE}
"""Every argument of ``forward`` that is decided."""
LENGTHS = frozenset({"max_length", "min_length", "max_new_tokens", "min_new_tokens"})
"""Limits; those of the whole length count the full prompt."""
CALL = names(
    "inputs generation_config logits_processor stopping_criteria prefix_allowed_tokens_fn "
    "synced_gpus streamer tokenizer assistant_tokenizer trust_remote_code"
)
"""Arguments of ``generate`` itself that a pruned call hands on; callbacks see the full prompt."""
HANDED_ON = names(
    # What is chosen from the scores of the next token.
    "do_sample temperature top_k top_p min_p top_h typical_p epsilon_cutoff eta_cutoff "
    "num_beams early_stopping length_penalty num_return_sequences diversity_penalty "
    # What reads the sequence: all of these see the full prompt.
    "repetition_penalty encoder_repetition_penalty no_repeat_ngram_size "
    "encoder_no_repeat_ngram_size bad_words_ids sequence_bias suppress_tokens "
    "begin_suppress_tokens forced_bos_token_id forced_eos_token_id watermarking_config "
    "exponential_decay_length_penalty remove_invalid_values renormalize_logits max_time "
    "stop_strings "
    # Caches and speed.
    "use_cache cache_implementation cache_config max_cache_len compile_config disable_compile "
    "low_memory "
    # How an assistant drafts.
    "num_assistant_tokens num_assistant_tokens_schedule assistant_confidence_threshold "
    "assistant_lookbehind target_lookbehind assistant_ensemble_weight max_matching_ngram_size "
    # What comes back, and what tokens mean.
    "return_dict_in_generate output_scores output_logits output_attentions output_hidden_states "
    "pad_token_id bos_token_id eos_token_id decoder_start_token_id transformers_version"
)
"""Settings of ``generate`` that mean the same for a shortened prompt."""
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
    "is_assistant": "the images as if an earlier call had read them",
    "speculation_type": "the states of its layers with a model of their own",
}
"""Arguments of ``generate`` that no pruned call takes, and what each would read."""
STEPWISE = {
    "prefill_chunk_size": "the prompt in pieces",
    "assistant_model": "several tokens at once, and takes some back",
    "prompt_lookup_num_tokens": "several tokens at once, and takes some back",
}
"""Those that methods between the layers cannot follow, and how each reads."""
GENERATE = LENGTHS | CALL | HANDED_ON | {*OWN_PASSES, *STEPWISE}
"""Every argument and every setting of ``generate`` that is decided."""
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


def refuse_unknown(model: PreTrainedModel, given: Mapping[str, object], generates: bool) -> None:
    """Refuse what stands in no list of this module.

    Args:
        model: The model.
        given: Arguments of the call.
        generates: Whether it is a call of ``generate``.

    Raises:
        ValueError: Naming the first such argument or setting.
    """
    known = FORWARD | GENERATE if generates else FORWARD
    unknown = [name for name, value in given.items() if name not in known and value is not None]
    if generates:
        fields = {name for name in vars(GenerationConfig()) if not name.startswith("_")}
        unknown += [n for n in sorted(fields - known) if is_on(n, setting(model, given, n))]
    if unknown:
        raise ValueError(
            f"{unknown[0]} is not known to prune(), so it cannot say what it means for a prompt "
            f"with fewer visual tokens; leave {unknown[0]} out, or call the model without pruning"
        )


def refuse_modes(settings: PruningSettings, given: Mapping[str, object]) -> None:
    """Refuse ways of generating that do not see the shortened prompt as it is.

    Args:
        settings: What ``prune`` was called with.
        given: Arguments of the call.

    Raises:
        ValueError: Naming the argument and what to do.
    """
    model, pruner = settings.model, settings.pruner
    refuse_unknown(model, given, generates=True)
    for name, what in OWN_PASSES.items():
        if is_on(name, setting(model, given, name)):
            raise ValueError(
                f"{name} makes generate read {what}, which prune() does not prune; leave {name} "
                "out, or generate without pruning"
            )
    if given.get("cache_implementation") == "paged":
        raise ValueError(
            "cache_implementation='paged' makes generate read text alone, in batches of its own "
            "making; leave it out"
        )
    for name, how in STEPWISE.items():
        why = cannot_step(settings, name)
        if why and is_on(name, setting(model, given, name)):
            raise ValueError(f"{name} makes generate read {how}, and {why}")
    if isinstance(pruner, LayerPruner) and setting(model, given, "use_cache") is False:
        raise ValueError(
            f"{pruner.name} drops tokens once, in the pass over the prompt; generate with "
            "use_cache=True"
        )


def cannot_step(settings: PruningSettings, name: str) -> str:
    """Why a way of ``STEPWISE`` would not read the tokens one by one; empty where it does."""
    family, pruner = settings.family, settings.pruner
    if isinstance(pruner, LayerPruner):
        return (
            f"{pruner.name} drops tokens between the layers in one pass over the prompt; leave "
            f"{name} out, or take a method that acts before the language model, for example "
            "'divprune'"
        )
    why, pieces = "", name == "prefill_chunk_size"
    if PROMPT_BOTH_WAYS in family.special or (pieces and IMAGE_BOTH_WAYS in family.special):
        why = "tokens that are read together see those behind them"
    elif pieces and family.field != "pooler_output":
        why = "the library cannot cut the images into pieces"
    return f"in {family.model_type} {why}; leave {name} out" if why else ""


def refuse_padding(model: PreTrainedModel, given: Mapping[str, object]) -> None:
    """Refuse prompts that ``generate`` would not go on from, or whose padding it has to guess.

    Args:
        model: The model.
        given: Arguments of a call of ``generate``.

    Raises:
        ValueError: If a row is padded on the right, or holds padding that no mask tells.
    """
    ids, mask = given.get("input_ids"), given.get("attention_mask")
    if isinstance(mask, Tensor) and mask.ndim == 2 and bool((mask[:, -1] == 0).any()):
        raise ValueError(
            "a row of the batch is padded on the right, and generate would continue behind its "
            "padding; pad on the left: processor.tokenizer.padding_side = 'left'"
        )
    pad, ends = (setting(model, given, name) for name in ("pad_token_id", "eos_token_id"))
    if mask is None and isinstance(pad, int) and isinstance(ids, Tensor):
        stops = torch.as_tensor([] if ends is None else ends).flatten().tolist()
        if pad not in stops and bool((ids == pad).any()):
            raise ValueError(
                f"input_ids hold padding (token {pad}) and no attention_mask says so; hand on "
                "everything that the processor returns"
            )


def refuse_columns(pruner: Pruner, given: Mapping[str, object]) -> None:
    """Refuse arguments of ``forward`` that mean other tokens than those that are left.

    Raises:
        ValueError: If labels are given to a method between the layers, or columns to keep, or a
            mask hides tokens between others.
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
    mask = given.get("attention_mask")
    if isinstance(mask, Tensor) and mask.ndim == 2 and mask.shape[1]:
        shown = mask.bool().long()
        starts = (shown.diff(dim=1) == 1).sum(dim=1) + shown[:, 0]
        if bool((starts > 1).any()):
            raise ValueError(
                "attention_mask hides tokens between others, which forward counts in its positions "
                "and generate does not; leave these tokens out of input_ids instead"
            )
