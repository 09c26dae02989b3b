"""Visual tokens dropped between LLaMA's layers, with the bookkeeping of a batch.

One ``SequenceState`` per sequence records which visual tokens remain, which raster index each one
stands for, and what every layer processed. ``LayerDropping`` is called before each layer: it lets
the method choose, puts the sequence together again, and gives the new positions.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int, Real
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import LlamaForCausalLM

from litelvlm.models.base import Conversation
from litelvlm.models.glamm.language.layer_view import LlamaView
from litelvlm.models.glamm.prompting.places import query_places
from litelvlm.models.glamm.prompting.tokenizer import GlammTokenizer
from litelvlm.pruning.layers.base import LayerPlan
from litelvlm.pruning.layers.raters import text_raters
from litelvlm.pruning.layers.results import LayerTrace
from litelvlm.pruning.merging import mix, one_hot
from litelvlm.pruning.positions import output_order, sequence_positions
from litelvlm.pruning.selection import Selection


@dataclass
class SequenceState:
    """One sequence of a batch on its way through the layers, and a record of its visual tokens.

    Attributes:
        plan: The plan of what to drop; None drops nothing.
        start: Index of the first visual token.
        length: Tokens that remain.
        image: Raster indices of the visual tokens that remain, -1 for one merged from several.
        places: Raster indices that give the remaining tokens their positions.
        schedule: Visual tokens of each layer.
        queries: Query tokens, counted from the first token after the image.
        entered: Visual tokens as they entered the model, if some may come back.
        scored: The sequence as it entered the previous layer, if the method uses that.
        source: Weights that merged earlier visual tokens into the present ones; None without
            merging.
        layers: ``image`` at each layer so far.
        sources: ``source`` at each layer so far.
    """

    plan: LayerPlan | None
    start: int
    length: int
    image: Int[Tensor, "r"]
    places: Int[Tensor, "r"]
    schedule: tuple[int, ...]
    queries: Int[Tensor, "q"]
    entered: Float[Tensor, "n d"] | None = None
    scored: LlamaView | None = None
    source: Float[Tensor, "_ _"] | None = None
    layers: list[Int[Tensor, "_"]] = field(default_factory=list)
    sources: list[Float[Tensor, "_ _"] | None] = field(default_factory=list)

    @property
    def n_dropped(self) -> int:
        """Visual tokens dropped so far."""
        return len(self.plan) - len(self.image) if self.plan else 0

    def drops_before(self, index: int) -> bool:
        """Whether a layer of this index exists and processes fewer visual tokens than remain."""
        return index < len(self.schedule) and self.schedule[index] < len(self.image)

    def view(
        self, llama: LlamaForCausalLM, index: int, states: Tensor, positions: Tensor
    ) -> LlamaView:
        """The sequence at a layer."""
        stop = self.start + len(self.image)
        return LlamaView(
            llama, index, states, positions, slice(self.start, stop), self.queries + stop
        )

    def enter(self, plan: LayerPlan, states: Float[Tensor, "s d"]) -> None:
        """Keep what the plan needs of the states that enter: its raters, and tokens to restore."""
        stop = self.start + len(self.image)
        if plan.pruner.effective_query_token == "raters":  # noqa: S105 - a place in the text
            self.queries = text_raters(states[self.start : stop], states[stop:])
        if plan.pruner.returning:
            self.entered = states[self.start : stop]

    def drop(self, plan: LayerPlan, view: LlamaView, count: int) -> tuple[Tensor, Tensor]:
        """Drop visual tokens; return states and positions of the tokens that remain."""
        kept = plan.pruner.reduce(self.scored or view, view, count)
        visual, source = view.hidden_states[view.image], None
        image, places = self.image[kept.places], self.places[kept.places]
        if kept.weights is not None and kept.stand_for is not None:
            image = torch.cat([image, torch.full_like(kept.stand_for, -1)])
            places = torch.cat([places, self.places[kept.stand_for]])
            source = torch.cat([one_hot(kept.places, len(visual)), kept.weights])
        order = output_order(places, plan.pruner.order)
        self.image, self.places = image[order], places[order]
        self.source = None if source is None else source[order]
        tokens = visual[kept.places][order] if self.source is None else mix(self.source, visual)
        return self.rejoined(plan, view, tokens)

    def restore(
        self, plan: LayerPlan, view: LlamaView, entered: Float[Tensor, "n d"]
    ) -> tuple[Tensor, Tensor]:
        """Restore all visual tokens: remaining ones as they are now, others as they entered."""
        tokens = entered.clone()
        tokens[self.image] = view.hidden_states[view.image]
        self.image = self.places = torch.arange(plan.n_tokens, device=tokens.device)
        return self.rejoined(plan, view, tokens)

    def rejoined(
        self, plan: LayerPlan, view: LlamaView, tokens: Float[Tensor, "r d"]
    ) -> tuple[Tensor, Tensor]:
        """States and positions of the sequence with these visual tokens instead of the view's."""
        offsets, span = sequence_positions(self.places, plan.n_tokens, plan.pruner.positions)
        before, after = view.hidden_states[: self.start], view.hidden_states[view.image.stop :]
        joined = torch.cat([before, tokens, after])
        self.length = len(joined)
        # The position of <s> is 0, so every token before the image is at its own index.
        sequence = torch.arange(self.length, device=joined.device)
        later = self.start + span + sequence[: len(after)]
        return joined, torch.cat([sequence[: self.start], self.start + offsets[0], later])


