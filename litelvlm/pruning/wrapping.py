"""Methods that hold another method and change what it keeps."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from litelvlm.pruning.base import Pruner

# Stages whose tokens are rows of the patch tokens or mixtures of them.
STAGES = ("pre_projector", "post_projector")


@dataclass(frozen=True, kw_only=True)
class Wrapper(Pruner):
    """A method on top of another one, the inner method.

    What the inner method needs is added to what the wrapper needs, and an inner method that the
    wrapper cannot hold is refused with the reason. Order and positions are the wrapper's own. A
    subclass gives ``of`` a default.

    Attributes:
        of: The inner method.
        inherited: Class attributes whose values the wrapper takes from the inner method.
        takes_merged: The inner method may merge tokens.
        example: Name of a method that the wrapper can hold, for error messages.
    """

    inherited: ClassVar[tuple[str, ...]] = ("text_guided", "video_substitute")
    takes_merged: ClassVar[bool] = False
    example: ClassVar[str] = "fastervlm"

    of: Pruner

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in self.inherited:
            object.__setattr__(self, name, getattr(self.of, name))
        object.__setattr__(self, "needs", type(self).needs | self.of.needs)

    @classmethod
    def check_options(cls, options: Mapping[str, object]) -> None:
        """Refuse an inner method that cannot be held, next to what every method refuses."""
        super().check_options(options)
        if "of" not in options:
            return
        inner = options["of"]
        reason = cls.why_not(inner) if isinstance(inner, Pruner) else "it is not a method"
        if reason:
            raise ValueError(f"{cls.name} cannot take of={inner!r}: {reason}; {cls.instead(inner)}")

    @classmethod
    def why_not(cls, inner: Pruner) -> str:
        """Why a method cannot be held; empty if it can."""
        if inner.stage not in STAGES:
            return (
                f"it works at stage {inner.stage!r}, and the tokens it leaves are not mixtures of "
                "the patch tokens"
            )
        if inner.synthetic and not inner.flash_safe:
            return (
                "attention is calibrated for exactly the tokens it makes, so none can be added or "
                "merged"
            )
        if inner.synthetic and not cls.takes_merged:
            return (
                "it merges tokens, and what it dropped is already inside them and must not be "
                "merged again"
            )
        return ""

    @classmethod
    def instead(cls, inner: object) -> str:
        """What to do instead of holding ``inner``, for the error message."""
        return f"take for example of={cls.example!r}"
