"""Published weights into modules and back; every tensor must fit one place of the model."""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path

import torch
from huggingface_hub import save_torch_state_dict
from torch import Tensor, nn
from transformers import PreTrainedModel

from litelvlm.data.safe.adapters import refuse_unmerged
from litelvlm.data.safe.weight_files import read_checkpoint
from litelvlm.finite import require_finite
from litelvlm.models.weight_names import NameTable, OwnWeight

_WEIGHTS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def load_into(
    table: NameTable,
    components: Mapping[str, nn.Module],
    folder: str | Path,
    dtype: torch.dtype | Mapping[str, torch.dtype],
    device: torch.device | None = None,
) -> None:
    """Fill the components with a checkpoint folder's weights.

    Tensors are read one by one, and each is copied once, in ``dtype``, so a component on the meta
    device never needs more memory than its own size. All names and shapes are checked before
    anything changes.

    Args:
        table: Names of the family.
        components: By the names of the table; on the meta device (they come to ``device``) or on a
            real one (they stay).
        folder: Folder in the published layout, sharded or not, safetensors or .bin.
        dtype: Number type of the weights, or one for each component.
        device: Where components of the meta device go; the CPU if not given.

    Raises:
        FileNotFoundError: If there are no weights.
        ValueError: If a tensor is unknown, missing, misshapen or there twice (the message names ten
            and counts the rest), holds NaN or infinity or codes of a quantised weight, belongs to a
            LoRA that is not merged, or differs from its second copy.
    """
    places = places_of(table, components)
    shapes = {name: tuple(tensor.shape) for name, tensor in read_checkpoint(folder)}
    refuse_unmerged(shapes, folder)
    check_names(table, shapes, places)
    dtypes = dtype if isinstance(dtype, Mapping) else dict.fromkeys(components, dtype)
    states: dict[str, dict[str, Tensor]] = {component: {} for component in components}
    copies = dict[str, Tensor]()
    for official, tensor in read_checkpoint(folder):
        target = table.target_of(official)
        if target is None:
            if official in table.copies:
                copies[official] = tensor
            continue
        place = places[target]
        home = (device or torch.device("cpu")) if place.is_meta else place.device
        _refuse_codes(official, tensor, place, folder)
        value = tensor.to(home, dtypes[target.component], copy=True)
        if value.is_floating_point():
            require_finite(value, f"weight {official} in {value.dtype} of {folder}")
        if isinstance(place, nn.Parameter):
            value = nn.Parameter(value, requires_grad=place.requires_grad)
        # A twin gets the very same parameter, so that the two stay one.
        for component, name in (target, *filter(None, [table.twins.get(target)])):
            states[component][name] = value
    for official, tensor in copies.items():
        held = table.copies[official]
        first = states[held.component][held.name]
        if not torch.equal(tensor.to(first.device, first.dtype), first):
            raise ValueError(
                f"{folder} ties {official} to {table.official_name(held)}, and holds other "
                'numbers for it; set "tie_word_embeddings" to false in its config.json'
            )
    for component, module in components.items():
        module.load_state_dict(_whole(states[component]), assign=True)
        _compute_buffers(module, device or torch.device("cpu"))
        empty = [
            n for n, t in chain(module.named_parameters(), module.named_buffers()) if t.is_meta
        ]
        if empty:
            raise ValueError(f"{component} still has tensors without numbers: {_first(empty)}")


def save_checkpoint(
    table: NameTable, components: Mapping[str, nn.Module], folder: str | Path
) -> None:
    """Write the components' weights as safetensors under the published names.

    Shards have at most 5 GB.

    Args:
        table: Names of the family.
        components: As for ``load_into``.
        folder: Receives ``model.safetensors`` (or shards and their index); created if missing.

    Raises:
        ValueError: If a component is missing, unknown, or holds a tensor that has no published
            name.
    """
    tensors: dict[str, Tensor] = {}
    for target, tensor in places_of(table, components).items():
        official = table.official_name(target)
        if official is not None:
            # A file holds no part of another tensor, so a row becomes one of its own.
            row = target.name.endswith("]")
            tensors[official] = tensor.detach().clone() if row else tensor.detach()
    Path(folder).mkdir(parents=True, exist_ok=True)
    save_torch_state_dict(tensors, folder)


