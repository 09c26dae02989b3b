"""Dropping visual tokens while LLaMA runs: one attention row per drop, positions and [SEG] places kept in order."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import torch
from jaxtyping import Float, Int, Real
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import LlamaForCausalLM
from transformers.models.llama.modeling_llama import rotate_half

from litelvlm.models.base import Conversation
from litelvlm.models.glamm.prompting.prompts import full_prompt
from litelvlm.models.glamm.prompting.tokenizer import IMAGE_INDEX, GlammTokenizer
from litelvlm.pruning.layers.base import LayerPlan
from litelvlm.pruning.layers.raters import text_raters
from litelvlm.pruning.layers.results import LayerTrace
from litelvlm.pruning.layers.view import LayerView, QueryToken
from litelvlm.pruning.merging import mix, one_hot
from litelvlm.pruning.positions import output_order, sequence_positions
from litelvlm.pruning.selection import Selection


class LlamaView(LayerView):
    """One row as it enters one LLaMA layer; queries and keys are computed from the states when asked for.

    Args:
        llama: The language model.
        index: The layer.
        hidden_states: States of the row, without padding.
        position_ids: Rotary positions.
        image: Where the remaining visual tokens are.
        queries: Sequence indices of the query tokens.
    """

    def __init__(
        self,
        llama: LlamaForCausalLM,
        index: int,
        hidden_states: Float[Tensor, "s d"],
        position_ids: Real[Tensor, "s"],
        image: slice,
        queries: Int[Tensor, "q"],
    ) -> None:
        self.index, self.model, self.layer = index, llama.model, llama.model.layers[index]
        self.hidden_states, self.position_ids = hidden_states, position_ids
        self.image, self.queries = image, queries

    @cached_property
    def _normed(self) -> Float[Tensor, "s d"]:
        normed: Tensor = self.layer.input_layernorm(self.hidden_states)
        return normed

    @cached_property
    def _rotary(self) -> tuple[Float[Tensor, "s e"], Float[Tensor, "s e"]]:
        cos, sin = self.model.rotary_emb(self._normed, position_ids=self.position_ids[None])
        return cos[0], sin[0]

    @cached_property
    def _keys(self) -> Float[Tensor, "s heads e"]:
        return self._rotated(self.layer.self_attn.k_proj(self._normed), *self._rotary)

    def _rotated(self, flat: Tensor, cos: Tensor, sin: Tensor) -> Float[Tensor, "n heads e"]:
        """Split heads and turn each by its position."""
        heads = flat.unflatten(-1, (-1, self.layer.self_attn.head_dim))
        turned: Tensor = heads * cos[:, None] + rotate_half(heads) * sin[:, None]
        return turned

    def attention(self, queries: Int[Tensor, "q"]) -> Float[Tensor, "heads q s"]:
        """The layer's attention rows of some tokens over the whole sequence, float32."""
        attention = self.layer.self_attn
        cos, sin = self._rotary
        asking = self._rotated(attention.q_proj(self._normed[queries]), cos[queries], sin[queries])
        keys = self._keys.repeat_interleave(attention.num_key_value_groups, dim=1)
        logits = torch.einsum("qhe,she->hqs", asking.float(), keys.float()) * attention.scaling
        later = torch.arange(len(keys), device=keys.device) > queries[:, None]
        rows: Tensor = logits.masked_fill(later, float("-inf")).softmax(dim=-1)
        return rows

    def keys(self) -> Float[Tensor, "s k"]:
        """The layer's keys with their rotation, heads joined, float32."""
        return self._keys.flatten(1).float()

    def values(self) -> Float[Tensor, "s heads e"]:
        """The layer's values, float32."""
        attention = self.layer.self_attn
        values: Tensor = attention.v_proj(self._normed).unflatten(-1, (-1, attention.head_dim))
        return values.float()

    def rotary(self) -> tuple[Float[Tensor, "s e"], Float[Tensor, "s e"]]:
        """Cosine and sine of every rotary angle at each token's position, each angle twice, float32."""
        # The model's own rotation is rounded to its number type, which would make scores tie.
        cos, sin = self.model.rotary_emb(self._normed.float(), position_ids=self.position_ids[None])
        return cos[0], sin[0]

    def states(self) -> Float[Tensor, "s d"]:
        """States that enter the layer, after the model's final norm, float32."""
        normed: Tensor = self.model.norm(self.hidden_states)
        return normed.float()


