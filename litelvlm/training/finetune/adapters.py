"""Which weights a fine-tuning changes: LoRA by peft, and parts as a whole."""

import warnings
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType

import torch
from torch import nn

from litelvlm.data.files import atomic_folder
from litelvlm.models.glamm.checkpoints.convert import copy_others
from litelvlm.models.glamm.checkpoints.mapping import NAMES
from litelvlm.models.glamm.model import Glamm
from litelvlm.models.glamm.quantise import is_quantised
from litelvlm.models.weights import save_checkpoint
from litelvlm.training.finetune.recipe import FineTuneRecipe

PACKAGES = ("peft", "accelerate")
PARTS: Mapping[str, Callable[[Glamm], nn.Module]] = MappingProxyType(
    {
        "lm_head": lambda model: model.llama.lm_head,
        "embed_tokens": lambda model: model.llama.model.embed_tokens,
        "mask_decoder": lambda model: model.sam.mask_decoder,
        "text_hidden_fcs": lambda model: model.seg_head,
    }
)
"""Parts that can be trained as a whole, by their names in the official script."""


def check_packages() -> None:
    """Refuse to begin without what trains.

    Raises:
        ValueError: Naming the packages and the extra.
    """
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        raise ValueError(
            f"fine-tuning needs {' and '.join(missing)}, which "
            f"{'are' if len(missing) > 1 else 'is'} not installed; run: "
            "pip install 'litelvlm[train]'"
        )


def check_trainable(model: Glamm) -> None:
    """Refuse weights that cannot be trained.

    Raises:
        ValueError: If they have fewer bits, are random, are those of no folder, or are in float16.
    """
    if is_quantised(model.llama):
        raise ValueError(
            f"{model.name} has fewer bits, whose gradients are none; leave out --quantise"
        )
    if model.digest == "random":
        raise ValueError(f"{model.name}: there is nothing to fine-tune; leave out --random-init")
    if not model.origin.folders:
        raise ValueError(
            f"{model.name}: its weights are those of no folder, and the merged model needs a "
            "folder's configuration and tokenizer; load a model with load_model"
        )
    if model.dtype == torch.float16:
        raise ValueError(
            "float16 loses small gradients; take --dtype bfloat16, or float32 on a CPU"
        )


def add_adapters(model: Glamm, recipe: FineTuneRecipe) -> Callable[[], None]:
    """Freeze a model but for new LoRA factors and the recipe's parts, which become float32.

    Args:
        model: It changes in place.
        recipe: Which, and the seed of the factors.

    Returns:
        What merges the factors into the weights, in the number types that the model had.
    """
    from peft import LoraConfig, get_peft_model

    model.requires_grad_(False)
    parts = [PARTS[name](model) for name in recipe.trained]
    kinds = [next(part.parameters()).dtype for part in parts]
    torch.manual_seed(recipe.seed)
    config = LoraConfig(
        r=recipe.lora_rank,
        lora_alpha=recipe.lora_alpha,
        lora_dropout=recipe.lora_dropout,
        target_modules=list(recipe.lora_targets),
        bias="none",
    )
    with warnings.catch_warnings():  # peft reads what newer releases of transformers rename
        warnings.filterwarnings("ignore", ".*gradient_checkpointing", FutureWarning)
        adapted = get_peft_model(model.llama, config)
    for part, kind in zip(parts, kinds, strict=True):
        part.requires_grad_(True).to(torch.promote_types(kind, torch.float32))

    def merge() -> None:
        adapted.merge_and_unload()
        for part, kind in zip(parts, kinds, strict=True):
            part.to(kind)
        model.requires_grad_(False).eval()

    return merge


def merged_folders(model: Glamm, folder: Path) -> tuple[Path, Path]:
    """Where the files of a merged model are: its folder, and its CLIP.

    A CLIP beside the weights is copied with them; another one stays where it is.

    Args:
        model: As it was loaded.
        folder: Of the merged model.
    """
    source, clip = model.origin.folders
    inside, at = source.resolve(), clip.resolve()
    return folder, folder / at.relative_to(inside) if at.is_relative_to(inside) else clip


def save_merged(model: Glamm, source: Path, folder: Path) -> Path:
    """Write a model as a checkpoint under the published names, whole or not at all.

    Args:
        model: Without adapters.
        source: Folder that it was loaded from; configuration, tokenizer and a CLIP beside the
            weights are copied from it.
        folder: To write.
    """

    def fill(place: Path) -> None:
        copy_others(source, place)
        parts: dict[str, nn.Module] = {name: getattr(model, name) for name in NAMES.components}
        save_checkpoint(NAMES, parts, place)

    return atomic_folder(folder, fill)
