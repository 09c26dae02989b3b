"""The model families: one line of a table for each, which every model is loaded by."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

import torch

from litelvlm.models.base import GroundingModel, StudiedModel
from litelvlm.models.configs import read_fields
from litelvlm.models.files import EMBEDDED as MINIATURES
from litelvlm.models.files import find_files
from litelvlm.models.glamm import build as glamm
from litelvlm.models.glamm.model import Glamm
from litelvlm.models.glamm.options import GlammOptions
from litelvlm.models.options import ModelOptions
from litelvlm.models.unipixel.build import PREFIX as UNIPIXEL_PREFIX
from litelvlm.models.unipixel.build import load_unipixel
from litelvlm.models.unipixel.config import MODEL_TYPE as UNIPIXEL_TYPE
from litelvlm.models.unipixel.model import UniPixel
from litelvlm.models.unipixel.options import UniPixelOptions
from litelvlm.models.video_glamm.build import PREFIX as VIDEO_GLAMM
from litelvlm.models.video_glamm.build import load_video_glamm
from litelvlm.models.video_glamm.config import MODEL_TYPE as VIDEO_GLAMM_TYPE
from litelvlm.models.video_glamm.model import VideoGlamm
from litelvlm.models.video_glamm.options import VideoGlammOptions
from litelvlm.models.vlm.load import EMBEDDED, PREFIX, READERS, load_vlm
from litelvlm.models.vlm.model import QueriedVlm

__all__ = ["FAMILIES", "ModelFamily", "ModelRequest", "family_for", "load_model", "load_vlm"]


Options = TypeVar("Options", bound=ModelOptions)


@dataclass(frozen=True, kw_only=True)
class ModelRequest:
    """A model as it is asked for. A family reads the fields that it takes.

    Attributes:
        name: With the family's prefix.
        dtype: Number type; None leaves it to the family.
        device: Where to compute; None leaves it to the family.
        attn: Attention kernel.
        clip: CLIP's folder or hub id; None takes the one that the checkpoint names.
        revision: Branch, tag or commit of a hub id.
        random_init: Whether weights are drawn at random.
        quantise: Fewer bits for the language model; None keeps all.
        options: Variants of the model: "field=value" each, or the family's own options.
    """

    name: str
    dtype: str | torch.dtype | None = None
    device: str | torch.device | None = None
    attn: str = "sdpa"
    clip: str | Path | None = None
    revision: str | None = None
    random_init: bool = False
    quantise: str | None = None
    options: tuple[str, ...] | ModelOptions = ()

    def options_of(self, kind: type[Options]) -> Options:
        """The options as those of a family.

        Raises:
            ValueError: If they are of another family, or one is unknown.
        """
        if isinstance(self.options, tuple):
            return kind.parse(self.options)
        if not isinstance(self.options, kind):
            raise ValueError(
                f"{type(self.options).__name__} are no options of {self.name}; give {kind.__name__}"
            )
        return self.options

    @property
    def chosen(self) -> tuple[str, ...]:
        """Fields that a family may lack and that differ from their default.

        Every family takes a name, a number type and a device.

        Example:
            >>> ModelRequest(name="embedded", dtype="float32", attn="eager").chosen
            ('attn',)
        """
        optional = [field for field in fields(self) if field.name not in EVERY_FAMILY]
        return tuple(f.name for f in optional if getattr(self, f.name) != f.default)


EVERY_FAMILY = ("name", "dtype", "device")
"""Fields of a request that every family takes."""


@dataclass(frozen=True, kw_only=True)
class ModelFamily:
    """A family of models, as ``FAMILIES`` holds it.

    Attributes:
        name: Its name.
        prefix: Begins the names of its models. The family with an empty prefix gets every name that
            begins with no other.
        model_type: What the ``config.json`` of its checkpoints calls it, so that a folder or the
            local copy of a hub id needs no prefix; empty where names alone tell.
        model: Class of its models.
        load: Loads the model that a request names. It raises ``ValueError`` where a name or value
            is unknown, and ``FileNotFoundError`` where a file is missing.
        takes: Fields of a request that it reads, beyond ``EVERY_FAMILY``.
        large: Whether a name stands for a model that takes long to load, so that transformers
            shows a progress bar.
    """

    name: str
    prefix: str
    model_type: str = ""
    model: type[StudiedModel]
    load: Callable[[ModelRequest], StudiedModel]
    takes: tuple[str, ...] = ()
    large: Callable[[str], bool] = lambda name: False

    def loaded(self, request: ModelRequest) -> StudiedModel:
        """The model of a request, if the family takes all that it chooses.

        Raises:
            ValueError: Naming what the family does not take; and as ``load``.
            FileNotFoundError: As ``load``.
        """
        for field in request.chosen:
            if field not in self.takes:
                raise ValueError(
                    f"{field}={getattr(request, field)!r} does not go with {request.name}, which "
                    f"is {self.model.described}; leave it out"
                )
        return self.load(request)


def load_by(  # type: ignore[explicit-any]  # families take different fields
    load: Callable[..., StudiedModel],
    options: type[ModelOptions],
    request: ModelRequest,
) -> StudiedModel:
    """Call a family's own function with what a request chooses.

    Args:
        load: Takes the fields of a request that the family takes, with the same defaults.
        options: The family's options.
        request: The request.

    Raises:
        ValueError: As ``load``, or if an option is unknown.
        FileNotFoundError: As ``load``.
    """
    given = {field: getattr(request, field) for field in (*EVERY_FAMILY, *request.chosen)}
    return load(**given | {"options": request.options_of(options)})


def load_queried(request: ModelRequest) -> QueriedVlm:
    """Load the vision-language model that a request names, for studies.

    Raises:
        ValueError: As ``load_vlm``, and if studies cannot ask its family.
        FileNotFoundError: As ``load_vlm``.
    """
    found = load_vlm(
        request.name,
        clip=request.clip,
        dtype=request.dtype,
        device=request.device,
        attn=request.attn,
        random_init=request.random_init,
    )
    if not isinstance(found, QueriedVlm):
        raise ValueError(
            f"studies cannot ask {found.name} of family {found.family.model_type!r}; they ask "
            f"{', '.join(READERS)}"
        )
    return found


_ROWS = (
    # Of a GLaMM transformers reads nothing but CLIP, in a second, so none is large.
    ModelFamily(
        name=Glamm.family,
        prefix="",
        model=Glamm,
        load=partial(load_by, glamm.load_model, GlammOptions),
        takes=("attn", "clip", "revision", "random_init", "quantise", "options"),
    ),
    ModelFamily(
        name=VideoGlamm.family,
        prefix=VIDEO_GLAMM,
        model_type=VIDEO_GLAMM_TYPE,
        model=VideoGlamm,
        load=partial(load_by, load_video_glamm, VideoGlammOptions),
        takes=("attn", "clip", "revision", "random_init", "options"),
    ),
    ModelFamily(
        name="vlm",
        prefix=PREFIX,
        model=QueriedVlm,
        load=load_queried,
        takes=("attn", "clip", "random_init"),
        large=lambda name: name.removeprefix(PREFIX) not in EMBEDDED,
    ),
    ModelFamily(
        name=UniPixel.family,
        prefix=UNIPIXEL_PREFIX,
        model_type=UNIPIXEL_TYPE,
        model=UniPixel,
        load=partial(load_by, load_unipixel, UniPixelOptions),
        takes=("attn", "revision", "random_init", "options"),
        large=lambda name: True,
    ),
)
FAMILIES: Mapping[str, ModelFamily] = MappingProxyType({family.name: family for family in _ROWS})
"""Every family by its name. From Python, ``litelvlm.load_model`` and ``litelvlm.load_vlm`` load
models of one family each."""


def family_for(name: str) -> ModelFamily:
    """The family of a model's name.

    It is the one with the longest prefix that the name begins with; of a folder, a local copy or a
    bundled model without a prefix, the one that its ``config.json`` names.

    Example:
        >>> [family_for(name).name for name in ("embedded", "embedded-video", "vlm:embedded")]
        ['glamm', 'video_glamm', 'vlm']
    """
    fitting = [family for family in FAMILIES.values() if name.startswith(family.prefix)]
    best = max(fitting, key=lambda family: len(family.prefix))
    kind = "" if best.prefix else _model_type(name)
    return next((one for one in FAMILIES.values() if kind and one.model_type == kind), best)


def _model_type(name: str) -> str:
    """What the ``config.json`` behind a name calls the family; "" without one."""
    try:
        place = find_files(MINIATURES.get(name, name), (), fetch=False).folder
        return str(read_fields(place, "model")["model_type"])
    except (FileNotFoundError, ValueError, KeyError):  # the family that loads it says what is wrong
        return ""


def load_model(
    name: str | Path = "embedded",
    dtype: str | torch.dtype | None = None,
    device: str | torch.device | None = None,
    attn: str = "sdpa",
    random_init: bool = False,
    options: ModelOptions | None = None,
    clip: str | Path | None = None,
    revision: str | None = None,
    quantise: str | None = None,
) -> GroundingModel:
    """Load a model that answers with masks, of the family that its name or its files tell.

    Args:
        name: "embedded" or "embedded-shapes" (the shipped miniatures), "embedded-video" (the one
            that reads clips), a folder in a family's published layout, a hub id, or "glamm-7b"
            together with ``random_init``.
        dtype: "float32", "bfloat16" or "float16"; None takes float32 for a miniature and bfloat16
            otherwise.
        device: None takes the first GPU, else the CPU.
        attn: Attention kernel of the language model and the towers: "sdpa", "eager" or
            "flash_attention_2".
        random_init: Build a model of the named sizes with random weights (seed 0; the global
            generators do not change). Such a model measures cost, never accuracy, and its name says
            "random weights".
        options: Open choices inside the model; the official code's by default.
        clip: Folder or hub id of CLIP, which is no part of the published checkpoints. None takes
            the CLIP that the checkpoint's ``config.json`` names, from its own folder or a local
            copy; nothing is fetched then.
        revision: Branch, tag or commit of a hub id; the commit becomes part of the model's name.
        quantise: Fewer bits for the language model's weights: "int8", "nf4", "nf4_double" or "fp4";
            the way becomes part of the model's name. None keeps every bit.

    Raises:
        ValueError: If the name, number type, kernel or way to quantise is unknown, the kernel or
            what quantises is not installed, the checkpoint does not fit, or an argument does not
            go with the family.
        FileNotFoundError: If a file is missing, or CLIP is not on this machine.
    """
    request = ModelRequest(
        name=str(name),
        dtype=dtype,
        device=device,
        attn=attn,
        clip=clip,
        revision=revision,
        random_init=random_init,
        quantise=quantise,
        options=() if options is None else options,
    )
    family = family_for(request.name)
    if not issubclass(family.model, GroundingModel):
        raise ValueError(f"{name} is {family.model.described}; load it with load_vlm")
    model = family.loaded(request)
    if not isinstance(model, GroundingModel):
        raise TypeError(f"family {family.name!r} loads {type(model).__name__}, not its own model")
    return model
