"""Methods inside the language model that hold another one and change what it keeps."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

from litelvlm.pruning.layers.base import LayerPruner, QueryToken
from litelvlm.pruning.methods.fastv import FastV
from litelvlm.pruning.positions import Positions


@dataclass(frozen=True, kw_only=True)
class LayerWrapper(LayerPruner):
    """A method that changes which tokens another one keeps at its drops.

    Layers, counts and the query token are the other method's, and tokens that it brings back come
    back; order and positions are the wrapper's own.

    Attributes:
        of: The other method.
        query_token: Who asks instead; None leaves it to the other method.
    """

    text_guided: ClassVar[bool] = True

    positions: Positions = "original"
    query_token: Literal[QueryToken, None] = None  # type: ignore[assignment]  # read through ``asks`` only
    of: LayerPruner = FastV()  # noqa: RUF009 - frozen, so one instance may serve all

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("look_back", "returning", "synthetic", "native_order"):
            object.__setattr__(self, name, getattr(self.of, name))
        object.__setattr__(self, "reads", type(self).reads | self.of.reads)

    @classmethod
    def check_options(cls, options: Mapping[str, Any]) -> None:
        """Refuse a method that is not of its kind, next to what every method refuses."""
        super().check_options(options)
        cls.check_inner(options.get("of", cls.of))

    @classmethod
    def check_inner(cls, inner: object) -> None:
        """Refuse a method that cannot be wrapped.

        Raises:
            ValueError: Naming the method and one to take instead.
        """
        if not isinstance(inner, LayerPruner) or inner.stage != "llm":
            raise ValueError(
                f"{cls.name} needs a method that drops tokens inside the language model alone, got of={inner!r}; "
                "take for example of='fastv'"
            )

    @property
    def asks(self) -> QueryToken:
        """The query token given, else that of the other method."""
        return self.query_token or self.of.asks

    @property
    def earlier_by(self) -> str:
        """The preset is the other method's."""
        return (
            self.of.earlier_by
            if isinstance(self.of, LayerWrapper)
            else f"of='{self.of.name}:matched'"
        )

    def ways(self, n_layers: int) -> Sequence[LayerPruner]:
        """Those of the other method."""
        return [replace(self, of=way) for way in self.of.ways(n_layers)]

    def matched(self) -> LayerPruner:
        """The other method with whatever layers a budget needs."""
        return replace(self, of=self.of.matched())

    def least(self, n_tokens: int) -> int:
        """That of the other method."""
        return self.of.least(n_tokens)

    def drop_layers(self, n_layers: int) -> tuple[int, ...]:
        """Those of the other method."""
        return self.of.drop_layers(n_layers)

    def kept_counts(self, budget: int, n_tokens: int, n_layers: int) -> tuple[int, ...]:
        """Those of the other method."""
        return self.of.kept_counts(budget, n_tokens, n_layers)
