"""The arithmetic of a LoRA, and which tensors are its parts.

A merged weight is W + s B A, computed in float32 and stored as W was. The scale s is
lora_alpha / r, or lora_alpha / sqrt(r) with use_rslora. With magnitudes (DoRA) every row of the sum
is brought to its length. Anything else that peft can add to a LoRA is refused by name.

Source: LoRA, arXiv 2106.09685, section 4.1; rsLoRA, arXiv 2312.03732; DoRA, arXiv 2402.09353,
equation 5.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite, sqrt

import torch
from jaxtyping import Float
from torch import Tensor

from litelvlm.data.safe.shown import shown

_WRAPPERS = re.compile(r"^(?:module\.|_orig_mod\.)*(?:base_model\.model\.)?")
_PART = re.compile(
    r"(?P<place>.+)\.lora_(?P<part>A|B|embedding_A|embedding_B|magnitude_vector)"
    r"(?:\.(?!weight$|bias$)(?P<adapter>[^.]+))?(?:\.weight)?"
)
_SAVED = re.compile(r"\.modules_to_save(?:\.(?P<adapter>[^.\d][^.]*)(?=\.))?")
_HARMLESS = frozenset(
    {
        *("auto_mapping", "base_model_name_or_path", "bias", "corda_config", "enable_lora"),
        *("ephemeral_gpu_offload", "eva_config", "exclude_modules", "fan_in_fan_out"),
        *("inference_mode", "init_lora_weights", "layers_pattern", "layers_to_transform"),
        *("loftq_config", "lora_alpha", "lora_dropout", "lora_ga_config", "lora_r"),
        *("megatron_config", "megatron_core", "merge_weights", "modules_to_save", "peft_type"),
        *("peft_version", "qalora_group_size", "r", "rank_pattern", "revision", "runtime_config"),
        *("target_modules", "task_type", "use_dora", "use_rslora"),
    }
)
"""Fields of ``adapter_config.json`` that are read here or do not matter for a merged weight."""
_PLAIN_BEGINNINGS = (None, True, False, "gaussian", "orthogonal", "eva")
"""Ways to begin a LoRA that leave the base weights as they are."""


@dataclass(frozen=True)
class LoraScale:
    """What a LoRA's weights do not say of themselves.

    Attributes:
        alpha: lora_alpha of the training.
        rank: r of the training; None where ranks differ or none is stated.
        rank_stabilised: Whether the scale is alpha / sqrt(r).
        transposed: Whether weights lie as [in, out] (fan_in_fan_out).
        magnitudes: Whether every part has a magnitude (use_dora).
    """

    alpha: float
    rank: int | None = None
    rank_stabilised: bool = False
    transposed: bool = False
    magnitudes: bool = False


@dataclass
class Lora:
    """A LoRA, read tensor by tensor.

    Attributes:
        parts: Of each place ("model.layers.0.self_attn.q_proj"), its parts by name.
        saved: Weights that take the place of the base's, by the base's name.
    """

    parts: dict[str, dict[str, Tensor]] = field(default_factory=dict)
    saved: dict[str, Tensor] = field(default_factory=dict)
    _adapters: set[str] = field(default_factory=set)

    def take(self, name: str, tensor: Tensor) -> bool:
        """Keep a tensor if it belongs to the LoRA; whether it does.

        Raises:
            ValueError: If it is a part that is not merged here, or of a second adapter.
        """
        name = plain_name(name)
        part, saved = _PART.fullmatch(name), _SAVED.search(name)
        found = part or saved
        if found is None:
            if ".lora_" in name:
                raise ValueError(f"{name} is no part of a LoRA that is merged here; use peft")
            return False
        self._adapters |= {found["adapter"] or "default"}
        if len(self._adapters) > 1:
            both = " and ".join(sorted(self._adapters))
            raise ValueError(f"there are the adapters {both}; keep one")
        if part:
            self.parts.setdefault(part["place"], {})[part["part"]] = tensor
        else:
            self.saved[_SAVED.sub("", name)] = tensor
        return True

    def changed(self) -> set[str]:
        """Names of the base weights that are changed or replaced."""
        return {f"{place}.weight" for place in self.parts} | self.saved.keys()

    def merged(self, name: str, weight: Tensor, scale: LoraScale) -> Tensor:
        """A base weight as it is with the LoRA, in its own number type.

        Raises:
            ValueError: If a part is missing, or shapes or ranks do not fit.
        """
        weight = self.saved.get(name, weight)  # peft keeps an embedding whole beside its parts
        place, _, kind = name.rpartition(".")
        if kind != "weight" or place not in self.parts:
            return weight
        return merged_weight(weight, self.parts[place], scale, place)


def plain_name(name: str) -> str:
    """The base's name of a weight, without what wrappers of a training add.

    Example:
        >>> plain_name("base_model.model.model.layers.0.q_proj.base_layer.weight")
        'model.layers.0.q_proj.weight'
    """
    plain = _WRAPPERS.sub("", name)
    return plain.replace(".base_layer.", ".").replace(".original_module.", ".")


def merged_weight(
    weight: Float[Tensor, "rows columns"],
    parts: Mapping[str, Float[Tensor, "..."]],
    scale: LoraScale,
    place: str,
) -> Float[Tensor, "rows columns"]:
    """W + s B A in float32, stored as W was.

    Args:
        weight: W.
        parts: "A" [r, in] and "B" [out, r], and "magnitude_vector" [out] for DoRA; or "embedding_A"
            [r, words] and "embedding_B" [width, r].
        scale: What gives s.
        place: Of the weight, for messages.

    Raises:
        ValueError: If a part is missing, or shapes or ranks do not fit.
    """
    embedding = "embedding_A" in parts
    first, second = ("embedding_A", "embedding_B") if embedding else ("A", "B")
    needed = (first, second, *(["magnitude_vector"] if scale.magnitudes else []))
    lacks = [f"lora_{name}" for name in needed if name not in parts]
    extra = [f"lora_{name}" for name in parts.keys() - {first, second, "magnitude_vector"}]
    magnitude = parts.get("magnitude_vector")
    if lacks or extra or (embedding and magnitude is not None):
        wrong = f"lacks {lacks[0]}" if lacks else f"has {[*extra, 'lora_magnitude_vector'][0]}"
        raise ValueError(f"the LoRA of {place} {wrong}; save it again with peft")
    down, up = parts[first], parts[second]
    kind = torch.promote_types(weight.dtype, torch.float32)
    turned = scale.transposed or embedding
    base = weight.T if turned else weight
    fits = (
        weight.is_floating_point()
        and (down.ndim, up.ndim, weight.ndim) == (2, 2, 2)
        and down.shape[0] == up.shape[1] > 0
        and (up.shape[0], down.shape[1]) == tuple(base.shape)
        and (magnitude is None or magnitude.numel() == len(base))
    )
    if not fits:
        raise ValueError(
            f"the LoRA of {place} does not fit: lora_{first} {list(down.shape)}, lora_{second} "
            f"{list(up.shape)}, the weight {list(weight.shape)} in {weight.dtype}; give its base"
        )
    rank = len(down)
    if scale.rank not in (None, rank):
        raise ValueError(
            f"the LoRA of {place} has rank {rank}, its configuration says {scale.rank}"
        )
    factor = scale.alpha / (sqrt(rank) if scale.rank_stabilised else rank)
    total = base.to(kind) + factor * (up.to(kind) @ down.to(kind))
    if magnitude is not None:
        total *= (magnitude.to(kind).flatten() / total.norm(dim=1))[:, None]
    return (total.T if turned else total).to(weight.dtype).contiguous()


def scale_of(
    config: Mapping[str, object], given: float | None, separate: bool, where: str
) -> LoraScale:
    """What a LoRA's weights do not say, from its configuration or from the user.

    Args:
        config: The fields of ``adapter_config.json``; those of a training that stated them
            elsewhere ("lora_alpha", "lora_r"); or none.
        given: lora_alpha as the user gives it.
        separate: Whether the base weights come from another folder.
        where: The file, for messages.

    Raises:
        ValueError: If the scale is unknown, given twice, or something is asked for that is not
            merged here.
    """
    odd = [name for name, value in config.items() if value and name not in _HARMLESS]
    if config.get("peft_type", "LORA") != "LORA":
        odd = ["peft_type"]
    begun = config.get("init_lora_weights")
    if separate and begun not in _PLAIN_BEGINNINGS:
        odd.append("init_lora_weights")
    if odd:
        raise ValueError(
            f"{where} has {odd[0]}={shown(config[odd[0]])}, which is not merged here; merge with "
            "peft (merge_and_unload) and save the model"
        )
    stated = config.get("lora_alpha")
    if stated is None and given is None:
        raise ValueError(
            f"the scale of the LoRA is unknown: {where} states no lora_alpha. Give --lora-alpha as "
            "in the training (the scripts of GLaMM and LISA take 16 where nothing is said); it is "
            "divided by the rank of the weights"
        )
    if None not in (stated, given) and stated != given:
        raise ValueError(f"--lora-alpha {given:g} is not the lora_alpha {shown(stated)} of {where}")
    alpha = given if stated is None else stated
    rank = config.get("r", config.get("lora_r"))
    if type(alpha) not in (int, float) or not alpha or not isfinite(float(str(alpha))):
        raise ValueError(
            f"{where} has lora_alpha={shown(alpha)}; a number other than 0 is expected"
        )
    if config.get("rank_pattern") or type(rank) is not int:
        rank = None
    flags = (bool(config.get(name)) for name in ("use_rslora", "fan_in_fan_out", "use_dora"))
    return LoraScale(float(str(alpha)), rank, *flags)
