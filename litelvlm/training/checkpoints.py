"""What a training keeps on disk: its plan, and states to resume from."""

import json
import logging
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
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


def write_tensors(
    tensors: Mapping[str, Tensor], path: Path, metadata: dict[str, str] | None = None
) -> None:
    """Write tensors as safetensors, whole or not at all."""
    temporary = path.with_suffix(".tmp")
    plain = {name: value.detach().contiguous() for name, value in tensors.items()}
    save_file(plain, temporary, metadata=metadata)
    temporary.replace(path)


def save_state(
    path: Path, named: Mapping[str, nn.Parameter], optimiser: torch.optim.Optimizer, step: int
) -> None:
    """Write weights, moments and the number of finished steps."""
    tensors: dict[str, Tensor] = {f"weight.{name}": value for name, value in named.items()}
    for name, parameter in named.items():
        for key, value in optimiser.state.get(parameter, {}).items():
            tensors[f"{key}.{name}"] = torch.as_tensor(value)
    write_tensors(tensors, path, {"step": str(step)})


def load_state(
    path: Path, named: Mapping[str, nn.Parameter], optimiser: torch.optim.Optimizer
) -> int:
    """Read a state into the parameters and the optimiser.

    Returns:
        The number of finished steps; 0 without a state.
    """
    if not path.exists():
        return 0
    tensors = load_file(path)
    with safe_open(path, "pt") as file:
        step = int(file.metadata()["step"])
    for name, parameter in named.items():
        parameter.data.copy_(tensors[f"weight.{name}"])
        if f"exp_avg.{name}" in tensors:
            optimiser.state[parameter] = {
                key: tensors[f"{key}.{name}"].to(parameter.device).clone()
                for key in ("step", "exp_avg", "exp_avg_sq")
            }
    logger.info("%s continues at step %d", path.stem, step)
    return step