def places_of(table: NameTable, components: Mapping[str, nn.Module]) -> dict[OwnWeight, Tensor]:
    """Every weight of the components by its place, row by row where the checkpoint has rows.

    Raises:
        ValueError: If the components are not those of the table.
    """
    if set(components) != set(table.components):
        raise ValueError(
            f"components must be {', '.join(table.components)}; got {', '.join(components)}"
        )
    places: dict[OwnWeight, Tensor] = {}
    for component, module in components.items():
        for name, tensor in module.state_dict(keep_vars=True).items():
            place = OwnWeight(component, name)
            if table.held_by_row(place):
                rows = enumerate(tensor.split(1))
                places |= {OwnWeight(component, f"{name}[{i}]"): row for i, row in rows}
            else:
                places[place] = tensor
    return places


def check_names(
    table: NameTable, shapes: Mapping[str, tuple[int, ...]], places: Mapping[OwnWeight, Tensor]
) -> None:
    """Check that the published names and shapes fill every place of a model once.

    Raises:
        ValueError: If one is unknown, missing, misshapen or there twice.
    """
    unknown, misshapen, filled = [], [], Counter[OwnWeight]()
    for official, shape in shapes.items():
        try:
            target = table.target_of(official)
        except ValueError:
            unknown.append(official)
            continue
        if target is None:
            continue
        if target not in places:
            unknown.append(official)
        elif shape != tuple(places[target].shape):
            misshapen.append(
                f"{official} is {list(shape)}, the model expects {list(places[target].shape)}"
            )
        filled[target] += 1
    missing = sorted(
        name for name in map(table.official_name, places.keys() - filled) if name is not None
    )
    twice = [f"{place.name} of {place.component}" for place, n in filled.items() if n > 1]
    problems = {"unknown": unknown, "missing": missing, "misshapen": misshapen, "twice": twice}
    if any(problems.values()):
        text = "; ".join(
            f"{len(names)} {kind}: {_first(names)}" for kind, names in problems.items() if names
        )
        raise ValueError(
            f"the checkpoint does not fit the model ({text}); "
            "compare its config.json with its weights"
        )


def _whole(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state whose weights that came row by row are put together."""
    whole = {name: tensor for name, tensor in state.items() if not name.endswith("]")}
    for name in dict.fromkeys(name.partition("[")[0] for name in state if name.endswith("]")):
        n_rows = sum(other.startswith(f"{name}[") for other in state)
        whole[name] = torch.cat([state[f"{name}[{i}]"] for i in range(n_rows)])
    return whole


def _refuse_codes(official: str, tensor: Tensor, place: Tensor, folder: str | Path) -> None:
    """Refuse numbers that stand for weights only together with scales, which no table reads.

    Raises:
        ValueError: If the place takes floating-point numbers and the tensor holds others, or those
            of 8 bits.
    """
    if place.is_floating_point() and tensor.dtype not in _WEIGHTS:
        raise ValueError(
            f"weight {official} of {folder} is stored as {tensor.dtype}, which needs scales that "
            "are not read here; take a checkpoint in float32, bfloat16 or float16, and quantise= "
            "for fewer bits"
        )


def _first(names: Sequence[str]) -> str:
    """The first ten names, and how many more there are."""
    more = f" and {len(names) - 10} more" if len(names) > 10 else ""
    return ", ".join(names[:10]) + more


def _compute_buffers(module: nn.Module, device: torch.device) -> None:
    # Rotary frequencies and the like are computed, not stored, so a checkpoint cannot fill them.
    for model in (m for m in module.modules() if isinstance(m, PreTrainedModel)):
        for child in model.modules():
            weightless = not list(child.parameters(recurse=False))
            if weightless and any(buffer.is_meta for buffer in child.buffers(recurse=False)):
                child.to_empty(device=device, recurse=False)
                model._init_weights(child)
