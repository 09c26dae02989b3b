"""Published GLaMM weights into modules and back; every tensor must fit one place of the model."""

import json
import pickle
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path

import torch
from huggingface_hub import save_torch_state_dict
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

from litelvlm.data.safe.archives import check_archive
from litelvlm.finite import require_finite
from litelvlm.models.glamm.checkpoints.mapping import (
    COMPONENTS,
    TWINS,
    OwnWeight,
    official_name,
    target_of,
)

# In the order of preference: safetensors holds no code and is read without copies.
INDEXES = ("model.safetensors.index.json", "pytorch_model.bin.index.json")
WHOLE = ("model.safetensors", "pytorch_model.bin")


def shard_paths(folder: str | Path) -> list[Path]:
    """Weight files of a checkpoint folder, in the order of their names.

    Raises:
        FileNotFoundError: If there are none, or the index names a file that is not there.
        ValueError: If the index cannot be parsed.
    """
    folder = Path(folder)
    for index, whole in zip(INDEXES, WHOLE, strict=True):
        if (folder / index).is_file():
            paths = [folder / name for name in sorted(set(read_index(folder / index).values()))]
            absent = [path.name for path in paths if not path.is_file()]
            if absent:
                raise FileNotFoundError(
                    f"{folder / index} names files that are not there: {', '.join(absent)}"
                )
            return paths
        if (folder / whole).is_file():
            return [folder / whole]
    raise FileNotFoundError(
        f"{folder} does not contain weights; looked for {', '.join([*INDEXES, *WHOLE])}"
    )


def read_index(path: Path) -> dict[str, str]:
    """Tensor name to file name, from an index file.

    Raises:
        ValueError: If the file is no index, or points outside its folder.
    """
    try:
        names: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))["weight_map"]
        outside = [name for name in names.values() if Path(name).name != name]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{path} is not an index of weight files ({error!r}); fetch it again"
        ) from error
    if outside:
        raise ValueError(
            f"{path} names {outside[0]!r}; weight files must be in the folder of their index"
        )
    return names


def check_shard(path: Path) -> None:
    """Check by its table of contents that a file is complete; reads no tensor.

    Raises:
        ValueError: If it is truncated or damaged, or an archive with packed entries.
    """
    if path.suffix == ".safetensors":
        _open_safetensors(path)
    else:
        check_archive(path)


def read_shard(path: Path) -> Iterator[tuple[str, Tensor]]:
    """Names and tensors of one file; a tensor's numbers are read from disk when they are used.

    Raises:
        ValueError: If the file is truncated, damaged, or holds more than tensors.
    """
    if path.suffix == ".safetensors":
        with _open_safetensors(path) as file:
            for name in file.keys():  # noqa: SIM118 - no mapping
                yield name, file.get_tensor(name)
    else:
        yield from _read_bin(path).items()


def _open_safetensors(path: Path) -> safe_open:
    try:
        return safe_open(path, framework="pt")
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{path} is truncated or damaged ({error}); fetch it again") from error


def _read_bin(path: Path) -> Mapping[str, Tensor]:
    check_archive(path)
    try:
        # Tensors only: a pickle may run code.
        tensors = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except pickle.UnpicklingError as error:
        raise ValueError(
            f"{path} is refused: it is damaged or holds more than tensors and could run code"
        ) from error
    except (RuntimeError, OSError, EOFError) as error:
        raise ValueError(
            f"{path} is truncated, damaged, or saved by a torch before 1.6; fetch it again"
        ) from error
    if not isinstance(tensors, dict) or not all(isinstance(t, Tensor) for t in tensors.values()):
        raise ValueError(f"{path} does not hold a flat table of tensors")
    return tensors


def read_checkpoint(folder: str | Path) -> Iterator[tuple[str, Tensor]]:
    """Official names and tensors of a checkpoint folder, one file after the other.

    The tensors are views of the files; copy those that you keep.

    Raises:
        FileNotFoundError: If there are no weights.
        ValueError: If a file is damaged, or two files hold the same name.
    """
    seen: dict[str, Path] = {}
    for path in shard_paths(folder):
        for name, tensor in read_shard(path):
            if name in seen:
                raise ValueError(f"{name} is in two files: {seen[name].name} and {path.name}")
            seen[name] = path
            yield name, tensor


__all__ = ["load_into", "read_checkpoint", "save_checkpoint"]


