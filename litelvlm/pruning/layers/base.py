"""Methods that drop visual tokens between layers of the language model, as it reads the prompt."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import ClassVar, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from litelvlm.pruning.base import Pruner
from litelvlm.pruning.budgets import ModelSizes, check_budget
from litelvlm.pruning.cues import Cues
from litelvlm.pruning.positions import output_order
from litelvlm.pruning.ranking import ascending, highest
from litelvlm.pruning.selection import RawSelection, Selection, is_line, is_plain

QueryToken = Literal["last", "last_prompt", "seg", "mean_text", "raters"]


class LayerView(ABC):
    """One conversation as it enters one layer: what a method may rank its visual tokens by.

    Attributes:
        index: The layer, from 0.
        image: Where the remaining visual tokens are in the sequence.
        queries: Sequence indices of the query tokens (see ``LayerPruner``); all of them come after
            the image.
        hidden_states: States that enter the layer [s, d], in the model's number type.
    """

    index: int
    image: slice  # type: ignore[explicit-any, unused-ignore]  # a slice has no types at run time
    queries: Int[Tensor, "q"]
    hidden_states: Float[Tensor, "s d"]

    @abstractmethod
    def attention(self, queries: Int[Tensor, "q"]) -> Float[Tensor, "heads q s"]:
        """The layer's attention rows of some tokens over the whole sequence, float32."""

    @abstractmethod
    def keys(self) -> Float[Tensor, "s k"]:
        """The layer's keys with their rotation, heads joined, float32."""

    @abstractmethod
    def values(self) -> Float[Tensor, "s heads e"]:
        """The layer's values, which carry no rotation, float32."""

    @abstractmethod
    def rotary(self) -> tuple[Float[Tensor, "s e"], Float[Tensor, "s e"]]:
        """Cosine and sine of the rotary angles at each position, every angle twice, float32."""

    @abstractmethod
    def states(self) -> Float[Tensor, "s d"]:
        """States that enter the layer, after the model's final norm, float32."""

    def image_attention(self) -> Float[Tensor, "r"]:
        """Attention from the query tokens to each visual token, mean over heads and queries."""
        return self.attention(self.queries)[:, :, self.image].mean(dim=(0, 1))

    def most_attended(self, count: int) -> Int[Tensor, "count"]:
        """Places of the visual tokens with the most attention, ascending."""
        return ascending(highest(self.image_attention(), count))


@dataclass(frozen=True, eq=False)
class DropResult:
    """What a drop leaves of the remaining visual tokens.

    Attributes:
        places: Tokens that stay, ascending.
        weights: Tokens made of several, which follow them: mixing weights over the remaining
            tokens; None for none.
        stand_for: For each of those, the remaining token whose place in the image it takes.
    """

    places: Int[Tensor, "k"]
    weights: Float[Tensor, "m r"] | None = None
    stand_for: Int[Tensor, "m"] | None = None

    def problem(self, n_tokens: int, count: int) -> str:
        """What no drop to ``count`` tokens leaves, in words; empty if nothing is wrong."""
        places, weights, stand_for = self.places, self.weights, self.stand_for
        if not is_line(places):
            return f"places that are no line of whole numbers (int64): {places!r}"
        made = 0
        if weights is not None and stand_for is not None:
            if not (is_plain(weights, 2) and is_line(stand_for)):
                return "weights that are no matrix, or places that are no line of whole numbers"
            made = len(weights)
            inside = bool(((stand_for >= 0) & (stand_for < n_tokens)).all())
            fitting = weights.shape == (len(stand_for), n_tokens) and inside
            if not fitting or not bool(torch.isfinite(weights).all()):
                return f"weights {list(weights.shape)} that do not fit, or are not finite"
        if len(places) + made != count or (self.weights is None) != (self.stand_for is None):
            return f"{len(places)} tokens and {made} made of several"
        if bool((places[1:] <= places[:-1]).any()) or not all(
            0 <= place < n_tokens for place in places[[0, -1] if len(places) else []].tolist()
        ):
            return f"the places {places.tolist()}"
        return ""


