"""Bounds of the fields of a model's configuration, by name, whichever part of the model has them.

A configuration from a stranger may ask for a million layers. Everything published lies far inside
these bounds.
"""

from collections.abc import Iterator, Mapping
from typing import cast

from litelvlm.data.safe.shown import shown

_SIZES: Mapping[str, int] = {
    "vocab_size": 1_000_000,
    "hidden_size": 32_768,
    "intermediate_size": 131_072,
    "mlp_dim": 131_072,
    "mm_hidden_size": 32_768,
    "projection_dim": 32_768,
    "out_dim": 32_768,
    "output_channels": 8_192,
    "num_hidden_layers": 256,
    "num_attention_heads": 512,
    "num_key_value_heads": 512,
    "max_position_embeddings": 2_097_152,
    "image_size": 4_096,
    "image_embedding_size": 1_024,
    "patch_size": 1_024,
    "num_channels": 64,
    "num_pos_feats": 8_192,
    "window_size": 1_024,
    "num_multimask_outputs": 64,
    "mask_input_channels": 1_024,
    "iou_head_depth": 64,
    "iou_head_hidden_dim": 32_768,
    "num_point_embeddings": 64,
}
"""Largest value of each size; the smallest is 1, but for those of ``_FROM_ZERO``."""
_FROM_ZERO = frozenset({"window_size"})
_REALS: Mapping[str, tuple[float, float]] = {
    "rms_norm_eps": (0.0, 1.0),
    "layer_norm_eps": (0.0, 1.0),
    "rope_theta": (1.0, 1e12),
    "mlp_ratio": (0.01, 64.0),
    "attention_dropout": (0.0, 1.0),
}
"""Smallest and largest value of each real number."""


def check_bounds(config: Mapping[str, object], where: str) -> None:
    """Refuse a configuration with a size or number out of bounds, in its parts too.

    Args:
        config: The fields; a value that is a mapping itself is a part with fields of its own.
        where: Its file, for the message.

    Raises:
        ValueError: Naming each field, its value and what is allowed; at most ten of them.
    """
    wrong = list(_wrong(cast(Mapping[object, object], config), ""))
    if wrong:
        rest = f" and {len(wrong) - 10} more" if len(wrong) > 10 else ""
        raise ValueError(f"{where} has {'; '.join(wrong[:10])}{rest}")


def _wrong(config: Mapping[object, object], part: str) -> Iterator[str]:
    for name, value in config.items():
        if isinstance(value, Mapping):
            yield from _wrong(dict(value), f"{part}{name}.")
        elif isinstance(name, str) and name in _SIZES:
            low = 0 if name in _FROM_ZERO else 1
            if not (type(value) is int and low <= value <= _SIZES[name]):
                allowed = f"whole numbers from {low} to {_SIZES[name]:,}"
                yield f"{part}{name}={shown(value)} (allowed: {allowed})"
        elif isinstance(name, str) and name in _REALS:
            bottom, top = _REALS[name]
            if not (type(value) in (int, float) and bottom <= float(str(value)) <= top):
                yield f"{part}{name}={shown(value)} (allowed: numbers from {bottom:g} to {top:g})"
    yield from _unfit_heads(config, part)


def _unfit_heads(config: Mapping[object, object], part: str) -> Iterator[str]:
    """Widths that the heads cannot share evenly."""
    heads = config.get("num_attention_heads")
    if type(heads) is not int or heads < 1:
        return
    width, shared = config.get("hidden_size"), config.get("num_key_value_heads")
    if type(width) is int and width % heads:
        yield f"{part}hidden_size {width}, which is not a multiple of num_attention_heads {heads}"
    if type(shared) is int and shared > 0 and heads % shared:
        yield (
            f"{part}num_attention_heads {heads}, which is not a multiple of num_key_value_heads "
            f"{shared}"
        )
