"""The text tower of the CLIP that a model's image tower comes from."""

from pathlib import Path
from weakref import WeakKeyDictionary, ref

import torch
from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel

from litelvlm.clip.hf import ClipTower
from litelvlm.clip.load import load_tower
from litelvlm.clip.openai import OPENAI_CLIP, has_openai_sizes
from litelvlm.clip.preprocessing import Preprocessing
from litelvlm.clip.tower import Tower
from litelvlm.hub_ids import is_hub_id
from litelvlm.models.files import hub_folder

NONE = "none"
"""In place of a CLIP: leave its text tower out."""
SMALLEST = 2.0**-24
"""Smallest number of float16; what lies below is rounded to it or to nothing."""
COMPUTED_BY = (
    "hidden_act", "layer_norm_eps", "image_size", "patch_size", "num_channels", "hidden_size",
    "intermediate_size", "num_hidden_layers", "num_attention_heads",
)  # fmt: skip
"""Settings of an image tower, beside its weights, that decide what it computes."""
CHECKED: WeakKeyDictionary[PreTrainedModel, tuple[ref[Tower], list[tuple[int, float]]]] = (
    WeakKeyDictionary()
)
"""For each model the towers that were found to be its own, with the counts of changes then."""
ADVICE = (
    "give the CLIP checkpoint that it comes from (clip= in Python, --clip on the command line: a "
    'folder or a hub id, or "none" to leave the text tower out; of `prune`: what '
    "litelvlm.clip.load.load_tower returns), or take a substitute, for example 'input_similarity'"
)


def find_clip(
    reads_squares: bool, folder: Path | None, config: PreTrainedConfig, clip: str | Path | None
) -> Path | None:
    """The folder of the CLIP whose text tower ranks the tokens; None for a model without one.

    Args:
        reads_squares: Whether its towers are read here: those of LLaVA-1.5.
        folder: The model's own; None for an object.
        config: Its configuration.
        clip: What the user named.

    Raises:
        ValueError: If a CLIP is given for a family that has none.
        FileNotFoundError: If it is not on this machine.
    """
    if clip == NONE or (not reads_squares and clip is None):
        return None
    if not reads_squares:
        raise ValueError(
            f"CLIP {str(clip)!r} was given for a model of a family whose CLIP is read by `prune` "
            "alone; leave it out here (clip= in Python, --clip on the command line), or call "
            "prune(model, ..., clip=, text=). Other CLIP models are read in addition with the "
            "study's own option (--other-clips)"
        )
    if clip is not None:
        path = Path(clip).expanduser()
        if path.is_dir():
            return path
        if is_hub_id(clip):
            return hub_folder(str(clip))
        raise FileNotFoundError(f"there is no CLIP at {clip}; {ADVICE}")
    if folder is not None and (folder / "clip").is_dir():
        return folder / "clip"
    if has_openai_sizes(config.vision_config):
        return hub_folder(OPENAI_CLIP, fetch=False)
    raise FileNotFoundError(
        f"the CLIP that this model's image tower comes from is missing; {ADVICE}"
    )


def own_tower(network: PreTrainedModel, source: Path, preprocessing: Preprocessing) -> ClipTower:
    """Load both towers and check that the image tower is the model's own.

    Args:
        network: The model.
        source: Folder of CLIP.
        preprocessing: How the model reads pictures; the tower gets the same pixels.

    Raises:
        ValueError: As ``check_same_tower``, or if the model's pixels are scaled otherwise than
            CLIP's.
    """
    loaded = load_tower(source, dtype=network.dtype, device=network.device)
    tower = check_same_tower(network, loaded, source.name)
    scaled, read = ((made.mean, made.std) for made in (preprocessing, tower.preprocessing))
    if scaled != read:
        raise ValueError(
            f"the model's processor scales pixels by mean and std {scaled} and {source.name} reads "
            f"them by {read}, so its similarities would be those of other pictures; {ADVICE}"
        )
    own = network.get_submodule("model.vision_tower").state_dict()
    tower.clip.vision_model.load_state_dict(own, strict=False)
    tower.preprocessing = preprocessing
    return tower


