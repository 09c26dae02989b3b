"""Methods that drop visual tokens between the layers of the language model, while it reads the prompt."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import pairwise
from types import MappingProxyType
from typing import ClassVar, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from litelvlm.pruning.base import Pruner, RawSelection, Selection
from litelvlm.pruning.budgets import check_budget, round_half_up
from litelvlm.pruning.cues import Cues
from litelvlm.pruning.positions import output_order
from litelvlm.pruning.ranking import ascending, highest

# The preset that every method with a schedule of its own has.
MATCHED: Mapping[str, str] = MappingProxyType({"depth": "budget"})
QueryToken = Literal["last", "last_prompt", "seg", "mean_text", "raters"]
Depth = Literal["published", "budget"]
PUBLISHED_DEPTH = 32  # layers of the 7B model that every published layer number means


class LayerView(ABC):
    """One conversation as it enters one layer: what a method may rank its visual tokens by.

    Attributes:
        index: The layer, from 0.
        image: Where the remaining visual tokens are in the sequence.
        queries: Sequence indices of the tokens that ask (see ``LayerPruner``); all of them lie
            behind the image.
        hidden_states: States that enter the layer [s, d], in the model's number type.
    """

    index: int
    image: slice
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
        """The layer's values, which no rotation turns, float32."""

    @abstractmethod
    def rotary(self) -> tuple[Float[Tensor, "s e"], Float[Tensor, "s e"]]:
        """Cosine and sine of every rotary angle at each token's position, each angle twice, float32."""

    @abstractmethod
    def states(self) -> Float[Tensor, "s d"]:
        """States that enter the layer, after the model's final norm, float32."""

    def image_attention(self) -> Float[Tensor, "r"]:
        """Attention from the query tokens to each remaining visual token, mean over heads and queries."""
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


