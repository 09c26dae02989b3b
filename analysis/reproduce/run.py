"""Run the study of a table on each of its splits, and compare with the published numbers."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from litelvlm.analysis.inputs.balanced import BalancedSubset
from litelvlm.analysis.inputs.image_cache import with_image_cache
from litelvlm.analysis.reproduce.ablation import ablation_lines
from litelvlm.analysis.reproduce.accuracy import accuracy_lines
from litelvlm.analysis.reproduce.costs import cost_lines
from litelvlm.analysis.reproduce.lines import Line
from litelvlm.analysis.reproduce.listing import Listing
from litelvlm.analysis.reproduce.place import Workplace
from litelvlm.analysis.reproduce.prepare import open_model, open_split, part_of
from litelvlm.analysis.reproduce.settings import Settings
from litelvlm.analysis.reproduce.targets import Place, budget_of
from litelvlm.analysis.runs.miniature import is_miniature
from litelvlm.analysis.runs.saved import SavedRun
from litelvlm.analysis.runs.told.watching import nobody
from litelvlm.analysis.studies.table import run_study
from litelvlm.data.dataset import Dataset
from litelvlm.data.refer import ReferDataset
from litelvlm.models.glamm.model import Glamm

log = logging.getLogger(__name__)
CHUNK = 4
"""Images of a part: what an interrupt can cost at most."""


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


def measure(
    settings: Settings,
    place: Workplace,
    listing: Listing | None,
    say: Callable[[str], object] = log.info,
    cache: Path | None = None,
) -> tuple[ReproducedRun, ...]:
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
    found = []
    for where, data in zip(settings.splits, splits, strict=True):
        say(f"{settings.target.study} on {'/'.join(where)}: {data.n_expressions} expressions")
        part = data if settings.target.study == "efficiency" else part_of(settings, data)
        run = _run(settings, model, part, place.runs)
        chosen = part if isinstance(part, BalancedSubset) else None
        lines = _lines(settings, run, where, model.n_tokens, data, chosen)
        made_of = f"{chosen.text}; {_largest(run)}" if chosen else ""
        found.append(ReproducedRun(where, run, len(data), data.count_note, lines, made_of))
    return tuple(found)


def _largest(run: SavedRun) -> str:
    """How much one image can weigh in the cIoU of a part."""
    pixels = run.rows.groupby("image_id")["union_px"].sum()
    return f"the heaviest image holds {pixels.max() / pixels.sum():.0%} of the pixels counted"


def _run(settings: Settings, model: Glamm, data: Dataset, runs: Path) -> SavedRun:
    budgets = tuple(budget_of(tokens, model.n_tokens) for tokens in settings.tokens)
    common: dict[str, object] = {"budgets": budgets, "seed": settings.seed}
    study = settings.target.study
    if study == "sweep":
        options = common | {
            "methods": settings.methods,
            "protocol": "official",
            "seeds": settings.draws,
            "batch_size": settings.batch_size,
            "chunk_size": CHUNK,
        }
        return _complete(study, model, data, runs, options)
    if study == "ablations":
        options = common | {
            "images": None,
            "official_seeds": settings.draws,
            "batch_size": settings.batch_size,
            "chunk_size": CHUNK,
        }
        return _complete(study, model, data, runs, options)
    return _complete(study, model, data, runs, common | {"methods": settings.methods})


def _complete(
    study: str, model: Glamm, data: Dataset, runs: Path, options: Mapping[str, object]
) -> SavedRun:
    return run_study(
        study,
        model,
        data,
        runs,
        pictures=False,
        accept_versions=False,
        watch=nobody,
        cache=None,
        **options,
    )


def _lines(
    settings: Settings,
    run: SavedRun,
    where: Place,
    n_tokens: int,
    data: ReferDataset,
    part: BalancedSubset | None,
) -> tuple[Line, ...]:
    study, name = settings.target.study, "/".join(where)
    if study == "sweep":
        comparable = data.name == where[0] and not data.count_note and not is_miniature(run.record)
        order = part.order if part else ()
        return accuracy_lines(run.rows, where, n_tokens, len(data), comparable, order)
    if study == "ablations":
        return ablation_lines(run.summary.table("deltas"), name, n_tokens)
    tables = {title: run.summary.table(title) for title in ("ratios", "costs")}
    gpu = run.record.model["device"] == "cuda"
    return cost_lines(tables, name, n_tokens, not is_miniature(run.record), gpu)