@dataclass(frozen=True, eq=False, kw_only=True)
class LayerTrace(Selection):
    """The visual tokens that a ``LayerPlan`` left; as a selection, those of the last layer.

    Attributes:
        layers: Raster indices of the visual tokens that each layer processed, -1 for one made of
            several.
        sources: For each layer the merge weights that made its visual tokens: ``sources[l] @
            states`` are those that enter layer l, ``states`` those of the visual tokens that left
            layer l - 1 (for the first layer the patch tokens before the projector). None where no
            token was made of several.
    """

    layers: tuple[Int[Tensor, "_"], ...]
    sources: tuple[Float[Tensor, "_ _"] | None, ...]

    @property
    def counts(self) -> tuple[int, ...]:
        """Visual tokens per layer."""
        return tuple(map(len, self.layers))

    @property
    def average(self) -> float:
        """Visual tokens per layer, mean over the layers."""
        return sum(self.counts) / len(self.counts)


@dataclass(frozen=True, kw_only=True)
class LayerPruner(Pruner):
    """A method that drops visual tokens before some layers of the language model.

    Every token reaches layer 0, except under methods that also prune before the language model. So
    the budget is the average over the layers of the visual tokens that each one processes: the unit
    of the cost, and the one the published tables of these methods use. A budget that the layers
    before the first drop already exceed is refused; where drops at earlier layers would meet it,
    preset "matched" takes those. Kept tokens stay in raster order; those that a method makes of
    several follow them, or go to their places with ``order="raster"``.

    Attributes:
        query_token: The tokens whose attention or similarity ranks the visual ones. "last": the end
            of the whole text; in GLaMM's evaluation the answer is given (teacher forcing), so this
            token sees it. "last_prompt": the end of the first turn's question,
            where generation would start. "seg": the states that the masks are decoded from, mean
            over the turns. "mean_text": every token after the image, mean. "raters": those among
            them that the image attends to more than on average (see
            ``litelvlm.pruning.layers.state``), mean.
        reads: What some setting of the fields may read of a layer: names in ``LayerView``, which
            computes only those.
        look_back: 1 if tokens are ranked at the layer before the one they are dropped at, else 0.
        returning: Dropped tokens may come back later, all at once, as they would have entered the
            first layer.
    """

    stage: ClassVar[str] = "llm"
    reads: ClassVar[frozenset[str]] = frozenset()
    look_back: ClassVar[int] = 0
    returning: ClassVar[bool] = False

    query_token: QueryToken = "last_prompt"  # noqa: S105 - a place in the text, no credential

    @property
    def in_language_model(self) -> bool:
        """Always: it is made to act between its layers."""
        return True

    @property
    def effective_query_token(self) -> QueryToken:
        """The query token in force: a wrapper without one of its own uses the inner method's."""
        return self.query_token

    @property
    def matched_hint(self) -> str:
        """How a user selects ``matched``, for error messages."""
        return "preset 'matched'"

    def candidate_schedules(self, n_layers: int) -> "Sequence[LayerPruner]":
        """The method with each set of layers it may drop at, in the order they are tried in."""
        return (self,)

    def matched(self) -> "LayerPruner":
        """The method with the layers left to the budget."""
        return self

    def min_kept(self, n_tokens: int) -> int:
        """Fewest tokens that a drop may leave of ``n_tokens``."""
        return 1

    @abstractmethod
    def drop_layers(self, n_layers: int) -> tuple[int, ...]:
        """Layers (from 0) before which tokens are dropped, ascending.

        Raises:
            ValueError: If the model has no such layer.
        """

    @abstractmethod
    def kept_counts(self, budget: int, n_tokens: int, n_layers: int) -> tuple[int, ...]:
        """Tokens that each drop leaves; a count below ``min_kept`` means an impossible budget."""

    @abstractmethod
    def reduce(self, scored: LayerView, entering: LayerView, count: int) -> DropResult:
        """Leave ``count`` of the remaining visual tokens.

        Args:
            scored: The layer ``look_back`` before the drop.
            entering: The layer that tokens are dropped before; the same as ``scored`` without
                looking back.
            count: Tokens to leave, those made of several included.
        """

    def schedule(self, budget: int | float, n_tokens: int, n_layers: int) -> tuple[int, ...]:
        """Visual tokens that each layer processes; their average is the budget up to rounding.

        Raises:
            ValueError: If the budget is out of range or impossible; the message names the smallest
                possible one.

        Example:
            >>> from litelvlm.pruning import get_pruner
            >>> get_pruner("fastv").schedule(48, n_tokens=144, n_layers=4)
            (144, 16, 16, 16)
            >>> get_pruner("lvlm_csp_like").schedule(48, n_tokens=144, n_layers=4)
            (24, 144, 12, 12)
        """
        total = check_budget(budget, n_tokens)
        if total == n_tokens:
            return (n_tokens,) * n_layers
        candidates = self.candidate_schedules(n_layers)
        chosen = next((c for c in candidates if c.affords(total, n_tokens, n_layers)), None)
        if chosen is None:
            smallest, earlier = (
                method.smallest_budget(n_tokens, n_layers) for method in (self, self.matched())
            )
            instead = (
                f", or {earlier} with drops at earlier layers ({self.matched_hint})"
                if earlier < smallest
                else ""
            )
            raise ValueError(
                f"{self.name} cannot average {total} of {n_tokens} visual tokens over {n_layers} "
                "layers: the layers that process all of them leave too few for the others; the "
                f"smallest budget is {smallest}{instead}"
            )
        edges = (0, *chosen.drop_layers(n_layers), n_layers)
        widths = [after - before for before, after in pairwise(edges)]
        runs = zip((n_tokens, *chosen.kept_counts(total, n_tokens, n_layers)), widths, strict=True)
        return tuple(count for count, width in runs for _ in range(width))

    def smallest_budget(self, n_tokens: int, n_layers: int) -> int:
        """Smallest budget with a schedule."""
        candidates = self.candidate_schedules(n_layers)
        possible = (
            budget
            for budget in range(1, n_tokens)
            if any(c.affords(budget, n_tokens, n_layers) for c in candidates)
        )
        return next(possible, n_tokens)

    def affords(self, budget: int, n_tokens: int, n_layers: int) -> bool:
        """Whether every drop leaves at least as many tokens as it may."""
        counts = self.kept_counts(budget, n_tokens, n_layers)
        steps = pairwise((n_tokens, *counts))
        return min(counts) >= 1 and all(
            after >= before or after >= self.min_kept(before) for before, after in steps
        )

    def average_tokens(self, budget: int | float, sizes: ModelSizes) -> float:
        """Visual tokens that a layer of the language model processes, mean over its layers.

        Raises:
            ValueError: As ``schedule``.
        """
        counts = self.schedule(budget, sizes.n_tokens, sizes.n_layers)
        return sum(counts) / len(counts)

    def choose(self, cues: Cues, budget: int) -> RawSelection:
        """Every token enters the language model."""
        return RawSelection(torch.arange(cues.n_tokens))

    def entering(self, budget: int) -> int | None:
        """Any number may enter the language model; its layers keep to the budget."""
        return None

    def to_selection(self, raw: RawSelection, n_tokens: int, budget: int) -> Selection:
        """A ``LayerPlan``: the tokens that enter the language model, and the order to drop some.

        Whether the budget is possible depends on the number of layers; ``schedule`` checks it.
        """
        entered = super().to_selection(raw, n_tokens, budget)
        values = {entry.name: getattr(entered, entry.name) for entry in fields(Selection)}
        places = raw.stands_for
        return LayerPlan(
            **values, pruner=self, budget=budget, places=places[output_order(places, self.order)]
        )


@dataclass(frozen=True, eq=False, kw_only=True)
class LayerPlan(Selection):
    """The visual tokens that enter the language model, and the method that drops some inside it.

    Attributes:
        pruner: The method.
        budget: Visual tokens per layer on average.
        places: Raster index that each token stands for.
    """

    pruner: LayerPruner
    budget: int
    places: Int[Tensor, "r"]


@dataclass(frozen=True, kw_only=True)
class LayerScorePruner(LayerPruner):
    """A method inside the language model that ranks the remaining visual tokens by one score."""

    @abstractmethod
    def score(self, scored: LayerView, entering: LayerView) -> Float[Tensor, "r"]:
        """Score of every remaining visual token; higher is kept. Arguments as of ``reduce``."""

    def reduce(self, scored: LayerView, entering: LayerView, count: int) -> DropResult:
        """Leave ``count`` tokens in all, by score."""
        return self.keep_by(self.score(scored, entering), entering, count)

    def keep_by(self, scores: Float[Tensor, "r"], entering: LayerView, count: int) -> DropResult:
        """Leave ``count`` tokens in all, by any scores; those with the highest stay."""
        return DropResult(ascending(highest(scores, count)))
