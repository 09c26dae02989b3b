"""Which passes an image needs: every method and budget that is possible, for every conversation about it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Bool
from torch import Tensor

from litelvlm.analysis.studies.sweep.config import Config
from litelvlm.analysis.studies.sweep.tables import UNPRUNED
from litelvlm.models.glamm.batched.grounder import Request, SharedGrounder
from litelvlm.models.glamm.model import Glamm
from litelvlm.models.glamm.prompting.official_draws import official_draw
from litelvlm.models.glamm.prompting.prompts import Conversation, conversation
from litelvlm.pruning import Cues, ModelSizes, Pruner, Selection
from litelvlm.pruning.cues import OF_IMAGE


@dataclass(frozen=True)
class Cell:
    """One method at one budget, with a seed if it draws at random."""

    method: str
    pruner: Pruner
    budget: int
    seed: int | None
    n_average: float


@dataclass(frozen=True)
class Context:
    """What every image of a run shares."""

    model: Any
    data: Any
    config: Config
    budgets: tuple[int, ...]

    @property
    def n_tokens(self) -> int:
        """Visual tokens before pruning."""
        rows, columns = self.model.grid
        return int(rows * columns)

    @cached_property
    def _divided(self) -> tuple[tuple[Cell, ...], dict[str, str]]:
        return divide_cells(self.config, self.budgets, self.n_tokens, self.model)

    @property
    def cells(self) -> tuple[Cell, ...]:
        """Every possible combination of method, budget and seed, the unpruned model left out."""
        return self._divided[0]

    @property
    def excluded(self) -> dict[str, str]:
        """Why a method has no rows at a budget, by "method@budget"."""
        return self._divided[1]

    @cached_property
    def grounder(self) -> "SharedGrounder | PlainGrounder":
        """What answers the requests about one image."""
        if isinstance(self.model, Glamm):
            return SharedGrounder(self.model, self.config.batch_size)
        return PlainGrounder(self.model, self.config.batch_size)

    def passes(
        self,
        loaded: Any,
        state: Any,
        number: int,
        talk: "PlannedConversation",
        cues: Any,
        chosen: "Chosen",
    ) -> list["Pass"]:
        """Passes of one conversation, the image's ``number``-th; a study with selections of its own overrides this."""
        return expression_passes(self, number, cues, talk.draw, chosen)


@dataclass(frozen=True)
class PlannedConversation:
    """One conversation about an image, its turns as places among its expressions, and the draw it belongs to."""

    conversation: Conversation
    turns: tuple[int, ...]
    draw: int


@dataclass(frozen=True)
class Chosen:
    """Selections of one image: what no text changes is chosen once and holds for all its conversations."""

    known: dict[tuple[Pruner, int], Selection] = field(default_factory=dict)

    def __call__(self, pruner: Pruner, cues: Cues, budget: int) -> Selection:
        """Selection of a method for one conversation."""
        if pruner.text_guided or not pruner.needs <= OF_IMAGE:
            return pruner.select(cues, budget)
        if (pruner, budget) not in self.known:
            self.known[pruner, budget] = pruner.select(cues, budget)
        return self.known[pruner, budget]


@dataclass(frozen=True)
class Pass:
    """One pass of the language model: one conversation under one selection (None: unpruned).

    Attributes:
        talk: Place of the conversation among the image's.
        method: Label of the method.
        budget: Tokens asked for.
        seed: Draw of a random method, 0 for others; in protocol "official" the draw of the
            conversation.
        selection: What enters the language model.
        n_kept: Tokens that enter it.
        n_average: Tokens per layer, mean over the layers.
    """

    talk: int
    method: str
    budget: int
    seed: int
    selection: Selection | None
    n_kept: int
    n_average: float


@dataclass
class PlainGrounder:
    """Answers requests through a model's own ``ground``, for models that are no ``Glamm``."""

    model: Any
    batch_size: int
    notes: Sequence[str] = ()

    def __call__(
        self, state: Any, requests: Sequence[Request]
    ) -> Iterator[tuple[tuple[tuple[int, ...], ...], Tensor]]:
        """Every request once, batches of equal token count."""
        for batch in equal_batches([_size(r.selection) for r in requests], self.batch_size):
            chosen = [requests[i] for i in batch]
            found = self.model.ground(
                [state] * len(batch),
                [r.conversation for r in chosen],
                [r.selection for r in chosen],
            )
            yield tuple((i,) for i in batch), torch.stack([result.mask for result in found])


