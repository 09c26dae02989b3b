"""The model families: one line of a table for each, which the command line loads models by."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType

from litelvlm.models.base import StudiedModel
from litelvlm.models.glamm.build import load_model
from litelvlm.models.glamm.model import Glamm
from litelvlm.models.glamm.options import GlammOptions
from litelvlm.models.vlm.load import EMBEDDED, PREFIX, READERS, load_vlm
from litelvlm.models.vlm.model import QueriedVlm

__all__ = ["FAMILIES", "ModelFamily", "ModelRequest", "family_for", "load_model", "load_vlm"]


@dataclass(frozen=True, kw_only=True)
class ModelRequest:
    """A model as a command names it. A family reads the fields that it takes.

    Attributes:
        name: With the family's prefix.
        dtype: Number type; None leaves it to the family.
        device: Where to compute; None leaves it to the family.
        attn: Attention kernel.
        clip: CLIP's folder or hub id; None takes the one that the checkpoint names.
        random_init: Whether weights are drawn at random.
        quantise: Fewer bits for the language model; None keeps all.
        options: Variants of the model, "field=value" each.
    """

    name: str
    dtype: str | None = None
    device: str | None = None
    attn: str = "sdpa"
    clip: str | None = None
    random_init: bool = False
    quantise: str | None = None
    options: tuple[str, ...] = ()

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
        prefix: Begins the names of its models on the command line. The family with an empty prefix
            gets every name that begins with no other.
        model: Class of its models.
        load: Loads the model that a request names. It raises ``ValueError`` where a name or value
            is unknown, and ``FileNotFoundError`` where a file is missing.
        takes: Fields of a request that it reads, beyond ``EVERY_FAMILY``.
        large: Whether a name stands for a model that takes long to load, so that transformers
            shows a progress bar.
    """

    name: str
    prefix: str
    model: type[StudiedModel]
    load: Callable[[ModelRequest], StudiedModel]
    takes: tuple[str, ...] = ()
    large: Callable[[str], bool] = lambda name: False


def load_glamm(request: ModelRequest) -> Glamm:
    """Load the GLaMM that a request names.

    Raises:
        ValueError: As ``load_model``, or if an option is unknown.
        FileNotFoundError: As ``load_model``.
    """
    return load_model(
        request.name,
        dtype=request.dtype,
        device=request.device,
        attn=request.attn,
        random_init=request.random_init,
        options=GlammOptions.parse(request.options),
        clip=request.clip,
        quantise=request.quantise,
    )


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
        load=load_glamm,
        takes=("attn", "clip", "random_init", "quantise", "options"),
    ),
    ModelFamily(
        name="vlm",
        prefix=PREFIX,
        model=QueriedVlm,
        load=load_queried,
        takes=("attn", "clip", "random_init"),
        large=lambda name: name.removeprefix(PREFIX) not in EMBEDDED,
    ),
)
FAMILIES: Mapping[str, ModelFamily] = MappingProxyType({family.name: family for family in _ROWS})
"""Every family by its name. From Python, ``litelvlm.load_model`` and ``litelvlm.load_vlm`` load
models of one family each."""


def family_for(name: str) -> ModelFamily:
    """The family of a model's name: the one with the longest prefix that the name begins with.

    Example:
        >>> family_for("embedded").name, family_for("vlm:embedded").name
        ('glamm', 'vlm')
    """
    fitting = [family for family in FAMILIES.values() if name.startswith(family.prefix)]
    return max(fitting, key=lambda family: len(family.prefix))
