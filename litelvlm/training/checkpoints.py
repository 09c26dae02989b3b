"""What a training keeps on disk: its plan, and states to resume from."""

import json
import logging
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from litelvlm.data.files import atomic_write

logger = logging.getLogger(__name__)
STEP = "step"
"""Name of the number of finished steps in a state."""


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
        return
    there, wanted = json.loads(path.read_text()), json.loads(text)
    if there != wanted:
        fields = sorted(there.keys() | wanted.keys())
        other = [name for name in fields if there.get(name) != wanted.get(name)]
        raise ValueError(
            f"{folder} holds a training with another recipe, seed or start ({path} differs in "
            f"{', '.join(other)}); choose another folder"
        )


def write_tensors(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Write tensors as safetensors, whole or not at all."""
    temporary = path.with_suffix(".tmp")
    save_file({name: value.detach().contiguous() for name, value in tensors.items()}, temporary)
    temporary.replace(path)


def save_state(
    path: Path, named: Mapping[str, nn.Parameter], optimiser: torch.optim.Optimizer, step: int
) -> None:
    """Write trained weights, their moments and the number of finished steps, whole or not at all.

    Args:
        path: The file.
        named: Parameters that are trained, by name; what is frozen is not kept.
        optimiser: Over these parameters.
        step: Finished steps.
    """
    tensors = {f"weight/{name}": value.detach() for name, value in named.items()}
    for name, value in named.items():
        moments = optimiser.state.get(value, {})
        tensors |= {f"{kind}/{name}": moment for kind, moment in moments.items()}
    write_tensors(tensors | {STEP: torch.tensor(step)}, path)


def load_state(
    path: Path, named: Mapping[str, nn.Parameter], optimiser: torch.optim.Optimizer
) -> int:
    """Read a state into the parameters and the optimiser.

    Returns:
        The number of finished steps; 0 without a state.

    Raises:
        ValueError: If the state is of other parameters.
    """
    if not path.exists():
        return 0
    tensors = load_file(path)
    step = int(tensors.pop(STEP))
    kept = {name.removeprefix("weight/") for name in tensors if name.startswith("weight/")}
    if kept != named.keys():
        other = min(kept ^ named.keys())
        raise ValueError(f"{path} is a state of another training ({other}); choose another folder")
    for place, value in tensors.items():
        kind, _, name = place.partition("/")
        parameter = named[name]
        if kind == "weight":
            parameter.data.copy_(value)
        else:
            optimiser.state[parameter][kind] = value.to(parameter.device)
    logger.info("%s continues at step %d", path.stem, step)
    return step