def masks_of(
    context: Context, state: Any, requests: Sequence[Request]
) -> Iterator[tuple[tuple[tuple[int, ...], ...], Bool[Tensor, "b t h w"]]]:
    """Predicted masks batch by batch, each pass with its places among the requests."""
    grounder = context.grounder
    if isinstance(grounder, PlainGrounder):
        yield from grounder(state, requests)
        return
    for answered in grounder(state, requests):
        yield answered.places, answered.logits > 0


def divide_cells(
    config: Config, budgets: Sequence[int], n_tokens: int, model: Any
) -> tuple[tuple[Cell, ...], dict[str, str]]:
    """Combinations that are possible, and why the others are not.

    Args:
        config: Of the sweep.
        budgets: Token counts.
        n_tokens: Visual tokens before pruning.
        model: Query for its number of layers if a method drops tokens inside it.
    """
    cells, excluded = [], {}
    for method in config.methods:
        if method.name == UNPRUNED:
            continue
        seeds = range(config.seeds) if method.seeded and config.protocol != "official" else (None,)
        pruners = {seed: method.pruner(seed) for seed in seeds}
        for budget in budgets:
            try:
                average = layer_average(pruners[seeds[0]], budget, n_tokens, model)
            except ValueError as error:
                excluded[f"{method.label}@{budget}"] = str(error)
                continue
            cells += [
                Cell(method.label, pruner, budget, seed, average)
                for seed, pruner in pruners.items()
            ]
    return tuple(cells), excluded


def layer_average(pruner: Pruner, budget: int, n_tokens: int, model: Any) -> float:
    """Visual tokens per layer of the language model, mean over its layers.

    Raises:
        ValueError: If the method cannot keep to the budget; the message names the smallest possible
            one.
    """
    sizes = ModelSizes(n_tokens, model.tower.n_blocks - 1, len(model.llama.model.layers))
    return pruner.average_tokens(budget, sizes)


def plan_conversations(config: Config, sample: Any) -> list[PlannedConversation]:
    """Conversations about one image: one per expression, one about all, or one per draw of the official protocol."""
    sentences = [expression.sent for expression in sample.expressions]
    if config.protocol == "official":
        draws = [
            official_draw(len(sentences), int(sample.image_id), seed)
            for seed in range(config.seeds)
        ]
        return [
            PlannedConversation(draw.conversation(sentences), draw.expressions, seed)
            for seed, draw in enumerate(draws)
        ]
    places = tuple(range(len(sentences)))
    together = [places] if config.protocol == "conversation" else [(place,) for place in places]
    return [
        PlannedConversation(
            conversation([sentences[i] for i in turns], config.question_index, config.answer_index),
            turns,
            0,
        )
        for turns in together
    ]


def expression_passes(
    context: Context, number: int, cues: Cues, draw: int = 0, chosen: Chosen | None = None
) -> list[Pass]:
    """Selections of one conversation under every possible method, budget and seed, the unpruned one first.

    Args:
        context: Of the run.
        number: Place of the conversation among the image's.
        cues: What methods may ask.
        draw: Of the official protocol, whose random methods draw with it.
        chosen: Selections that other conversations about the image share; none if left out.
    """
    select = chosen or Chosen()
    n_tokens, official = context.n_tokens, context.config.protocol == "official"
    made = [Pass(number, UNPRUNED, n_tokens, draw, None, n_tokens, float(n_tokens))]
    for cell in context.cells:
        pruner = seeded(context.config, cell, draw) if official else cell.pruner
        selection = select(pruner, cues, cell.budget)
        seed = draw if official else cell.seed or 0
        made.append(
            Pass(number, cell.method, cell.budget, seed, selection, len(selection), cell.n_average)
        )
    return made


def seeded(config: Config, cell: Cell, draw: int) -> Pruner:
    """The method of a cell with the seed of an official draw, if it takes one."""
    method = next(method for method in config.methods if method.label == cell.method)
    return method.pruner(draw) if method.seeded else cell.pruner


def equal_batches(sizes: Sequence[int], batch_size: int) -> list[list[int]]:
    """Group indices of equal size into batches, sizes in ascending order.

    Example:
        >>> equal_batches([8, 16, 8, 8], 2)
        [[0, 2], [3], [1]]
    """
    batches = []
    for size in sorted(set(sizes)):
        members = [i for i, found in enumerate(sizes) if found == size]
        batches += [
            members[start : start + batch_size] for start in range(0, len(members), batch_size)
        ]
    return batches


def _size(selection: Selection | None) -> int:
    return 0 if selection is None else len(selection)