class LayerDropping:
    """Drops visual tokens before each layer of ``decode`` by a batch's plans, and records them.

    Sequences may drop different numbers of tokens, or none; they stay padded on the right.

    Args:
        llama: The language model.
        tokenizer: Its tokenizer, to find the query tokens.
        conversations: One per sequence.
        selections: One per sequence; only a ``LayerPlan`` drops anything.
        starts: Index of the first visual token of each sequence.
        lengths: Tokens of each sequence.

    Raises:
        ValueError: If a plan's budget is impossible in this model.
    """

    def __init__(  # type: ignore[explicit-any, unused-ignore]  # a slice has no types at run time
        self,
        llama: LlamaForCausalLM,
        tokenizer: GlammTokenizer,
        conversations: Sequence[Conversation],
        selections: Sequence[Selection | None],
        starts: Sequence[int],
        lengths: Sequence[int],
    ) -> None:
        self.llama, self.selections = llama, tuple(selections)
        entries = zip(conversations, selections, starts, lengths, strict=True)
        self.sequences = [self._sequence(tokenizer, *entry) for entry in entries]

    def _sequence(
        self,
        tokenizer: GlammTokenizer,
        conversation: Conversation,
        selection: Selection | None,
        start: int,
        length: int,
    ) -> SequenceState:
        """A sequence before the first layer."""
        if not isinstance(selection, LayerPlan):
            nothing = torch.arange(0)
            return SequenceState(None, start, length, nothing, nothing, (), nothing)
        method = selection.pruner
        schedule = method.schedule(
            selection.budget, selection.n_tokens, len(self.llama.model.layers)
        )
        queries = torch.tensor(
            query_places(tokenizer, conversation, method.effective_query_token),
            device=self.llama.device,
        )
        image, places = (
            selection.indices.to(self.llama.device),
            selection.places.to(self.llama.device),
        )
        return SequenceState(selection, start, length, image, places, schedule, queries)

    def __call__(
        self, index: int, hidden_states: Float[Tensor, "b s d"], position_ids: Real[Tensor, "b s"]
    ) -> tuple[Float[Tensor, "b s2 d"], Real[Tensor, "b s2"]]:
        """Drop and restore visual tokens before layer ``index``."""
        rows = [
            (hidden_states[i, : sequence.length], position_ids[i, : sequence.length])
            for i, sequence in enumerate(self.sequences)
        ]
        changed = False
        for i, sequence in enumerate(self.sequences):
            plan = sequence.plan
            if plan is None:
                continue
            sequence.source = None
            if index == 0:
                sequence.source = plan.source
                sequence.enter(plan, rows[i][0])
            if sequence.entered is not None and sequence.schedule[index] > len(sequence.image):
                view = sequence.view(self.llama, index, *rows[i])
                rows[i] = sequence.restore(plan, view, sequence.entered)
                changed = True
            if sequence.drops_before(index):
                view = sequence.view(self.llama, index, *rows[i])
                rows[i] = sequence.drop(plan, view, sequence.schedule[index])
                changed = True
            sequence.layers.append(sequence.image)
            sequence.sources.append(sequence.source)
            scores_next = plan.pruner.look_back and sequence.drops_before(index + 1)
            sequence.scored = sequence.view(self.llama, index, *rows[i]) if scores_next else None
        if not changed:
            return hidden_states, position_ids
        states, positions = zip(*rows, strict=True)
        return pad_sequence(list(states), batch_first=True), pad_sequence(
            list(positions), batch_first=True
        )

    def shifted(self, indices: Sequence[Sequence[int]]) -> list[list[int]]:
        """Indices after the image, per sequence, corrected for every dropped token."""
        return [
            [i - sequence.n_dropped for i in places]
            for places, sequence in zip(indices, self.sequences, strict=True)
        ]

    def outcomes(self) -> list[Selection | None]:
        """The selections, each plan replaced by the trace of what it dropped."""
        return [
            selection if sequence.plan is None else trace(sequence.plan, sequence)
            for selection, sequence in zip(self.selections, self.sequences, strict=True)
        ]


def trace(plan: LayerPlan, sequence: SequenceState) -> LayerTrace:
    """What a plan dropped in each layer of its sequence."""
    offsets, span = sequence_positions(sequence.places, plan.n_tokens, plan.pruner.positions)
    layers, sources = tuple(sequence.layers), tuple(sequence.sources)
    return LayerTrace(sequence.image, plan.n_tokens, offsets, span, layers=layers, sources=sources)
