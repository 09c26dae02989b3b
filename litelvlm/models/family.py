"""A line of the table of model families: which names are its own, how it loads, what it takes."""

from collections.abc import Callable
from dataclasses import dataclass, fields

from litelvlm.models.base import StudiedModel


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


def never(name: str) -> bool:
    """No name."""
    return False


@dataclass(frozen=True, kw_only=True)
class ModelFamily:
    """A family of models, as ``litelvlm.models.families.FAMILIES`` holds it.

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
    large: Callable[[str], bool] = never