@dataclass(frozen=True, kw_only=True)
class LayerPruner(Pruner):
    """A method that drops visual tokens before some layers of the language model.

    Every token comes to layer 0 (but for methods that prune before it too), so the budget is the
    average over the layers of the visual tokens that each one processes: the unit of the cost, and
    the one the published tables of these methods use. A budget that the layers before the first
    drop already exceed is refused; where drops at earlier layers would meet it, preset "matched"
    takes those. Kept tokens stay in raster order; those that a method makes of several follow them,
    or go to their places with ``order="raster"``.

    Attributes:
        query_token: Who asks. "last": the end of the whole teacher-forced text. "last_prompt": the
            end of the first turn's question, where generation would start. "seg": the states that
            the masks are decoded from, mean over the turns. "mean_text": every token behind the
            image, mean. "raters": those among them that the image attends to more than on average
            (see ``litelvlm.pruning.layers.raters``), mean.
        reads: What some setting of the fields may read of a layer: names in ``LayerView``, which
            computes only those.
        look_back: 1 if tokens are ranked at the layer before the one they are dropped at, else 0.
        returning: Tokens that were dropped may come back, all at once, as they would have entered
            the first layer.

    Source: referring segmentation is teacher-forced in GLaMM's evaluation, so "last" sees the
        answer.
    """

    stage: ClassVar[str] = "llm"
    reads: ClassVar[frozenset[str]] = frozenset()
    look_back: ClassVar[int] = 0
    returning: ClassVar[bool] = False

    query_token: QueryToken = "last_prompt"  # noqa: S105 - a place in the text, no credential

    @property
    def asks(self) -> QueryToken:
        """The query token in force; that of another method where one is asked for it."""
        return self.query_token

    @property
    def earlier_by(self) -> str:
        """How to ask for ``matched``, in words."""
        return "preset 'matched'"

    def ways(self, n_layers: int) -> "Sequence[LayerPruner]":
        """The method with the layers it may drop tokens at, in the order in which they are tried for a budget."""
        return (self,)

    def matched(self) -> "LayerPruner":
        """The method with whatever layers a budget needs."""
        return self

    def least(self, n_tokens: int) -> int:
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
        """Tokens that each drop leaves; a count below ``least`` says that the budget is impossible."""

    @abstractmethod
    def keep(self, scored: LayerView, entering: LayerView, count: int) -> Int[Tensor, "count"]:
        """Choose among the remaining visual tokens.

        Args:
            scored: The layer ``look_back`` before the drop.
            entering: The layer that tokens are dropped before; the same as ``scored`` without
                looking back.
            count: Tokens to keep.

        Returns:
            Places among the remaining tokens, ascending.
        """

    def reduce(self, scored: LayerView, entering: LayerView, count: int) -> DropResult:
        """Leave ``count`` tokens in all; a method that makes tokens of several replaces this (see ``keep``)."""
        return DropResult(self.keep(scored, entering, count))

    def schedule(self, budget: int | float, n_tokens: int, n_layers: int) -> tuple[int, ...]:
        """Visual tokens that each layer processes, so that their average is the budget up to rounding.

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
        ways = self.ways(n_layers)
        way = next((way for way in ways if way.affords(total, n_tokens, n_layers)), None)
        if way is None:
            smallest, earlier = (
                method.smallest(n_tokens, n_layers) for method in (self, self.matched())
            )
            instead = (
                f", or {earlier} with drops at earlier layers ({self.earlier_by})"
                if earlier < smallest
                else ""
            )
            raise ValueError(
                f"{self.name} cannot average {total} of {n_tokens} visual tokens over {n_layers} layers: the layers "
                f"that process all of them leave too few for the others; the smallest budget is {smallest}{instead}"
            )
        edges = (0, *way.drop_layers(n_layers), n_layers)
        widths = [after - before for before, after in pairwise(edges)]
        runs = zip((n_tokens, *way.kept_counts(total, n_tokens, n_layers)), widths, strict=True)
        return tuple(count for count, width in runs for _ in range(width))

    def smallest(self, n_tokens: int, n_layers: int) -> int:
        """Smallest budget with a schedule."""
        ways = self.ways(n_layers)
        possible = (
            b for b in range(1, n_tokens) if any(way.affords(b, n_tokens, n_layers) for way in ways)
        )
        return next(possible, n_tokens)

    def affords(self, budget: int, n_tokens: int, n_layers: int) -> bool:
        """Whether every drop leaves at least as many tokens as it may."""
        counts = self.kept_counts(budget, n_tokens, n_layers)
        falls = pairwise((n_tokens, *counts))
        return min(counts) >= 1 and all(
            after >= before or after >= self.least(before) for before, after in falls
        )

    def select(self, cues: Cues, budget: int | float) -> Selection:
        """A ``LayerPlan``: the tokens that enter the language model, with the order to drop some inside.

        Raises:
            ValueError: If the budget is not a whole number from 1 to the number of tokens nor a
                share that keeps one. Whether it is possible depends on the number of layers and is
                checked by ``schedule``.
        """
        count = check_budget(budget, cues.n_tokens)
        nothing_to_drop = count == cues.n_tokens
        choice = RawSelection(torch.arange(count)) if nothing_to_drop else self.choose(cues, count)
        entered = self.settle(choice, cues.n_tokens)
        places = choice.indices if choice.places is None else choice.places
        settled = {entry.name: getattr(entered, entry.name) for entry in fields(Selection)}
        return LayerPlan(
            **settled, pruner=self, budget=count, places=places[output_order(places, self.order)]
        )

    def choose(self, cues: Cues, budget: int) -> RawSelection:
        """Every token enters the language model."""
        return RawSelection(torch.arange(cues.n_tokens))


@dataclass(frozen=True, kw_only=True)
class LayerScorePruner(LayerPruner):
    """A method inside the language model that ranks the remaining visual tokens by one score."""

    @abstractmethod
    def score(self, scored: LayerView, entering: LayerView) -> Float[Tensor, "r"]:
        """Score of every remaining visual token; higher is kept. Arguments as of ``keep``."""

    def keep(self, scored: LayerView, entering: LayerView, count: int) -> Int[Tensor, "count"]:
        """The tokens that stay as they are."""
        return self.reduce(scored, entering, count).places

    def reduce(self, scored: LayerView, entering: LayerView, count: int) -> DropResult:
        """Leave ``count`` tokens in all, by score."""
        return self.keep_by(self.score(scored, entering), entering, count)

    def keep_by(self, scores: Float[Tensor, "r"], entering: LayerView, count: int) -> DropResult:
        """Leave ``count`` tokens in all, by any scores; those with the highest stay."""
        return DropResult(ascending(highest(scores, count)))


@dataclass(frozen=True, eq=False, kw_only=True)
class LayerPlan(Selection):
    """The visual tokens that enter the language model, mostly all, and the method that drops some of them inside.

    Attributes:
        pruner: The method.
        budget: Visual tokens per layer on average.
        places: Raster index that each token stands for.
    """

    pruner: LayerPruner
    budget: int
    places: Int[Tensor, "r"]


@dataclass(frozen=True, eq=False, kw_only=True)
class LayerTrace(Selection):
    """What a ``LayerPlan`` came to; as a selection it is the visual tokens of the last layer.

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


def scaled_layers(published: Sequence[int], n_layers: int) -> tuple[int, ...]:
    """Layers at the same relative depth as published for 32 layers, rounded and all different; only 0 becomes 0.

    Example:
        >>> scaled_layers((8, 16, 24), 4), scaled_layers((2,), 4), scaled_layers((2,), 32)
        ((1, 2, 3), (1,), (2,))
    """
    scaled = (
        (round_half_up(layer * n_layers / PUBLISHED_DEPTH), min(layer, 1)) for layer in published
    )
    return tuple(sorted({min(max(layer, least), n_layers - 1) for layer, least in scaled}))


def check_layers(layers: Sequence[int], n_layers: int, first: int, what: str) -> tuple[int, ...]:
    """Return the layers if they ascend within the model.

    Args:
        layers: Layers before which tokens are dropped.
        n_layers: Layers of the model.
        first: Lowest layer allowed.
        what: Field name for the message.

    Raises:
        ValueError: If not.
    """
    found = tuple(layers)
    if not found or list(found) != sorted(set(found)) or found[0] < first or found[-1] >= n_layers:
        raise ValueError(
            f"{what} {list(found)} must be different, ascending layers from {first} to {n_layers - 1}: the language "
            f"model has {n_layers}"
        )
    return found


def refuse_both(what: str, layers: object, depth: Depth) -> None:
    """Refuse layers next to a depth that is to be found.

    Raises:
        ValueError: If both are given.
    """
    if layers is not None and depth == "budget":
        raise ValueError(
            f"{what} {layers!r} and depth='budget' both say where tokens are dropped; leave one out"
        )
