"""The visual tokens of one image on their way through the layers: what is left, and the record."""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int
from torch import Tensor

from litelvlm.pruning.layers.base import DropResult, LayerPlan, LayerTrace, LayerView
from litelvlm.pruning.merging import mix, one_hot
from litelvlm.pruning.positions import output_order, sequence_positions


class CopiedView(LayerView):
    """A layer of the language model as methods from outside get it: every tensor is a copy."""

    def __init__(self, view: LayerView) -> None:
        self._view = view
        self.index, self.image = view.index, view.image
        self.queries, self.hidden_states = view.queries.clone(), view.hidden_states.clone()

    def attention(self, queries: Int[Tensor, "q"]) -> Float[Tensor, "heads q s"]:
        """As of the layer."""
        return self._view.attention(queries).clone()

    def keys(self) -> Float[Tensor, "s k"]:
        """As of the layer."""
        return self._view.keys().clone()

    def values(self) -> Float[Tensor, "s heads e"]:
        """As of the layer."""
        return self._view.values().clone()

    def rotary(self) -> tuple[Float[Tensor, "s e"], Float[Tensor, "s e"]]:
        """As of the layer."""
        cosine, sine = self._view.rotary()
        return cosine.clone(), sine.clone()

    def states(self) -> Float[Tensor, "s d"]:
        """As of the layer."""
        return self._view.states().clone()


@dataclass(kw_only=True, eq=False)
class DropState:
    """The visual tokens of one image, as a plan drops them.

    Every language model uses it: what runs the layers asks ``drops_before``, then ``drop``, and
    tells each layer with ``enter``.

    Attributes:
        plan: What to drop.
        schedule: Visual tokens of each layer.
        image: Raster indices of the visual tokens that remain, -1 for one merged from several.
        places: Raster indices that give the remaining tokens their positions.
        queries: Tokens whose attention ranks the visual ones.
        scored: The sequence as it entered the previous layer, if the method uses that.
        source: Weights that merged earlier visual tokens into the present ones; None without
            merging.
        layers: ``image`` at each layer so far.
        sources: ``source`` at each layer so far.
    """

    plan: LayerPlan
    schedule: tuple[int, ...]
    image: Int[Tensor, "r"]
    places: Int[Tensor, "r"]
    queries: Int[Tensor, "q"]
    scored: LayerView | None = None
    source: Float[Tensor, "_ _"] | None = None
    layers: list[Int[Tensor, "_"]] = field(default_factory=list)
    sources: list[Float[Tensor, "_ _"] | None] = field(default_factory=list)

    @property
    def counts(self) -> list[int]:
        """Visual tokens of each layer so far."""
        return list(map(len, self.layers))

    def drops_before(self, index: int) -> bool:
        """Whether a layer of this index exists and processes fewer visual tokens than remain."""
        return index < len(self.schedule) and self.schedule[index] < len(self.image)

    def drop(self, index: int, view: LayerView) -> Float[Tensor, "r d"]:
        """Drop visual tokens before a layer; return the states of those that remain."""
        kept = self._reduced(view, self.schedule[index])
        visual, source = view.hidden_states[view.image], None
        image, places = self.image[kept.places], self.places[kept.places]
        if kept.weights is not None and kept.stand_for is not None:
            image = torch.cat([image, torch.full_like(kept.stand_for, -1)])
            places = torch.cat([places, self.places[kept.stand_for]])
            source = torch.cat([one_hot(kept.places, len(visual)), kept.weights])
        order = output_order(places, self.plan.pruner.order)
        self.image, self.places = image[order], places[order]
        self.source = None if source is None else source[order]
        return visual[kept.places][order] if self.source is None else mix(self.source, visual)

    def _reduced(self, view: LayerView, count: int) -> DropResult:
        """What the method leaves, checked; one from outside the package gets copies."""
        pruner, scored = self.plan.pruner, self.scored or view
        if pruner.is_foreign:
            with pruner.foreign_code():
                kept = pruner.reduce(CopiedView(scored), CopiedView(view), count)
        else:
            kept = pruner.reduce(scored, view, count)
        plain = type(kept) is DropResult  # another class may answer for itself
        found = kept.problem(len(self.image), count) if plain else repr(kept)
        if found:
            raise ValueError(
                f"method {pruner.name!r} left {found} at layer {view.index}; reduce must return "
                f"DropResult(places) with {count} ascending places from 0 to {len(self.image) - 1}"
            )
        return kept

    def enter(self, index: int, view: Callable[[], LayerView]) -> None:
        """Note what a layer processes; keep its view where the next drop ranks tokens by it."""
        self.layers.append(self.image)
        self.sources.append(self.source)
        ranks = self.plan.pruner.look_back and self.drops_before(index + 1)
        self.scored, self.source = view() if ranks else None, None

    def trace(self) -> LayerTrace:
        """What was dropped in each layer."""
        plan = self.plan
        offsets, span = sequence_positions(self.places, plan.n_tokens, plan.pruner.positions)
        return LayerTrace(
            self.image,
            plan.n_tokens,
            offsets,
            span,
            layers=tuple(self.layers),
            sources=tuple(self.sources),
        )


def text_raters(visual: Float[Tensor, "n d"], text: Float[Tensor, "m d"]) -> Int[Tensor, "r"]:
    """Text tokens that are more like the visual ones than the average text token is.

    Those with ``r_j > mean(r)``, where ``r_j = mean_i softmax_j(v_i . u_j)``. Dot products are not
    scaled. If no token stands out, all of them rate. Cost: one n x m product, once.

    Args:
        visual: Visual tokens as they enter the language model.
        text: Embeddings of the tokens after the image. In a teacher-forced conversation they
            include the answer and the words of the template.

    Returns:
        Indices into ``text``, ascending.

    Source: SparseVLM, official code; arXiv 2410.04417, section 3.2.

    Example:
        >>> text = torch.tensor([[0.0, 0.0], [2.0, 0.0], [0.0, 2.0]])
        >>> text_raters(torch.tensor([[1.0, 0.0]]), text).tolist()
        [1]
    """
    relevance = (visual.float() @ text.float().T).softmax(dim=1).mean(dim=0)
    standing_out = (relevance > relevance.mean()).nonzero().flatten()
    return standing_out if len(standing_out) else torch.arange(len(text), device=text.device)