@dataclass
class Row:
    """One conversation of a batch on its way through the layers.

    Attributes:
        plan: What to drop, None for nothing.
        start: Index of the first visual token.
        length: Tokens still there.
        image: Raster indices of the visual tokens still there, -1 for one made of several.
        places: Raster indices that they stand for.
        schedule: Visual tokens of each layer.
        queries: Query tokens, counted from the first token behind the image.
        entered: Visual tokens as they entered the model, if some may come back.
        scored: The row as it entered the layer before, if the method looks back.
        source: Merge weights that made the visual tokens there are of those before, None where none
            was made.
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
        """Whether a layer, if there is such a one, processes fewer visual tokens than are there."""
        return index < len(self.schedule) and self.schedule[index] < len(self.image)

    def view(
        self, llama: LlamaForCausalLM, index: int, states: Tensor, positions: Tensor
    ) -> LlamaView:
        """The row at a layer."""
        stop = self.start + len(self.image)
        return LlamaView(
            llama, index, states, positions, slice(self.start, stop), self.queries + stop
        )

    def enter(self, plan: LayerPlan, states: Float[Tensor, "s d"]) -> None:
        """Note what the plan wants of the states that enter the language model: who rates, and what may come back."""
        stop = self.start + len(self.image)
        if plan.pruner.effective_query_token == "raters":  # noqa: S105 - a place in the text
            self.queries = text_raters(states[self.start : stop], states[stop:])
        if plan.pruner.returning:
            self.entered = states[self.start : stop]

    def drop(self, plan: LayerPlan, view: LlamaView, count: int) -> tuple[Tensor, Tensor]:
        """Drop visual tokens and return states and positions of what is left."""
        kept = plan.pruner.reduce(self.scored or view, view, count)
        visual, source = view.hidden_states[view.image], None
        image, places = self.image[kept.places], self.places[kept.places]
        if kept.weights is not None and kept.stand_for is not None:
            image = torch.cat([image, torch.full_like(kept.stand_for, -1)])
            places = torch.cat([places, self.places[kept.stand_for]])
            source = torch.cat([one_hot(kept.places, len(visual)), kept.weights])
        turn = output_order(places, plan.pruner.order)
        self.image, self.places = image[turn], places[turn]
        self.source = None if source is None else source[turn]
        tokens = visual[kept.places][turn] if self.source is None else mix(self.source, visual)
        return self.rejoined(plan, view, tokens)

    def bring_back(
        self, plan: LayerPlan, view: LlamaView, entered: Float[Tensor, "n d"]
    ) -> tuple[Tensor, Tensor]:
        """Put all visual tokens together again: those that are there as they are now, the others as they entered."""
        tokens = entered.clone()
        tokens[self.image] = view.hidden_states[view.image]
        self.image = self.places = torch.arange(plan.n_tokens, device=tokens.device)
        return self.rejoined(plan, view, tokens)

    def rejoined(
        self, plan: LayerPlan, view: LlamaView, tokens: Float[Tensor, "r d"]
    ) -> tuple[Tensor, Tensor]:
        """States and positions of the sequence with these visual tokens in the place of those of the view."""
        offsets, span = sequence_positions(self.places, plan.n_tokens, plan.pruner.positions)
        before, behind = view.hidden_states[: self.start], view.hidden_states[view.image.stop :]
        left = torch.cat([before, tokens, behind])
        self.length = len(left)
        # The position of <s> is 0, so every token before the image is at its own index.
        sequence = torch.arange(self.length, device=left.device)
        later = self.start + span + sequence[: len(behind)]
        return left, torch.cat([sequence[: self.start], self.start + offsets[0], later])


class LayerDropping:
    """What ``decode`` calls before each layer: drops what the rows' plans say, and keeps the books.

    Rows may drop different numbers of tokens, or none; they stay padded on the right.

    Args:
        llama: The language model.
        tokenizer: Its tokenizer, to find the query tokens.
        conversations: One per row.
        selections: One per row; only a ``LayerPlan`` drops anything.
        starts: Index of the first visual token of each row.
        lengths: Tokens of each row.

    Raises:
        ValueError: If a plan's budget is impossible in this model.
    """

    def __init__(
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
        self.rows = [self._row(tokenizer, *entry) for entry in entries]

    def _row(
        self,
        tokenizer: GlammTokenizer,
        talk: Conversation,
        selection: Selection | None,
        start: int,
        length: int,
    ) -> Row:
        """Books of a row before the first layer."""
        if not isinstance(selection, LayerPlan):
            nothing = torch.arange(0)
            return Row(None, start, length, nothing, nothing, (), nothing)
        method = selection.pruner
        schedule = method.schedule(
            selection.budget, selection.n_tokens, len(self.llama.model.layers)
        )
        queries = torch.tensor(
            query_places(tokenizer, talk, method.effective_query_token), device=self.llama.device
        )
        image, places = (
            selection.indices.to(self.llama.device),
            selection.places.to(self.llama.device),
        )
        return Row(selection, start, length, image, places, schedule, queries)

    def __call__(
        self, index: int, hidden_states: Float[Tensor, "b s d"], position_ids: Real[Tensor, "b s"]
    ) -> tuple[Float[Tensor, "b s2 d"], Real[Tensor, "b s2"]]:
        """Drop what is to be dropped before layer ``index``, and bring back what is to come back."""
        rows = [
            (hidden_states[i, : row.length], position_ids[i, : row.length])
            for i, row in enumerate(self.rows)
        ]
        changed = False
        for i, row in enumerate(self.rows):
            if row.plan is None:
                continue
            row.source = None
            if index == 0:
                row.source = row.plan.source
                row.enter(row.plan, rows[i][0])
            if row.entered is not None and row.schedule[index] > len(row.image):
                rows[i] = row.bring_back(
                    row.plan, row.view(self.llama, index, *rows[i]), row.entered
                )
                changed = True
            if row.drops_before(index):
                rows[i] = row.drop(
                    row.plan, row.view(self.llama, index, *rows[i]), row.schedule[index]
                )
                changed = True
            row.layers.append(row.image)
            row.sources.append(row.source)
            looks_back = row.plan.pruner.look_back and row.drops_before(index + 1)
            row.scored = row.view(self.llama, index, *rows[i]) if looks_back else None
        if not changed:
            return hidden_states, position_ids
        states, positions = zip(*rows, strict=True)
        return pad_sequence(list(states), batch_first=True), pad_sequence(
            list(positions), batch_first=True
        )

    def shifted(self, indices: Sequence[Sequence[int]]) -> list[list[int]]:
        """Sequence indices behind the image, per row, after everything that was dropped."""
        return [
            [i - row.n_dropped for i in places]
            for places, row in zip(indices, self.rows, strict=True)
        ]

    def outcomes(self) -> list[Selection | None]:
        """The selections, each plan replaced by what it came to."""
        return [
            selection if row.plan is None else trace(row.plan, row)
            for selection, row in zip(self.selections, self.rows, strict=True)
        ]


def trace(plan: LayerPlan, row: Row) -> LayerTrace:
    """What a plan came to, from the books of its row."""
    offsets, span = sequence_positions(row.places, plan.n_tokens, plan.pruner.positions)
    layers, sources = tuple(row.layers), tuple(row.sources)
    return LayerTrace(row.image, plan.n_tokens, offsets, span, layers=layers, sources=sources)


def query_places(tokenizer: GlammTokenizer, talk: Conversation, which: QueryToken) -> list[int]:
    """Query tokens of a conversation, counted from the first token behind the image (see ``LayerPruner``).

    Raters are chosen among all of these tokens later, from their embeddings.
    """
    ids = tokenizer.encode(full_prompt(talk))
    first = ids.index(IMAGE_INDEX) + 1
    if which == "last":
        places = [len(ids) - 1]
    elif which == "last_prompt":
        # Expressions are in lower case and cannot spell the role.
        question, role, _ = full_prompt(talk).partition(" ASSISTANT:")
        places = [len(tokenizer.encode(question + role)) - 1]
    elif which == "seg":
        # The state that predicts [SEG] is the one before it.
        places = [i - 1 for i, token in enumerate(ids) if token == tokenizer.seg_id]
    else:
        places = list(range(first, len(ids)))
    return [place - first for place in places]
