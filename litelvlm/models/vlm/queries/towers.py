"""The text tower of the CLIP that a model's image tower comes from."""

from pathlib import Path

import torch
from torch import Tensor
from transformers import PreTrainedConfig, PreTrainedModel

from litelvlm.clip.hf import ClipTower
from litelvlm.clip.load import load_tower
from litelvlm.clip.openai import OPENAI_CLIP, has_openai_sizes
from litelvlm.clip.preprocessing import Preprocessing
from litelvlm.hub_ids import is_hub_id
from litelvlm.models.files import hub_folder

NONE = "none"
"""In place of a CLIP: leave its text tower out."""
SMALLEST = 2.0**-24
"""Smallest number of float16; what lies below is rounded to it or to nothing."""
ADVICE = (
    'give its folder or hub id (clip= in Python, --clip on the command line), or "none" to leave '
    "the text tower out"
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
        ValueError: If the weights differ, or the model reads another layer than CLIP's rankings do.
    """
    layer = getattr(network.config, "vision_feature_layer", None)
    chosen = getattr(network.config, "vision_feature_select_strategy", "default")
    if layer != -2 or chosen != "default":
        raise ValueError(
            f"this model reads layer {layer} ({chosen!r}) of its image tower, and CLIP's rankings "
            f"those of the second-last one without CLS; {ADVICE}"
        )
    tower = load_tower(source, dtype=network.dtype, device=network.device)
    own = network.get_submodule("model.vision_tower").state_dict()
    if not isinstance(tower, ClipTower):
        raise ValueError(f"{source.name} is not a CLIP of transformers; {ADVICE}")
    theirs = tower.clip.vision_model.state_dict()
    differing = [
        name
        for name, tensor in own.items()
        if name not in theirs or not same_weights(tensor, theirs[name])
    ]
    if differing:
        raise ValueError(
            f"{source.name} is not the CLIP that this model's image tower comes from: "
            f"{len(differing)} of {len(own)} tensors differ, the first is {differing[0]}; {ADVICE}"
        )
    tower.clip.vision_model.load_state_dict(own, strict=False)
    tower.preprocessing = preprocessing
    return tower


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