def load_into(
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
        components: "llama" (``LlamaForCausalLM``), "projector" and "seg_head" (``nn.Sequential`` of
            linear, activation, linear) and "sam" (``SamModel``); on the meta device (they come to
            ``device``) or on a real one (they stay).
        folder: Folder in the published layout, sharded or not, safetensors or .bin.
        dtype: Number type of the weights, or one for each component.
        device: Where components of the meta device go; the CPU if not given.

    Raises:
        FileNotFoundError: If there are no weights.
        ValueError: If a tensor is unknown, missing or misshapen (the message names ten and counts
            the rest), or holds NaN or infinity.
    """
    places = _places(components)
    _check({name: tuple(tensor.shape) for name, tensor in read_checkpoint(folder)}, places)
    dtypes = dtype if isinstance(dtype, Mapping) else dict.fromkeys(components, dtype)
    states: dict[str, dict[str, Tensor]] = {component: {} for component in components}
    for official, tensor in read_checkpoint(folder):
        target = target_of(official)
        if target is None:
            continue
        place = places[target]
        home = (device or torch.device("cpu")) if place.is_meta else place.device
        value = tensor.to(home, dtypes[target.component], copy=True)
        if value.is_floating_point():
            require_finite(value, f"weight {official} in {value.dtype} of {folder}")
        if isinstance(place, nn.Parameter):
            value = nn.Parameter(value, requires_grad=place.requires_grad)
        # A twin gets the very same parameter, so that the two stay one.
        for component, name in (target, *filter(None, [TWINS.get(target)])):
            states[component][name] = value
    for component, module in components.items():
        module.load_state_dict(states[component], assign=True)
        _rebuild_rotary(module)
        empty = [
            n for n, t in chain(module.named_parameters(), module.named_buffers()) if t.is_meta
        ]
        if empty:
            raise ValueError(f"{component} still has tensors without numbers: {_first(empty)}")


def save_checkpoint(components: Mapping[str, nn.Module], folder: str | Path) -> None:
    """Write the components' weights as safetensors under the published names.

    Shards have at most 5 GB.

    Args:
        components: As for ``load_into``.
        folder: Receives ``model.safetensors`` (or shards and their index); created if missing.

    Raises:
        ValueError: If a component is missing, unknown, or holds a tensor that has no published
            name.
    """
    tensors: dict[str, Tensor] = {}
    for target, tensor in _places(components).items():
        official = official_name(target)
        if official is not None:
            tensors[official] = tensor.detach()
    Path(folder).mkdir(parents=True, exist_ok=True)
    save_torch_state_dict(tensors, folder)


def _places(components: Mapping[str, nn.Module]) -> dict[OwnWeight, Tensor]:
    if set(components) != set(COMPONENTS):
        raise ValueError(f"components must be {', '.join(COMPONENTS)}; got {', '.join(components)}")
    return {
        OwnWeight(component, name): tensor
        for component, module in components.items()
        for name, tensor in module.state_dict(keep_vars=True).items()
    }


def _check(shapes: Mapping[str, tuple[int, ...]], places: Mapping[OwnWeight, Tensor]) -> None:
    unknown, misshapen, filled = [], [], set()
    for official, shape in shapes.items():
        try:
            target = target_of(official)
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
        filled.add(target)
    missing = sorted(
        name for name in map(official_name, places.keys() - filled) if name is not None
    )
    problems = {"unknown": unknown, "missing": missing, "misshapen": misshapen}
    if any(problems.values()):
        text = "; ".join(
            f"{len(names)} {kind}: {_first(names)}" for kind, names in problems.items() if names
        )
        raise ValueError(
            f"the checkpoint does not fit the model ({text}); "
            "compare its config.json with its weights"
        )


def _first(names: Sequence[str]) -> str:
    """The first ten names, and how many more there are."""
    more = f" and {len(names) - 10} more" if len(names) > 10 else ""
    return ", ".join(names[:10]) + more


def _rebuild_rotary(module: nn.Module) -> None:
    # Rotary frequencies are computed, not stored, so a checkpoint cannot fill them.
    for parent in module.modules():
        for name, child in parent.named_children():
            if isinstance(child, LlamaRotaryEmbedding) and child.inv_freq.is_meta:
                setattr(parent, name, LlamaRotaryEmbedding(config=child.config))
