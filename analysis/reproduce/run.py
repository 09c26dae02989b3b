"""Run the study of a table on each of its splits, and compare with the published numbers."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from litelvlm.analysis.inputs.balanced import BalancedSubset
from litelvlm.analysis.inputs.image_cache import with_image_cache
from litelvlm.analysis.reproduce.finished import FinishedSplit
from litelvlm.analysis.reproduce.lines import ALL, Line, budget_of
from litelvlm.analysis.reproduce.listing import Listing
from litelvlm.analysis.reproduce.place import Workplace
from litelvlm.analysis.reproduce.prepare import open_model, open_split, part_of
from litelvlm.analysis.reproduce.settings import Settings
from litelvlm.analysis.reproduce.targets import get_target
from litelvlm.analysis.runs.messages.events import nobody
from litelvlm.analysis.studies.table import run_study

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Reproduction:
    """A table as it came out.

    Attributes:
        splits: Its finished splits.
        parts: Lines by the name of their split, and by "all splits" where there are such lines.
        note: Why there are no lines over all splits; empty if nothing is missing.
    """

    splits: tuple[FinishedSplit, ...] = ()
    parts: tuple[tuple[str, tuple[Line, ...]], ...] = ()
    note: str = ""

    @property
    def lines(self) -> tuple[Line, ...]:
        """Every line, those of all splits last."""
        return tuple(line for _, lines in self.parts for line in lines)


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
    target, finished = get_target(settings.table), []
    common = {
        "budgets": tuple(budget_of(tokens, model.n_tokens) for tokens in settings.tokens),
        "seed": settings.seed,
    }
    for where, data in zip(settings.splits, splits, strict=True):
        say(f"{target.study} on {'/'.join(where)}: {data.n_expressions} expressions")
        part = data if target.timed else part_of(settings, data)
        run = run_study(
            target.study,
            model,
            part,
            place.runs,
            pictures=False,
            accept_versions=False,
            watch=nobody,
            cache=None,
            **common,
            **target.options(settings),
        )
        chosen = part if isinstance(part, BalancedSubset) else None
        finished.append(FinishedSplit(where, run, model.n_tokens, data, chosen))
    overall, note = target.overall(finished)
    parts = [(split.name, target.lines(split)) for split in finished]
    return Reproduction(tuple(finished), (*parts, *([(ALL, overall)] if overall else [])), note)
