"""Which passes an image needs: every possible method and budget for every conversation about it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

from litelvlm.analysis.inputs.methods import UNPRUNED
from litelvlm.analysis.inputs.official_draws import official_draw
from litelvlm.analysis.runs.outcome import Exclusion
from litelvlm.analysis.studies.sweep.config import Config
from litelvlm.analysis.studies.sweep.loaded import Loaded
from litelvlm.data.dataset import Dataset, Sample
from litelvlm.models.base import Conversation, Grounder, GroundingModel, VisualState
from litelvlm.pruning import Cues, ModelSizes, Pruner, Selection
from litelvlm.pruning.cues import OF_IMAGE


@dataclass(frozen=True)
class SweepCell:
    """One method at one budget, with a seed if it draws at random."""

    method: str
    pruner: Pruner
    budget: int
    seed: int | None
    n_average: float


@dataclass(frozen=True)
class SweepContext:
    """What every image of a run shares."""

    model: GroundingModel
    data: Dataset
    config: Config
    budgets: tuple[int, ...]

    @cached_property
    def _divided(self) -> tuple[tuple[SweepCell, ...], tuple[Exclusion, ...]]:
        return divide_cells(self.config, self.budgets, model_sizes(self.model))

    @property
    def cells(self) -> tuple[SweepCell, ...]:
        """Every possible combination of method, budget and seed, the unpruned model left out."""
        return self._divided[0]

    @property
    def excluded(self) -> tuple[Exclusion, ...]:
        """Methods that cannot keep to a budget."""
        return self._divided[1]

    @cached_property
    def grounder(self) -> Grounder:
        """What answers the requests about one image."""
        return self.model.grounder(self.config.batch_size)

    def passes(self, asked: "SweepQuery") -> list["Pass"]:
        """Passes of one conversation; the ablations and quantisation add to them."""
        return expression_passes(self, asked.number, asked.cues, asked.planned.draw, asked.chosen)


@dataclass(frozen=True)
class PlannedConversation:
    """A conversation about an image, the places of its expressions, and the official draw."""

    conversation: Conversation
    turns: tuple[int, ...]
    draw: int


@dataclass(frozen=True)
class Chosen:
    """Selections of one image; one that no text changes is made once for all conversations."""

    known: dict[tuple[Pruner, int], Selection] = field(default_factory=dict)

    def __call__(self, pruner: Pruner, cues: Cues, budget: int) -> Selection:
        """Selection of a method for one conversation."""
        if pruner.text_guided or not pruner.needs <= OF_IMAGE:
            return pruner.select(cues, budget)
        if (pruner, budget) not in self.known:
            self.known[pruner, budget] = pruner.select(cues, budget)
        return self.known[pruner, budget]


@dataclass(frozen=True)
class SweepQuery:
    """One conversation about one image, with what its passes read.

    Attributes:
        loaded: The image as read from disk.
        state: The encoded image.
        number: Place of the conversation among the image's.
        planned: The conversation.
        cues: What methods may read.
        chosen: Selections that all conversations about the image share.
    """

    loaded: Loaded
    state: VisualState
    number: int
    planned: PlannedConversation
    cues: Cues
    chosen: Chosen


@dataclass(frozen=True)
class Pass:
    """One pass of the language model: one conversation under one selection (None: unpruned).

    Attributes:
        number: Place of the conversation among the image's.
        method: Label of the method.
        budget: Tokens asked for.
        seed: Draw of a random method, 0 for others; in protocol "official" the draw of the
            conversation.
        selection: What enters the language model.
        n_kept: Tokens that enter it.
        n_average: Tokens per layer, mean over the layers.
    """

    number: int
    method: str
    budget: int
    seed: int
    selection: Selection | None
    n_kept: int
    n_average: float


def divide_cells(
    config: Config, budgets: Sequence[int], sizes: ModelSizes
) -> tuple[tuple[SweepCell, ...], tuple[Exclusion, ...]]:
    """Combinations that are possible, and why the others are not.

    Args:
        config: Of the sweep.
        budgets: Token counts.
        sizes: Of the model.
    """
    cells, excluded = list[SweepCell](), list[Exclusion]()
    for method in config.methods:
        if method.name == UNPRUNED:
            continue
        seeds = range(config.seeds) if method.seeded and config.protocol != "official" else (None,)
        pruners = {seed: method.pruner(seed) for seed in seeds}
        for budget in budgets:
            try:
                average = pruners[seeds[0]].average_tokens(budget, sizes)
            except ValueError as error:
                excluded.append(Exclusion(method=method.label, budget=budget, reason=str(error)))
                continue
            cells += [
                SweepCell(method.label, pruner, budget, seed, average)
                for seed, pruner in pruners.items()
            ]
    return tuple(cells), tuple(excluded)


def model_sizes(model: GroundingModel) -> ModelSizes:
    """The sizes of a model that decide which budgets a method can keep to."""
    return ModelSizes(model.n_tokens, model.tower.n_blocks - 1, model.n_layers)


def plan_conversations(
    model: GroundingModel, config: Config, sample: Sample
) -> list[PlannedConversation]:
    """Conversations about one image: one per expression, one for all, or one per official draw."""
    sentences = [expression.sent for expression in sample.expressions]
    if config.protocol == "official":
        templates = model.n_questions, model.n_answers
        draws = [
            official_draw(len(sentences), int(sample.image_id), seed, templates)
            for seed in range(config.seeds)
        ]
        return [
            PlannedConversation(draw.conversation(model, sentences), draw.expressions, seed)
            for seed, draw in enumerate(draws)
        ]
    places = tuple(range(len(sentences)))
    together = [places] if config.protocol == "conversation" else [(place,) for place in places]
    return [
        PlannedConversation(
            model.conversation(
                [sentences[i] for i in turns], config.question_index, config.answer_index
            ),
            turns,
            0,
        )
        for turns in together
    ]


def expression_passes(
    context: SweepContext, number: int, cues: Cues, draw: int = 0, chosen: Chosen | None = None
) -> list[Pass]:
    """Selections of one conversation for every method, budget and seed, the unpruned one first.

    Args:
        context: Of the run.
        number: Place of the conversation among the image's.
        cues: What methods may read.
        draw: Of the official protocol, whose random methods draw with it.
        chosen: Selections that other conversations about the image share; none if left out.
    """
    select = chosen or Chosen()
    n_tokens, official = context.model.n_tokens, context.config.protocol == "official"
    made = [Pass(number, UNPRUNED, n_tokens, draw, None, n_tokens, float(n_tokens))]
    for cell in context.cells:
        pruner = seeded(context.config, cell, draw) if official else cell.pruner
        selection = select(pruner, cues, cell.budget)
        seed = draw if official else cell.seed or 0
        made.append(
            Pass(number, cell.method, cell.budget, seed, selection, len(selection), cell.n_average)
        )
    return made


def seeded(config: Config, cell: SweepCell, draw: int) -> Pruner:
    """The method of a cell with the seed of an official draw, if it takes one."""
    method = next(method for method in config.methods if method.label == cell.method)
    return method.pruner(draw) if method.seeded else cell.pruner
