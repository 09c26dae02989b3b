"""Worst first: any score turned around."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from jaxtyping import Float
from torch import Tensor

from litelvlm.pruning.base import ScorePruner
from litelvlm.pruning.cues import Cues
from litelvlm.pruning.fastervlm import FasterVLM


@dataclass(frozen=True, kw_only=True)
class Reverse(ScorePruner):
    """Keeps the lowest scores of another method; a method whose reverse does as well carries no signal.

    Cost: that of the other method.

    Attributes:
        of: The method turned around; it must rank by one score. LiteLVLM has ``direction="highest"`` instead.
    """

    name: ClassVar[str] = "reverse"
    summary: ClassVar[str] = "lowest scores of another method"

    of: ScorePruner = FasterVLM()  # noqa: RUF009 - frozen, so one instance may serve all

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "needs", self.of.needs)
        object.__setattr__(self, "text_guided", self.of.text_guided)

    @classmethod
    def check_options(cls, options: Mapping[str, Any]) -> None:
        """Refuse a method without a score, next to what every method refuses."""
        super().check_options(options)
        if "of" in options and not isinstance(options["of"], ScorePruner):
            raise ValueError(
                f"reverse needs a method that ranks by one score, got of={options['of']!r}; "
                "take for example of='value_norm'"
            )

    def score(self, cues: Cues) -> Float[Tensor, "n"]:
        """The other method's score, negated."""
        return -self.of.score(cues)