def check_same_tower(network: PreTrainedModel, tower: Tower, name: str) -> ClipTower:
    """Check that the image tower of a CLIP is a model's own: what it computes, not its sizes alone.

    Args:
        network: The model.
        tower: Both towers of CLIP.
        name: What CLIP is called in messages.

    Returns:
        ``tower``.

    Raises:
        ValueError: If it is no CLIP of transformers, the settings or the weights differ, or the
            model reads another layer than CLIP's rankings do.
    """
    if not isinstance(tower, ClipTower):
        raise ValueError(f"{name} is not a CLIP of transformers; {ADVICE}")
    own = getattr(network.base_model, "vision_tower", None)
    kind = getattr(getattr(own, "config", None), "model_type", None)
    if own is None or kind != "clip_vision_model":
        raise ValueError(
            f"the image tower of {type(network).__name__} is not CLIP's, so CLIP cannot rank its "
            f"tokens; {ADVICE}"
        )
    layer = getattr(network.config, "vision_feature_layer", None)
    chosen = getattr(network.config, "vision_feature_select_strategy", "default")
    if layer != -2 or chosen != "default":
        raise ValueError(
            f"this model reads layer {layer} ({chosen!r}) of its image tower, and CLIP's rankings "
            f"those of the second-last one without CLS; {ADVICE}"
        )
    states, theirs = own.state_dict(), tower.clip.vision_model.state_dict()
    if any(tensor.is_meta for tensor in states.values()):
        raise ValueError(
            "the weights of this model's image tower are offloaded, so they cannot be compared "
            "with CLIP's; keep vision_tower on a device in device_map"
        )
    why = [
        f"{field} is {here!r} here and {there!r} there"
        for field in COMPUTED_BY
        for here, there in [(getattr(own.config, field), getattr(tower.vision_config, field))]
        if here != there
    ]
    if not why:
        differing = [
            key
            for key, tensor in states.items()
            if key not in theirs or not same_weights(tensor, theirs[key])
        ]
        count = f"{len(differing)} of {len(states)} tensors differ"
        why = [f"{count}, the first is {differing[0]}"] if differing else []
    if why:
        raise ValueError(
            f"{name} is not the CLIP that this model's image tower comes from: {'; '.join(why)}; "
            f"{ADVICE}"
        )
    return tower


def check_once(network: PreTrainedModel, tower: Tower) -> None:
    """As ``check_same_tower``, if either image tower was not checked or has changed since.

    Raises:
        ValueError: As ``check_same_tower``.
    """
    known = CHECKED.get(network)
    # A write through `.data`, as of merged adapters, leaves the count of changes as it was, so the
    # numbers count too.
    modules: list[nn.Module] = [getattr(network.base_model, "vision_tower", network)]
    modules += [tower.clip.vision_model] if isinstance(tower, ClipTower) else []
    changes = [
        (
            0 if weight.is_inference() else weight._version,
            0.0 if weight.is_meta else float(weight.detach().sum(dtype=torch.float64)),
        )
        for module in modules
        for weight in module.parameters()
    ]
    if known is None or known[0]() is not tower or known[1] != changes:
        check_same_tower(network, tower, "clip=")
        CHECKED[network] = (ref(tower), changes)


def same_weights(own: Tensor, theirs: Tensor) -> bool:
    """Whether two tensors hold the same numbers, up to the rounding of half precision.

    Published LLaVA stores its tower in float16 and CLIP's own file is in float32, so that equal
    weights differ by a rounding, or by two in bfloat16. Tensors of float16 may differ by one part
    in 1024, those of bfloat16 by one in 128.
    """
    if own.shape != theirs.shape or not (own.is_floating_point() and theirs.is_floating_point()):
        return torch.equal(own, theirs)
    step = max(torch.finfo(kind).eps for kind in (torch.float16, own.dtype, theirs.dtype))
    return torch.allclose(own.float(), theirs.float(), rtol=step, atol=SMALLEST)
