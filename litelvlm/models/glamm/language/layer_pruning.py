"""Visual tokens dropped between LLaMA's layers, with the bookkeeping of a batch.

``LayerDropping`` is called before each layer: it lets the method choose, puts the sequence together
again, and gives the new positions.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Float, Real
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import LlamaForCausalLM

from litelvlm.models.base import Conversation
from litelvlm.models.glamm.language.layer_view import LlamaView
from litelvlm.models.glamm.prompting.places import query_places
from litelvlm.models.glamm.prompting.tokenizer import GlammTokenizer
from litelvlm.pruning.layers.base import LayerPlan
from litelvlm.pruning.layers.state import DropState, text_raters
from litelvlm.pruning.positions import sequence_positions
from litelvlm.pruning.selection import Selection


@dataclass(kw_only=True, eq=False)
class SequenceState(DropState):
    """One sequence of a batch; its queries are counted from the first token after the image.

    Attributes:
        start: Index of the first visual token.
        length: Tokens that remain.
        entered: Visual tokens as they entered the model, if some may come back.
    """

    start: int
    length: int
    entered: Float[Tensor, "n d"] | None = None

    def view(
        self, llama: LlamaForCausalLM, index: int, states: Tensor, positions: Tensor
    ) -> LlamaView:
        """The sequence at a layer."""
        stop = self.start + len(self.image)
        return LlamaView(
            llama, index, states, positions, slice(self.start, stop), self.queries + stop
        )

    def begin(self, states: Float[Tensor, "s d"]) -> None:
        """Keep what is needed of the states that enter: the raters, and tokens to restore."""
        stop = self.start + len(self.image)
        if self.plan.pruner.effective_query_token == "raters":  # noqa: S105 - a place in the text
            self.queries = text_raters(states[self.start : stop], states[stop:])
        if self.plan.pruner.returning:
            self.entered = states[self.start : stop]

    def restored(self, view: LlamaView, entered: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
        """All visual tokens: remaining ones as they are now, others as they entered."""
        tokens = entered.clone()
        tokens[self.image] = view.hidden_states[view.image]
        self.image = self.places = torch.arange(self.plan.n_tokens, device=tokens.device)
        return tokens

    def rejoined(self, view: LlamaView, tokens: Float[Tensor, "r d"]) -> tuple[Tensor, Tensor]:
        """States and positions of the sequence with these visual tokens instead of the view's."""
        policy = self.plan.pruner.positions
        offsets, span = sequence_positions(self.places, self.plan.n_tokens, policy)
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
        self.lengths = list(lengths)
        self.sequences: list[SequenceState | None] = []
        for i, plan in enumerate(self.selections):
            found = None
            if isinstance(plan, LayerPlan):
                which = plan.pruner.effective_query_token
                places = query_places(tokenizer, conversations[i], which)
                depth, device = len(llama.model.layers), llama.device
                found = SequenceState(
                    plan=plan,
                    schedule=plan.pruner.schedule(plan.budget, plan.n_tokens, depth),
                    image=plan.indices.to(device),
                    places=plan.places.to(device),
                    queries=torch.tensor(places, device=device),
                    source=plan.source,
                    start=starts[i],
                    length=lengths[i],
                )
            self.sequences.append(found)

    def __call__(
        self, index: int, hidden_states: Float[Tensor, "b s d"], position_ids: Real[Tensor, "b s"]
    ) -> tuple[Float[Tensor, "b s2 d"], Real[Tensor, "b s2"]]:
        """Drop and restore visual tokens before layer ``index``."""
        lengths = [
            length if sequence is None else sequence.length
            for length, sequence in zip(self.lengths, self.sequences, strict=True)
        ]
        rows = [(hidden_states[i, :n], position_ids[i, :n]) for i, n in enumerate(lengths)]
        changed = False
        for i, sequence in enumerate(self.sequences):
            if sequence is None:
                continue
            if index == 0:
                sequence.begin(rows[i][0])
            if sequence.entered is not None and sequence.schedule[index] > len(sequence.image):
                view = sequence.view(self.llama, index, *rows[i])
                rows[i] = sequence.rejoined(view, sequence.restored(view, sequence.entered))
                changed = True
            if sequence.drops_before(index):
                view = sequence.view(self.llama, index, *rows[i])
                rows[i] = sequence.rejoined(view, sequence.drop(index, view))
                changed = True
            sequence.enter(index, partial(sequence.view, self.llama, index, *rows[i]))
        if not changed:
            return hidden_states, position_ids
        states, positions = zip(*rows, strict=True)
        return pad_sequence(list(states), batch_first=True), pad_sequence(
            list(positions), batch_first=True
        )

    def shifted(self, indices: Sequence[Sequence[int]]) -> list[list[int]]:
        """Indices after the image, per sequence, corrected for every dropped token."""
        dropped = [0 if s is None else len(s.plan) - len(s.image) for s in self.sequences]
        return [[i - n for i in places] for places, n in zip(indices, dropped, strict=True)]

    def outcomes(self) -> list[Selection | None]:
        """The selections, each plan replaced by the trace of what it dropped."""
        return [
            selection if sequence is None else sequence.trace()
            for selection, sequence in zip(self.selections, self.sequences, strict=True)
        ]
