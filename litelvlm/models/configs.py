"""``config.json`` of a checkpoint of any family: its fields, the sizes in it, its rotation."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TypeVar, cast

from litelvlm.data.safe.json_data import read_json
from litelvlm.data.safe.shown import shown
from litelvlm.names import check_name

Part = TypeVar("Part", bound="PartSizes")


def read_fields(folder: Path, what: str, name: str = "config.json") -> Mapping[str, object]:
    """Read the fields of a ``config.json``, or of another file.

    Args:
        folder: Where it lies.
        what: What it describes, for messages.
        name: Of the file.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If it is no JSON object.
    """
    path = folder / name
    if not path.is_file():
        raise FileNotFoundError(f"{folder} has no {name}; give the folder of a {what}")
    try:
        config = read_json(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not JSON ({shown(str(error))}); fetch it again") from error
    if not isinstance(config, dict):
        raise ValueError(f"{path} holds a {type(config).__name__}, expected an object with sizes")
    return config


@dataclass(frozen=True, kw_only=True)
class PartSizes:
    """Sizes of one part of a model, as fields of a subclass."""

    def changed(self: Part, given: object, name: str, where: str) -> Part:
        """These sizes, but for those that a configuration gives.

        Args:
            given: Sizes by their names.
            name: What the configuration calls the part.
            where: Its file, for messages.

        Raises:
            ValueError: If they are no sizes by name, one is unknown, or they make no model.
        """
        if not isinstance(given, Mapping):
            raise ValueError(f"{where} has {name}={shown(given)}; it holds sizes by name")
        known = [field.name for field in fields(self)]
        changes = {
            check_name(str(n), known, f"size of {name}"): tuple(v) if isinstance(v, list) else v
            for n, v in given.items()
        }
        try:
            return replace(self, **changes)
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from error


_LIMITS: Mapping[int, tuple[str, ...]] = {
    2_097_152: (
        *("max_position_embeddings", "original_max_position_embeddings", "sliding_window"),
    ),
    1_000_000: ("vocab_size",),
    131_072: ("intermediate_size", "mlp_dim"),
    32_768: (
        *("hidden_size", "mm_hidden_size", "image_mm_hidden_size", "projection_dim", "out_dim"),
        "iou_head_hidden_dim",
    ),
    8_192: ("output_channels", "num_pos_feats"),
    4_096: ("image_size",),
    1_024: ("image_embedding_size", "patch_size", "window_size", "mask_input_channels"),
    512: ("num_attention_heads", "num_key_value_heads"),
    256: ("num_hidden_layers",),
    64: ("num_channels", "num_multimask_outputs", "iou_head_depth", "num_point_embeddings"),
}
_SIZES = {name: largest for largest, names in _LIMITS.items() for name in names}
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


_SPELLINGS = ("rope_scaling", "rope_parameters")  # before transformers 5, and since
_TYPES = ("type", "rope_type")
_KINDS = ("default", "mrope", None)  # "mrope": several axes, which scales nothing
_PART = "partial_rotary_factor"  # of a head; all of it is turned here


def rotation(
    config: Mapping[str, object], where: str, known: tuple[str, ...] = ("rope_theta",)
) -> dict[str, object]:
    """What turns positions, by its name in transformers: ``rope_theta`` and what a family adds.

    Args:
        config: Fields of the language model.
        where: Their file, for messages.
        known: Numbers that the family reads.

    Returns:
        Those of ``known`` that are given.

    Raises:
        ValueError: If positions are scaled, a number is none of ``known``, or two places state
            different ones.

    Example:
        >>> rotation({"rope_parameters": {"rope_type": "default", "rope_theta": 5e5}}, "a file")
        {'rope_theta': 500000.0}
    """
    found = {name: config[name] for name in known if config.get(name) is not None}
    if config.get(_PART, 1) != 1:
        raise ValueError(f"{where} has {_PART}={shown(config[_PART])}; whole heads are turned here")
    for spelling in _SPELLINGS:
        given = config.get(spelling)
        if given is None:
            continue
        numbers = dict(given) if isinstance(given, Mapping) else {"": given}
        scaled = any(numbers.pop(name, None) not in _KINDS for name in _TYPES)
        scaled |= numbers.pop(_PART, 1) != 1
        if scaled or not numbers.keys() <= set(known):
            raise ValueError(
                f"{where} has {spelling}={shown(given)}; positions that are scaled or turned "
                f"otherwise are not computed here (known: {', '.join(known)})"
            )
        for name, value in numbers.items():
            if found.setdefault(name, value) != value:
                raise ValueError(
                    f"{where} has {name}={shown(value)} in {spelling} and {shown(found[name])} "
                    "elsewhere; leave one of them"
                )
    return found
