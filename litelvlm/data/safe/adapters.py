"""Adapters beside or among weights, which a reader of weights alone would leave out silently."""

import re
from collections.abc import Iterable
from pathlib import Path

ADAPTER_CONFIG = "adapter_config.json"
ADAPTER_FILES = ("adapter_model.safetensors", "adapter_model.bin", "non_lora_trainables.bin")
"""Weights of an adapter as peft writes them, and as LLaVA's training does beside them."""
_INSIDE = re.compile(r"\.(?:lora_\w+|base_layer|modules_to_save|original_module)(?:\.|$)")


def refuse_adapter(folder: Path) -> None:
    """Refuse a folder with an adapter that is not merged.

    Raises:
        ValueError: Naming the file and the command that merges it.
    """
    found = [name for name in (ADAPTER_CONFIG, *ADAPTER_FILES) if (folder / name).is_file()]
    if not found:
        return
    alone = not any(
        path.suffix in (".safetensors", ".bin") and path.name not in ADAPTER_FILES
        for path in folder.iterdir()
    )
    raise ValueError(
        f"{folder} holds an adapter {'without its base' if alone else 'beside the weights'} "
        f"({found[0]}), which would not be read; merge both with `litelvlm convert {folder} "
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
