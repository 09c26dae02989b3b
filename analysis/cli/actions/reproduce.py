"""`litelvlm reproduce`: plan, ask, fetch, convert, run, and print the table."""

import json
import sys
from functools import partial
from pathlib import Path

from litelvlm.analysis.cli.actions.loading import hide_loading_bar
from litelvlm.analysis.cli.actions.report import write_report
from litelvlm.analysis.cli.options import require_writable
from litelvlm.analysis.cli.verbs.reproduce import Reproduce
from litelvlm.analysis.inputs.methods import Method
from litelvlm.analysis.pages.cards import Split, check_bounds, make_card
from litelvlm.analysis.pages.reproduction import write_reproduction
from litelvlm.analysis.reproduce.fetch import fetch
from litelvlm.analysis.reproduce.listing import Listing, kept_listing
from litelvlm.analysis.reproduce.place import Workplace, pending, require_room, rooms
from litelvlm.analysis.reproduce.plan import cached_bytes, plan_text
from litelvlm.analysis.reproduce.run import (
    Reproduction,
    check_own,
    convert_all,
    measure,
    split_job,
)
from litelvlm.analysis.reproduce.settings import Place, Settings, own_path
from litelvlm.analysis.reproduce.targets import get_target, parse_splits
from litelvlm.analysis.reproduce.text import notes, table_text, title
from litelvlm.analysis.runs.engine import Job, Mapper, in_process
from litelvlm.analysis.runs.locks import Shard, hold
from litelvlm.analysis.runs.messages.unfinished import unfinished_text
from litelvlm.analysis.runs.origin.determinism import make_deterministic
from litelvlm.analysis.runs.workers.processes import Processes, gpus_for, import_once
from litelvlm.data.files import atomic_write


def run(verb: Reproduce) -> int:
    """Go through all steps; 1 if samples failed or the plan was refused."""
    settings = settings_of(verb)
    check_files(verb, settings)
    check_own(settings)
    place = Workplace(verb.out)
    place.root.mkdir(parents=True, exist_ok=True)
    shard = Shard.parse(verb.shard)
    with hold(place.root, shard):
        listing = None
        if settings.assets:
            listing = kept_listing(place.listing, settings.assets, settings.fetched_splits)
        if shard.index > 1 and pending(place, listing):
            raise ValueError(
                f"the files are not all fetched and converted, which --shard 1/{shard.count} does; "
                "start the other shares when it says which study runs"
            )
        found = rooms(place, listing, verb.cache, cached_bytes(settings))
        if verb.plan:
            sys.stdout.write(plan_text(settings, listing, found))
            return int(not all(room.enough for room in found))
        sys.stderr.write(plan_text(settings, listing, found))
        require_room(found)
        if not (verb.yes or confirmed()):
            sys.stderr.write("nothing was fetched\n")
            return 1
        return reproduce(verb, settings, place, listing)


def settings_of(verb: Reproduce) -> Settings:
    """The settings that the options describe.

    Raises:
        ValueError: If a table, a split, a method or a number is refused.
    """
    target = get_target(verb.table)
    images, draws = target.quick if verb.quick else (None, target.draws)
    methods = target.methods if verb.methods is None else verb.methods
    methods = tuple(dict.fromkeys((*methods, *target.controls)))
    return Settings(
        table=verb.table,
        family=target.family,
        splits=parse_splits(verb.splits, target),
        methods=tuple(Method.parse(method).label for method in methods),
        tokens=target.tokens if verb.tokens is None else verb.tokens,
        draws=draws if verb.draws is None else verb.draws,
        images=images if verb.images is None else verb.images,
        model=own_path(verb.model),
        clip=own_path(verb.clip),
        data=own_path(verb.data),
        device=verb.device,
        batch_size=verb.batch_size,
        seed=verb.seed,
    )


