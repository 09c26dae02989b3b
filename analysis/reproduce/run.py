"""Run the study of a table on each of its splits, and compare with the published numbers."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from litelvlm.analysis.inputs.balanced import BalancedSubset
from litelvlm.analysis.inputs.image_cache import with_image_cache
from litelvlm.analysis.reproduce.budgets import budget_of
from litelvlm.analysis.reproduce.kinds.kind import FinishedSplit, Kind, Overall
from litelvlm.analysis.reproduce.lines import ALL, Line
from litelvlm.analysis.reproduce.listing import Listing
from litelvlm.analysis.reproduce.place import Workplace
from litelvlm.analysis.reproduce.prepare import open_model, open_split, part_of
from litelvlm.analysis.reproduce.settings import Place, Settings
from litelvlm.analysis.reproduce.targets import get_target
from litelvlm.analysis.runs.messages.events import nobody
from litelvlm.analysis.runs.miniature import is_miniature
from litelvlm.analysis.runs.saved import SavedRun
from litelvlm.analysis.studies.table import run_study
from litelvlm.data.dataset import Dataset
from litelvlm.models.base import TowerGroundingModel

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ReproducedRun:
    """One split of a table, as it came out.

    Attributes:
        place: Data set and split of the published column.
        run: The finished run.
        n_whole: Images of the whole split here.
        note: What differs from the published split; empty if nothing does.
        lines: Published beside measured.
        part: What the part of the split is made of; empty if the whole split was asked.
    """

    place: Place
    run: SavedRun
    n_whole: int
    note: str
    lines: tuple[Line, ...]
    part: str = ""

    @property
    def miniature(self) -> bool:
        """Whether the model is a miniature."""
        return is_miniature(self.run.record)


@dataclass(frozen=True)
class Reproduction:
    """A table as it came out.

    Attributes:
        splits: Its splits.
        overall: What it says over all of them.
    """

    splits: tuple[ReproducedRun, ...] = ()
    overall: Overall = field(default_factory=Overall)

    @property
    def lines(self) -> tuple[Line, ...]:
        """Every line, those of all splits last."""
        own = (line for measured in self.splits for line in measured.lines)
        return (*own, *self.overall.lines)

    @property
    def parts(self) -> tuple[tuple[str, tuple[Line, ...]], ...]:
        """Name and lines of each split, and of all splits where there are such lines."""
        own = (("/".join(measured.place), measured.lines) for measured in self.splits)
        return (*own, *((ALL, self.overall.lines) for _ in self.overall.lines[:1]))


def measure(
    settings: Settings,
    place: Workplace,
    listing: Listing | None,
    say: Callable[[str], object] = log.info,
    cache: Path | None = None,
) -> Reproduction:
    """Run every split of the table; finished parts of an earlier process are kept.

    Args:
        settings: What is asked for.
        place: Where everything lies.
        listing: What was fetched; None if everything is the user's own.
        say: Takes a line for each split.
        cache: Folder where encoded images are kept and read again; None keeps none.

    Raises:
        ValueError: If a file's content is wrong, or a method is unknown.
        FileNotFoundError: If a part of the model or data is missing.
    """
    splits = [open_split(settings, place, listing, *where) for where in settings.splits]
    model = open_model(settings, place, listing)
    model = model if cache is None else with_image_cache(model, cache)
    kind, found, finished = get_target(settings.table).kind, [], []
    for where, data in zip(settings.splits, splits, strict=True):
        say(f"{kind.study} on {'/'.join(where)}: {data.n_expressions} expressions")
        part = part_of(settings, data) if kind.takes_part else data
        run = _run(kind, settings, model, part, place.runs)
        chosen = part if isinstance(part, BalancedSubset) else None
        finished.append(FinishedSplit(run, where, model.n_tokens, data, chosen))
        lines = kind.lines(finished[-1])
        made_of = f"{chosen.text}; {_largest(run)}" if chosen else ""
        found.append(ReproducedRun(where, run, len(data), data.count_note, lines, made_of))
    return Reproduction(tuple(found), kind.overall(finished))


def _largest(run: SavedRun) -> str:
    """How much one image can weigh in the cIoU of a part."""
    pixels = run.rows.groupby("image_id")["union_px"].sum()
    return f"the heaviest image holds {pixels.max() / pixels.sum():.0%} of the pixels counted"


def _run(
    kind: Kind, settings: Settings, model: TowerGroundingModel, data: Dataset, runs: Path
) -> SavedRun:
    budgets = tuple(budget_of(tokens, model.n_tokens) for tokens in settings.tokens)
    common: dict[str, object] = {"budgets": budgets, "seed": settings.seed}
    return run_study(
        kind.study,
        model,
        data,
        runs,
        pictures=False,
        accept_versions=False,
        watch=nobody,
        cache=None,
        **(common | dict(kind.options(settings))),
    )
