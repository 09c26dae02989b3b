"""Methods that hold another method and change what it chose."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from litelvlm.pruning.base import Pruner
from litelvlm.pruning.fastervlm import FasterVLM


@dataclass(frozen=True, kw_only=True)
class Wrapper(Pruner):
    """A method that lets another one choose tokens first.

    Order and positions are the wrapper's own; those of the inner method are not read. What the inner method needs and
    whether it reads the text carry over.

    Attributes:
        of: The inner method; it keeps plain tokens, before the language model.
    """

    of: Pruner = FasterVLM()  # noqa: RUF009 - frozen, so one instance may serve all

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "needs", type(self).needs | self.of.needs)
        object.__setattr__(self, "text_guided", self.of.text_guided)

    @classmethod
    def check_options(cls, options: Mapping[str, Any]) -> None:
        """Refuse a method that does not keep plain tokens, next to what every method refuses."""
        super().check_options(options)
        inner = options.get("of", cls.of)
        if not isinstance(inner, Pruner) or inner.synthetic or inner.stage == "llm":
            raise ValueError(
                f"{cls.name} needs a method that keeps plain tokens before the language model, got of={inner!r}; "
                "take for example of='fastervlm'"
            )