def check_files(verb: Reproduce, settings: Settings) -> None:
    """Refuse what could not be written in the end, before any work.

    Raises:
        ValueError: If the table has no scores for a card, the card would be out of bounds, or the
            table times what a cache would skip or other processes would disturb.
        OSError: If the file or the folder cannot be written.
    """
    target = get_target(settings.table)
    for option in ("images", "draws"):
        if target.timed and getattr(verb, option) not in (None, 1):
            raise ValueError(
                f"--{option} {getattr(verb, option)}: {verb.table} times one image of a split and "
                f"draws nothing; leave --{option} out"
            )
    if settings.of_clips:
        for option in ("cache", "card"):
            if getattr(verb, option) is not None:
                raise ValueError(f"--{option} goes with tables of images; leave it out")
    if target.timed and (verb.workers, Shard.parse(verb.shard)) != (1, Shard()):
        raise ValueError(
            f"{verb.table} times one machine, and workers or shares would disturb each other; "
            "leave out --workers and --shard"
        )
    require_writable(verb.out, folder=True)
    if verb.cache is not None:
        if target.timed:
            raise ValueError(
                f"--cache {verb.cache}: {verb.table} times how images are encoded, and a cache "
                "would skip that; leave --cache out"
            )
        require_writable(verb.cache, folder=True, option="--cache")
    if verb.card is not None:
        if target.timed:
            raise ValueError(f"--card needs scores, and {verb.table} has times; leave --card out")
        require_writable(verb.card, folder=False, option="--card")
        check_bounds(verb.by, settings.methods, settings.tokens, settings.draws)


def confirmed() -> bool:
    """Ask on the terminal whether to go on.

    Raises:
        ValueError: If stdin is not a terminal, so that nobody can answer.
    """
    if not sys.stdin.isatty():
        raise ValueError(
            "stdin is not a terminal, so you cannot confirm the plan; read it and add --yes"
        )
    sys.stderr.write("Go on? [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def reproduce(
    verb: Reproduce, settings: Settings, place: Workplace, listing: Listing | None
) -> int:
    """Fetch, convert, run, print, and write report and card."""
    for repository in pending(place, listing):
        fetch(repository, place.downloads, None, print_status)
    if listing is not None:
        convert_all(place, listing, print_status)
    hide_loading_bar(large=False)
    import_once(__name__)
    workers = Processes(verb.workers, verb.seed, gpus_for(verb.device))
    make_deterministic(verb.seed)

    def mapper_of(where: Place) -> Mapper:
        make = partial(job, verb, settings, place, listing, where)
        return workers.mapper(make) if workers.count > 1 else in_process

    with workers:
        found = measure(
            settings, place, listing, print_status, verb.cache, Shard.parse(verb.shard), mapper_of
        )
    if found.unfinished:
        for record in found.unfinished:
            split = f"{record.data['name']} {record.data['split']}"
            print_status(unfinished_text(record, f"parts of {split}"))
        return int(any(record.state == "failed" for record in found.unfinished))
    if verb.card is not None:
        print_status(f"card: {write_card(verb, verb.card, found, listing)}")
    verb.print_found(as_data(settings, found), table_text(settings, found))
    sys.stdout.flush()
    write_report([measured.run.folder for measured in found.splits], place.report)
    page = write_reproduction(settings, found, place.report / "reproduction.html")
    print_status(f"report: {page}")
    return int(any(measured.run.record.state == "failed" for measured in found.splits))


def job(
    verb: Reproduce, settings: Settings, place: Workplace, listing: Listing | None, where: Place
) -> Job:
    """One split prepared with model and data of its own, for a worker."""
    verb.load_plugins()
    return split_job(settings, place, listing, verb.cache, where)


def write_card(verb: Reproduce, path: Path, found: Reproduction, listing: Listing | None) -> Path:
    """Write the card of the runs."""
    splits = [Split(one.run, len(one.data), one.data.count_note) for one in found.splits]
    repositories = listing.repositories if listing is not None else ()
    card = make_card(verb.table, splits, verb.by, [(one.name, one.commit) for one in repositories])
    return atomic_write(path, card.model_dump_json(indent=1) + "\n")


def as_data(settings: Settings, found: Reproduction) -> dict[str, object]:
    """The table for programs."""
    return {
        "title": title(settings, found),
        "notes": notes(settings, found),
        "settings": settings.model_dump(mode="json"),
        "runs": {split.name: str(split.run.folder) for split in found.splits},
        "lines": [json.loads(line.model_dump_json()) for line in found.lines],
    }


def print_status(line: str) -> None:
    """Print on stderr what is done now."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()
