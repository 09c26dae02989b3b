"""Which passes an image needs: every possible method and budget for every conversation about it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial

from jaxtyping import UInt8
from PIL import Image

from litelvlm.analysis.inputs.methods import UNPRUNED
from litelvlm.analysis.inputs.official_draws import official_draw
from litelvlm.analysis.inputs.samples import layouts_of
from litelvlm.analysis.runs.columns import Row
from litelvlm.analysis.runs.config import budget_record, counts_by_budget
from litelvlm.analysis.runs.outcome import Exclusion
from litelvlm.analysis.studies.sweep.config import Config
from litelvlm.arrays import Array
from litelvlm.data.dataset import Dataset, Sample
from litelvlm.models.base import Conversation, Grounder, GroundingModel, VisualState
from litelvlm.pruning import Cues, Pruner, Selection
from litelvlm.pruning.cue_table import OF_IMAGE


@dataclass(frozen=True)
class SweepCell:
    """One method at one budget, for images of one number of tokens.

    Attributes:
        method: Its label.
        pruner: The method.
        budget: Name of the budget in rows.
        n_kept: Tokens to keep.
        seed: Draw of a random method; None for others.
        n_average: Tokens per layer, mean over the layers.
    """

    method: str
    pruner: Pruner
    budget: int
    n_kept: int
    seed: int | None
    n_average: float


@dataclass(frozen=True)
class SweepContext:
    """What every image of a run shares.

    Attributes:
        model: The model.
        data: The split.
        config: Of the sweep.
        budgets: Token counts, or shares that are resolved for each image; None for the published
            shares.
    """

    model: GroundingModel
    data: Dataset
    config: Config
    budgets: tuple[int | float, ...] | None

    @cached_property
    def frames_of_tokens(self) -> dict[int, int]:
        """Most frames of tokens of images with so many visual tokens, fewest tokens first.

        A family may read several frames as one, or only some of them.
        """
        found = sorted(
            layouts_of(self.model, self.data), key=lambda one: (one.n_tokens, one.frames)
        )
        return {layout.n_tokens: layout.frames for layout in found}

    @property
    def token_counts(self) -> tuple[int, ...]:
        """How many visual tokens images of the split have: each number once, fewest first."""
        return tuple(self.frames_of_tokens)

    @cached_property
    def longest(self) -> int:
        """Frames of the longest clip; 1 where all are images."""
        return max(self.data[index].frames for index in range(len(self.data)))

    @property
    def unpruned_budget(self) -> int:
        """Name of the unpruned model's budget in rows: all tokens of the image with fewest."""
        return self.token_counts[0]

    @property
    def budget_names(self) -> tuple[int, ...]:
        """Names of the budgets in rows, largest first: their token counts in that image."""
        return tuple(self.kept_tokens(self.token_counts[0]))

    @property
    def resolved(self) -> dict[str, object]:
        """What the record of the run holds of its budgets."""
        return budget_record(self.budgets, self.token_counts)

    def kept_tokens(self, n_tokens: int) -> dict[int, int]:
        """Tokens to keep of an image with so many tokens, by the name of the budget."""
        return counts_by_budget(self.budgets, n_tokens, self.token_counts[0])

    @cached_property
    def _divided(
        self,
    ) -> tuple[dict[int, list[SweepCell]], dict[tuple[str, int | float], Exclusion]]:
        """Combinations that are possible, by number of tokens, and why the others are not."""
        cells: dict[int, list[SweepCell]] = {n: [] for n in self.token_counts}
        excluded = dict[tuple[str, int | float], Exclusion]()
        official = self.config.protocol == "official"
        for n_tokens, found in cells.items():
            sizes, frames = self.model.sizes(n_tokens), self.frames_of_tokens[n_tokens]
            for method in self.config.methods:
                if method.name == UNPRUNED:
                    continue
                seeds = range(self.config.seeds) if method.seeded and not official else (None,)
                pruners = {seed: method.pruner(seed) for seed in seeds}
                for budget, n_kept in self.kept_tokens(n_tokens).items():
                    try:
                        self.model.check_method(pruners[seeds[0]], frames, n_kept)
                        average = pruners[seeds[0]].average_tokens(n_kept, sizes)
                    except ValueError as error:
                        reason = Exclusion(method=method.label, budget=budget, reason=str(error))
                        excluded.setdefault((method.label, budget), reason)
                        continue
                    found += [
                        SweepCell(method.label, pruner, budget, n_kept, seed, average)
                        for seed, pruner in pruners.items()
                    ]
        return cells, excluded

    def cells(self, n_tokens: int) -> tuple[SweepCell, ...]:
        """Every possible combination of method, budget and seed, the unpruned model left out.

        Args:
            n_tokens: Visual tokens of the image before pruning.
        """
        made, excluded = self._divided
        return tuple(one for one in made[n_tokens] if (one.method, one.budget) not in excluded)

    @property
    def excluded(self) -> tuple[Exclusion, ...]:
        """Methods that cannot keep to a budget on some image, and so are run on none."""
        return tuple(self._divided[1].values())

    def check_prunes(self) -> None:
        """Refuse a run in which no method can keep to a budget.

        Raises:
            ValueError: With the reason of each method and budget.
        """
        if not any(map(self.cells, self.token_counts)):
            reasons = "; ".join(one.words for one in self.excluded)
            raise ValueError(f"no method can keep to a budget: {reasons}")

    @cached_property
    def grounder(self) -> Grounder:
        """What answers the requests about one image."""
        return self.model.grounder(self.config.batch_size, self.config.answer)

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
class Loaded:
    """One image or clip as read from disk, before any model work.

    Attributes:
        sample: Its record, with the expressions that can be asked.
        clip: Its frames; those of a clip of several are read when they are asked for.
        masks: Target masks as they are scored, one per expression.
        coverage: Share of each token's patch that the mask covers, one row per expression.
        keys: Key columns, one entry per expression.
        skipped: The reason for each expression that was left out: it cannot be asked, or its object
            has no pixel.
        matched: Groups of places of expressions, each of which names objects of its own; their
            masks are also paired anew with the objects (``sweep.matching``).
    """

    sample: Sample
    clip: Sequence[Image.Image]
    masks: UInt8[Array, "n f h w"]
    coverage: Array
    keys: tuple[Row, ...]
    skipped: tuple[str, ...] = ()
    matched: tuple[tuple[int, ...], ...] = ()


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
        budget: Name of the budget: tokens asked for of the image that has fewest.
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
            PlannedConversation(
                draw.conversation(model, sentences, sample.frames), draw.expressions, seed
            )
            for seed, draw in enumerate(draws)
        ]
    places = tuple(range(len(sentences)))
    together = [places] if config.protocol == "conversation" else [(place,) for place in places]
    return [
        PlannedConversation(
            model.clip_conversation(
                [sentences[i] for i in turns],
                sample.frames,
                config.question_index,
                config.answer_index,
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
    n_tokens, official = cues.n_tokens, context.config.protocol == "official"
    whole = context.unpruned_budget
    entering = partial(context.model.language_tokens, cues.layout)
    made = [Pass(number, UNPRUNED, whole, draw, None, entering(), float(entering()))]
    for cell in context.cells(n_tokens):
        pruner = seeded(context.config, cell, draw) if official else cell.pruner
        selection = select(pruner, cues, cell.n_kept)
        seed = draw if official else cell.seed or 0
        n_read = entering(len(selection))
        n_average = cell.n_average + n_read - len(selection)
        made.append(Pass(number, cell.method, cell.budget, seed, selection, n_read, n_average))
    return made


def seeded(config: Config, cell: SweepCell, draw: int) -> Pruner:
    """The method of a cell with the seed of an official draw, if it takes one."""
    method = next(method for method in config.methods if method.label == cell.method)
    return method.pruner(draw) if method.seeded else cell.pruner
