"""Methods inside the language model that hold another one and change what it keeps."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from litelvlm.pruning.base import Pruner
from litelvlm.pruning.layers.base import LayerPruner
from litelvlm.pruning.layers.view import QueryToken
from litelvlm.pruning.positions import Positions
from litelvlm.pruning.wrapping import Wrapper


@dataclass(frozen=True, kw_only=True)
class LayerWrapper(Wrapper, LayerPruner):
    """A wrapper that changes which tokens the inner method keeps at its drops.

    Layers, counts and the query token are the inner method's, and tokens that it brings back come
    back.

    Attributes:
        of: The inner method, at layers of the language model alone.
        query_token: Replaces the inner method's query token; None leaves it.
    """

    inherited: ClassVar[tuple[str, ...]] = (
        *Wrapper.inherited,
        "look_back",
        "returning",
        "synthetic",
        "native_order",
    )
    example: ClassVar[str] = "fastv"
    text_guided: ClassVar[bool] = True

    positions: Positions = "original"
    # Read through effective_query_token only, which is never None.
    query_token: Literal[QueryToken, None] = None  # type: ignore[assignment]
    of: LayerPruner

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "reads", type(self).reads | self.of.reads)

    @classmethod
    def why_not(cls, inner: Pruner) -> str:
        """Why a method cannot be held; empty if it can."""
        if isinstance(inner, LayerPruner) and inner.stage == "llm":
            return ""
        return "it does not drop tokens inside the language model alone"

    @property
    def effective_query_token(self) -> QueryToken:
        """The query token given, else that of the inner method."""
        return self.query_token or self.of.effective_query_token

    @property
    def matched_hint(self) -> str:
        """The preset is the inner method's."""
        if isinstance(self.of, LayerWrapper):
            return self.of.matched_hint
        return f"of='{self.of.name}:matched'"

    def candidate_schedules(self, n_layers: int) -> Sequence[LayerPruner]:
        """Those of the inner method."""
        return [replace(self, of=inner) for inner in self.of.candidate_schedules(n_layers)]

    def matched(self) -> LayerPruner:
        """The inner method with the layers left to the budget."""
        return replace(self, of=self.of.matched())

    def min_kept(self, n_tokens: int) -> int:
        """That of the inner method."""
        return self.of.min_kept(n_tokens)

    def drop_layers(self, n_layers: int) -> tuple[int, ...]:
        """Those of the inner method."""
        return self.of.drop_layers(n_layers)

    def kept_counts(self, budget: int, n_tokens: int, n_layers: int) -> tuple[int, ...]:
        """Those of the inner method."""
        return self.of.kept_counts(budget, n_tokens, n_layers)
