"""What a training keeps on disk: its plan, and states to resume from."""

import json
import logging
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from litelvlm.data.files import atomic_write

logger = logging.getLogger(__name__)


def claim_folder(folder: Path, plan: Mapping[str, object], record: str = "recipe.json") -> None:
    """Make a folder belong to one training: its plan is written, or must be the one there.

    Args:
        folder: Of the training; made if absent.
        plan: Everything that decides the weights.
        record: Name of the plan's file.

    Raises:
        ValueError: If the folder holds a training with another plan.
    """
    text = json.dumps(plan, indent=1)
    path = folder / record
    if not path.exists():
        atomic_write(path, text)
    elif json.loads(path.read_text()) != json.loads(text):
        raise ValueError(
            f"{folder} holds a training with another recipe, seed or start ({path}); "
            "choose another folder"
        )


def write_tensors(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Write tensors as safetensors, whole or not at all."""
    temporary = path.with_suffix(".tmp")
    save_file({name: value.detach().contiguous() for name, value in tensors.items()}, temporary)
    temporary.replace(path)


def save_state(path: Path, model: nn.Module, optimiser: torch.optim.Optimizer, step: int) -> None:
    """Write weights, moments and the number of finished steps, whole or not at all."""
    temporary = path.with_suffix(".tmp")
    parts = {"weights": model.state_dict(), "optimiser": optimiser.state_dict(), "step": step}
    torch.save(parts, temporary)
    temporary.replace(path)


def load_state(path: Path, model: nn.Module, optimiser: torch.optim.Optimizer) -> int:
    """Read a state into the model and the optimiser.

    Returns:
        The number of finished steps; 0 without a state.
    """
    if not path.exists():
        return 0
    parts = torch.load(path, map_location="cpu", weights_only=True)
    model.load_state_dict(parts["weights"])
    optimiser.load_state_dict(parts["optimiser"])
    step = int(parts["step"])
    logger.info("%s continues at step %d", path.stem, step)
    return step
