"""Run the study of a table on each of its splits, and compare with the published numbers.

First the downloads become a model and data that can be asked.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from litelvlm.analysis.inputs.balanced import BalancedSubset
from litelvlm.analysis.inputs.image_cache import with_image_cache
from litelvlm.analysis.inputs.methods import UNPRUNED
from litelvlm.analysis.inputs.subset import EvenSubset
from litelvlm.analysis.reproduce.assets import MODELS
from litelvlm.analysis.reproduce.lines import ALL, FinishedSplit, Line, budget_of
from litelvlm.analysis.reproduce.listing import Listing
from litelvlm.analysis.reproduce.place import Workplace, pending
from litelvlm.analysis.reproduce.settings import Place, Settings
from litelvlm.analysis.reproduce.targets import get_target
from litelvlm.analysis.runs.config import StudyConfig
from litelvlm.analysis.runs.engine import Job, Mapper, complete_run, in_process, prepare
from litelvlm.analysis.runs.folder import read_record
from litelvlm.analysis.runs.locks import Shard
from litelvlm.analysis.runs.record import RunRecord
from litelvlm.analysis.runs.saved import SavedRun
from litelvlm.analysis.runs.study import Study
from litelvlm.analysis.studies import published
from litelvlm.analysis.studies.table import get_study
from litelvlm.data.dataset import Dataset
from litelvlm.data.embedded import EMBEDDED
from litelvlm.data.files import remove_debris
from litelvlm.data.load import load_refer
from litelvlm.data.refer import ReferDataset
from litelvlm.data.safe.unpack import unpack
from litelvlm.data.video.clips import ClipDataset
from litelvlm.data.video.read import load_clips
from litelvlm.hub_ids import is_hub_id
from litelvlm.models.base import GroundingModel, StudiedModel
from litelvlm.models.families import FAMILIES, ModelRequest
from litelvlm.models.glamm.build import load_model
from litelvlm.models.glamm.checkpoints.convert import convert
from litelvlm.models.glamm.checkpoints.inventory import inventory
from litelvlm.models.glamm.model import Glamm

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Reproduction:
    """A table as it came out.

    Attributes:
        splits: Its finished splits.
        parts: Lines by the name of their split, and by "all splits" where there are such lines.
        note: Why there are no lines over all splits; empty if nothing is missing.
        unfinished: Records of the runs that lack parts, which other shares compute. There are no
            lines before every run is whole.
    """

    splits: tuple[FinishedSplit, ...] = ()
    parts: tuple[tuple[str, tuple[Line, ...]], ...] = ()
    note: str = ""
    unfinished: tuple[RunRecord, ...] = ()

    @property
    def lines(self) -> tuple[Line, ...]:
        """Every line, those of all splits last."""
        return tuple(line for _, lines in self.parts for line in lines)


class Asked(NamedTuple):
    """A study, the images that it asks about, and its configuration."""

    study: Study[StudiedModel, Dataset, StudyConfig]
    data: ReferDataset | ClipDataset | BalancedSubset | EvenSubset
    config: StudyConfig


def measure(
    settings: Settings,
    place: Workplace,
    listing: Listing | None,
    say: Callable[[str], object] = log.info,
    cache: Path | None = None,
    shard: Shard | None = None,
    mapper_of: Callable[[Place], Mapper] = lambda where: in_process,
) -> Reproduction:
    """Run every split of the table; finished parts of an earlier process are kept.

    Args:
        settings: What is asked for.
        place: Where everything lies.
        listing: What was fetched; None if everything is the user's own.
        say: Takes a line for each split.
        cache: Folder where encoded images are kept and read again; None keeps none.
        shard: Share of the parts of every split to compute; all if left out.
        mapper_of: Where the parts of a split are computed.

    Raises:
        ValueError: If a file's content is wrong, or a method is unknown.
        FileNotFoundError: If a part of the model or data is missing.
    """
    splits = [open_split(settings, place, listing, *where) for where in settings.splits]
    model = open_model(settings, place, listing, cache)
    target, finished, unfinished = get_target(settings.table), [], []
    for where, data in zip(settings.splits, splits, strict=True):
        say(f"{target.study} on {'/'.join(where)}: {data.n_expressions} expressions")
        study, part, config = asked_of(settings, model, data)
        folder = complete_run(study, model, part, config, place.runs, shard, mapper_of(where))
        record = read_record(folder)
        if not record.complete:
            unfinished.append(record)
            continue
        chosen = part if isinstance(part, BalancedSubset | EvenSubset) else None
        run = SavedRun(folder)
        finished.append(FinishedSplit(where, run, unpruned_tokens(model, run), data, chosen))
    if unfinished:
        return Reproduction(tuple(finished), unfinished=tuple(unfinished))
    overall, note = target.overall(finished)
    parts = [(split.name, target.lines(split)) for split in finished]
    return Reproduction(tuple(finished), (*parts, *([(ALL, overall)] if overall else [])), note)


def split_job(
    settings: Settings, place: Workplace, listing: Listing | None, cache: Path | None, where: Place
) -> Job:
    """One split prepared with model and data of its own, for a worker."""
    model = open_model(settings, place, listing, cache)
    study, part, config = asked_of(settings, model, open_split(settings, place, listing, *where))
    return prepare(study, model, part, config)


def asked_of(settings: Settings, model: GroundingModel, data: ReferDataset | ClipDataset) -> Asked:
    """What is asked about one split."""
    target = get_target(settings.table)
    study = get_study(target.study)
    fields = {
        "budgets": budgets_for(settings, model),
        "seed": settings.seed,
        **target.options(settings),
    }
    part = data if target.timed else part_of(settings, data)
    return Asked(study, part, study.Config.model_validate(fields))


def budgets_for(settings: Settings, model: GroundingModel) -> tuple[int | float, ...]:
    """Published budgets as those of a model; of clips, which differ in tokens, as shares."""
    if isinstance(model, Glamm):
        return tuple(budget_of(tokens, model.n_tokens) for tokens in settings.tokens)
    return tuple(tokens / published.N_TOKENS for tokens in settings.tokens)


def unpruned_tokens(model: GroundingModel, run: SavedRun) -> int:
    """Visual tokens before pruning; of clips those of the one with fewest, as rows name budgets."""
    if isinstance(model, Glamm):
        return model.n_tokens
    return int(run.rows.loc[run.rows["method"] == UNPRUNED, "budget"].iloc[0])


def check_own(settings: Settings) -> None:
    """Look for the user's own model and data, before anything is fetched or run.

    Raises:
        ValueError: If a file's content is wrong, or there is no such split.
        FileNotFoundError: Naming what is missing.
    """
    if settings.model is not None and not settings.of_clips:
        require_parts(settings.model, settings.clip)
    if settings.data is not None and not is_hub_id(settings.data):
        for where in settings.splits:
            open_split(settings, None, None, *where)


def require_parts(model: str, clip: str | None) -> None:
    """Refuse a model that lacks a part; loads nothing.

    Raises:
        FileNotFoundError: Naming each part that is missing.
    """
    lacking = [part for part in inventory(model, clip) if not part.found]
    if lacking:
        told = "; ".join(f"{part.name}: {part.text}" for part in lacking)
        raise FileNotFoundError(f"{model} is not complete: {told}")


def convert_all(
    place: Workplace, listing: Listing, say: Callable[[str], object] = log.info
) -> None:
    """Rewrite the fetched models as safetensors, and unpack archives of data, each once.

    Raises:
        ValueError: If a file is damaged, or holds more than tensors or what is no data.
        OSError: If the disk is full.
    """
    for repository in pending(place, listing):
        source, model = place.downloads / repository.folder, repository.kind == "model"
        if not model and not repository.archive:
            continue
        target = place.converted(repository) if model else place.unpacked(repository)
        target.parent.mkdir(parents=True, exist_ok=True)
        remove_debris(target.parent, older_than=0)
        if model:
            say(f"converting {repository.name} to safetensors")
            convert(source, target)
        else:
            say(f"unpacking {repository.archive} of {repository.name}")
            unpack(source / repository.archive, target)


def open_model(
    settings: Settings, place: Workplace, listing: Listing | None, cache: Path | None = None
) -> GroundingModel:
    """Check every part of the model and load it.

    A published table is that of one family. No other family can take its place.

    Raises:
        FileNotFoundError: Naming each part that is missing.
        ValueError: If the checkpoint does not fit.
    """
    model, clip = settings.model, settings.clip
    if model is None:
        if listing is None:
            raise ValueError("a model without a folder of its own needs a listing of the hub")
        parts = [listing.of(asset.role) for asset in MODELS[settings.family]]
        model, *others = (str(place.converted(part).resolve()) for part in parts)
        clip = others[0] if others else None
    device = None if settings.device == "auto" else settings.device
    if not settings.of_clips:
        require_parts(model, clip)
        loaded = load_model(model, clip=clip, device=device)
        return loaded if cache is None else with_image_cache(loaded, cache)
    options = get_target(settings.table).model_options
    family = FAMILIES[settings.family]
    found = family.loaded(ModelRequest(name=model, clip=clip, device=device, options=options))
    if not isinstance(found, GroundingModel):
        raise TypeError(f"family {family.name!r} loads {type(found).__name__}, which has no masks")
    return found


def open_split(
    settings: Settings, place: Workplace | None, listing: Listing | None, dataset: str, split: str
) -> ReferDataset | ClipDataset:
    """Read one split, from the hub's files or the user's own.

    Raises:
        ValueError: If a file's content is wrong.
        FileNotFoundError: If a file is missing.
    """
    if settings.data in EMBEDDED:
        return load_refer(settings.data or "", split=split)
    folder: str | Path
    if settings.data is not None:
        folder = settings.data
    elif listing is None or place is None:
        raise ValueError("data without a folder of its own needs a listing of the hub")
    else:
        fetched = listing.of(dataset)
        downloads = place.downloads / fetched.folder
        folder = place.unpacked(fetched) if fetched.archive else downloads
    load = load_clips if settings.of_clips else load_refer
    return load(folder, dataset=dataset, split=split)


def part_of(
    settings: Settings, data: ReferDataset | ClipDataset
) -> ReferDataset | ClipDataset | BalancedSubset | EvenSubset:
    """What is asked: the whole split, or a balanced part of it, of clips an even one."""
    if settings.images is None or settings.images >= len(data):
        return data
    if isinstance(data, ClipDataset):
        return EvenSubset(data, settings.images)
    return BalancedSubset(data, settings.images)
