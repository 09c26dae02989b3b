"""Adapters beside or among weights, which a reader of weights alone would leave out silently."""

import re
from collections.abc import Iterable
from pathlib import Path

from litelvlm.data.safe.weight_files import shard_paths

ADAPTER_CONFIG = "adapter_config.json"
# As peft writes them, of two forms the first alone; and what LLaVA's training writes beside them.
_FILES = (("adapter_model.safetensors", "adapter_model.bin"), ("non_lora_trainables.bin",))
_INSIDE = re.compile(r"\.(?:lora_\w+|base_layer|modules_to_save|original_module)(?:\.|$)")


def adapter_files(folder: Path) -> list[Path]:
    """The weight files of an adapter in a folder; none if there is no adapter."""
    forms = [[folder / name for name in names if (folder / name).is_file()] for names in _FILES]
    return [there[0] for there in forms if there]


def refuse_adapter(folder: Path) -> None:
    """Refuse a folder with an adapter that is not merged.

    Raises:
        ValueError: Naming the file and the command that merges it.
    """
    config = [folder / ADAPTER_CONFIG] if (folder / ADAPTER_CONFIG).is_file() else []
    found = [*config, *adapter_files(folder)]
    if not found:
        return
    try:
        alone = not shard_paths(folder)
    except FileNotFoundError:
        alone = True
    raise ValueError(
        f"{folder} holds an adapter {'without its base' if alone else 'beside the weights'} "
        f"({found[0].name}), which would not be read; merge both with `litelvlm convert {folder} "
        f"TARGET --merge-lora --base {'BASE' if alone else folder}`"
        + ("" if alone else ", or move it away")
    )


def unmerged(names: Iterable[str]) -> list[str]:
    """The names of tensors that belong to a LoRA that is not merged.

    Example:
        >>> unmerged(["norm.weight", "q_proj.lora_A.default.weight", "q_proj.base_layer.weight"])
        ['q_proj.lora_A.default.weight', 'q_proj.base_layer.weight']
    """
    return [name for name in names if _INSIDE.search(name)]


def refuse_unmerged(names: Iterable[str], folder: str | Path) -> None:
    """Refuse weights among which a LoRA lies that is not merged.

    Raises:
        ValueError: Counting its tensors, and naming one and the command that merges them.
    """
    found = unmerged(names)
    if found:
        raise ValueError(
            f"{folder} holds a LoRA that is not merged ({len(found)} tensors such as {found[0]}); "
            f"merge it with `litelvlm convert {folder} TARGET --merge-lora`"
        )
