"""`litelvlm reproduce`: a published table again, from the hub to the report, in one command."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from litelvlm.analysis.cli.options import Device, Printing, require_writable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from litelvlm.analysis.reproduce.listing import Listing
    from litelvlm.analysis.reproduce.place import Workplace
    from litelvlm.analysis.reproduce.run import Measured
    from litelvlm.analysis.reproduce.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Reproduce(Printing):
    """Reproduce a published table: fetch, convert, check, run, and print both side by side.

    It says what it needs and asks once. Interrupted anywhere, the same command goes on: downloads
    in the middle of a file, runs at the last finished part. Published numbers stand beside ours
    with difference, interval and verdict.

    Examples:
      litelvlm reproduce refseg --plan
      litelvlm reproduce refseg --quick --splits refcoco/testA --yes
      litelvlm reproduce refseg --card my-result.json --by "Our lab"
      litelvlm reproduce refseg --model GLaMM-safe --data REFER_SEGM
      litelvlm reproduce efficiency
      litelvlm reproduce refseg --quick --model embedded --data embedded --splits refcoco/val
    """

    table: Annotated[
        tyro.conf.Positional[str], tyro.conf.arg(help="refseg, ablation or efficiency.")
    ]
    quick: bool = False
    """Some images of each split at even distances and fewer draws; the intervals say how much."""
    yes: bool = False
    """Do not ask."""
    plan: bool = False
    """Only say what is needed; fetches nothing but the list of files."""
    splits: tuple[str, ...] = ()
    """Splits, such as refcoco/testA (default: all of the table)."""
    methods: tuple[str, ...] | None = None
    """Methods besides the unpruned model and random tokens (default: those of the table)."""
    tokens: tuple[int, ...] | None = None
    """Budgets as published, of 576 visual tokens (default: those of the table)."""
    draws: int | None = None
    """Draws of the official protocol (default: 5; 2 with --quick)."""
    images: int | None = None
    """Images of each split, at even distances (default: all; 100 with --quick)."""
    model: str | None = None
    """A checkpoint folder of your own, or "embedded" for a rehearsal (default: the hub's)."""
    clip: str | None = None
    """CLIP's folder, where --model has none inside."""
    data: str | None = None
    """Data of your own in REFER or Parquet form, or "embedded" (default: the hub's)."""
    device: Device = "auto"
    """Where to compute; "auto" takes a GPU when there is one."""
    batch_size: int = 24
    """Passes of the language model at once: what bounds memory."""
    seed: int = 0
    """Seed of whatever is drawn at random."""
    card: Path | None = None
    """Also write a result card, which `litelvlm leaderboard` puts beside others."""
    by: str = ""
    """Who measured, for the card."""
    out: Path = Path("reproduce")
    """Folder of downloads, converted weights, runs and report."""

    def run(self) -> int:
        """Go through all steps; 1 if samples failed or the plan was refused."""
        from litelvlm.analysis.reproduce.listing import kept_listing
        from litelvlm.analysis.reproduce.place import Workplace, rooms
        from litelvlm.analysis.runs.locks import Shard, hold

        settings = self.settings()
        self.check_card(settings)
        require_writable(self.out, folder=True)
        place = Workplace(self.out)
        place.root.mkdir(parents=True, exist_ok=True)
        with hold(place.root, Shard()):
            listing = None
            if settings.assets:
                listing = kept_listing(
                    place.listing, settings.assets, settings.fetched_splits, None
                )
            if self.plan:
                sys.stdout.write(self.planned(settings, place, listing))
                return int(not all(room.enough for room in rooms(place, listing)))
            if not self.consents(settings, place, listing):
                sys.stderr.write("nothing was fetched\n")
                return 1
            return self.go(settings, place, listing)

    def settings(self) -> Settings:
        """What is asked for.

        Raises:
            ValueError: If a table, a split, a method or a number is refused.
        """
        from litelvlm.analysis.inputs.methods import Method
        from litelvlm.analysis.reproduce.settings import Settings, own_path
        from litelvlm.analysis.reproduce.targets import CONTROLS, get_target, parse_splits

        target = get_target(self.table)
        images, draws = target.quick if self.quick else (None, target.draws)
        methods = target.methods if self.methods is None else self.methods
        if target.study == "sweep":
            methods = tuple(dict.fromkeys((*methods, *CONTROLS)))
        return Settings(
            table=target.name,
            splits=parse_splits(self.splits, target),
            methods=tuple(Method.parse(method).label for method in methods),
            tokens=target.tokens if self.tokens is None else self.tokens,
            draws=draws if self.draws is None else self.draws,
            images=images if self.images is None else self.images,
            model=own_path(self.model),
            clip=own_path(self.clip),
            data=own_path(self.data),
            device=self.device,
            batch_size=self.batch_size,
            seed=self.seed,
        )

    def check_card(self, settings: Settings) -> None:
        """Refuse a card that could not be written, before any work.

        Raises:
            ValueError: If the table has no scores for a card.
            OSError: If the file cannot be written.
        """
        if self.card is not None:
            if settings.target.study != "sweep":
                raise ValueError(f"--card holds scores of refseg; {self.table} has none")
            require_writable(self.card, folder=False)

    def planned(self, settings: Settings, place: Workplace, listing: Listing | None) -> str:
        """What is needed, as text."""
        from litelvlm.analysis.reproduce.device import see_device
        from litelvlm.analysis.reproduce.place import rooms
        from litelvlm.analysis.reproduce.plan import plan_text

        return plan_text(settings, listing, rooms(place, listing), see_device(self.device))

    def consents(self, settings: Settings, place: Workplace, listing: Listing | None) -> bool:
        """Say what is needed and ask, unless the user agreed to the same plan before.

        Raises:
            OSError: If a disk is too small.
            ValueError: If there is nobody to ask.
        """
        from litelvlm.analysis.reproduce.place import require_room, rooms
        from litelvlm.analysis.reproduce.plan import agree, agreed

        if agreed(place, settings, listing):
            require_room(rooms(place, listing))
            return True
        sys.stderr.write(self.planned(settings, place, listing))
        require_room(rooms(place, listing))
        if not self.yes:
            if not sys.stdin.isatty():
                raise ValueError("nobody can be asked here; read the plan above and add --yes")
            sys.stderr.write("Go on? [y/N] ")
            sys.stderr.flush()
            if sys.stdin.readline().strip().lower() not in ("y", "yes"):
                return False
        agree(place, settings, listing)
        return True

    def go(self, settings: Settings, place: Workplace, listing: Listing | None) -> int:
        """Fetch, convert, run, print, and write report and card."""
        from litelvlm.analysis.reproduce.fetch import fetch
        from litelvlm.analysis.reproduce.place import pending

        for repository in pending(place, listing):
            fetch(repository, place.downloads, None, tell)

        # Behind the downloads, since these load what computes.
        from litelvlm.analysis.cli.terminal.loading import hide_loading_bar
        from litelvlm.analysis.cli.verbs.report import write_report
        from litelvlm.analysis.pages.reproduction import write_reproduction
        from litelvlm.analysis.reproduce.prepare import convert_all
        from litelvlm.analysis.reproduce.run import measure
        from litelvlm.analysis.reproduce.text import table_text
        from litelvlm.analysis.runs.origin.determinism import make_deterministic

        if listing is not None:
            convert_all(place, listing, tell)
        hide_loading_bar(large=False)
        make_deterministic(self.seed)
        found = measure(settings, place, listing, tell)
        if self.card is not None:
            tell(f"card: {self.write_card(self.card, found, listing)}")
        self.print_found(as_data(settings, found), table_text(settings, found))
        sys.stdout.flush()
        write_report([measured.run.folder for measured in found], place.report)
        page = write_reproduction(settings, found, place.report / "reproduction.html")
        tell(f"report: {page}")
        return int(any(measured.run.record.state == "failed" for measured in found))

    def write_card(self, path: Path, found: Sequence[Measured], listing: Listing | None) -> Path:
        """Write the card of the runs."""
        from litelvlm.analysis.cards.make import Split, make_card
        from litelvlm.data.files import atomic_write

        splits = [Split(measured.run, measured.n_whole, measured.note) for measured in found]
        repositories = listing.repositories if listing is not None else ()
        sources = [(repository.name, repository.commit) for repository in repositories]
        card = make_card(self.table, splits, self.by, sources)
        return atomic_write(path, card.model_dump_json(indent=1) + "\n")


def tell(line: str) -> None:
    """Say on stderr what is done now."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def as_data(settings: Settings, found: Sequence[Measured]) -> dict[str, object]:
    """The table for programs."""
    from litelvlm.analysis.reproduce.text import notes, title

    return {
        "title": title(settings, found),
        "notes": notes(settings, found),
        "settings": settings.model_dump(mode="json"),
        "runs": {"/".join(measured.place): str(measured.run.folder) for measured in found},
        "lines": [
            json.loads(line.model_dump_json()) for measured in found for line in measured.lines
        ],
    }
