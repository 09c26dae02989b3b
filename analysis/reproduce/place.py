"""The folder that a reproduction works in, and how much room its disk has."""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from litelvlm.analysis.reproduce.fetch import bytes_missing
from litelvlm.analysis.reproduce.listing import Listing, Repository
from litelvlm.data.cache import cache_folder

MARGIN = 200_000_000
"""Bytes that stay free for rows, figures and the report."""


class Workplace:
    """The folders and files of one reproduction.

    Attributes:
        root: The folder that the user named.
        listing: The commits and hashes that the reproduction is pinned to.
        downloads: Files as the hub has them.
        runs: Run folders.
        report: Report and figures.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.listing = root / "hub.json"
        self.downloads = root / "hub"
        self.runs = root / "runs"
        self.report = root / "report"

    def converted(self, repository: Repository) -> Path:
        """The safetensors form of a model, named by its repository."""
        return self.root / "models" / repository.name.split("/")[1]

    def unpacked(self, repository: Repository) -> Path:
        """The unpacked archive of a data set."""
        return self.root / "data" / repository.role

    def is_ready(self, repository: Repository) -> bool:
        """Whether a repository is converted or unpacked, so that its files are needed no more."""
        if repository.kind == "model":
            return self.converted(repository).is_dir()
        return bool(repository.archive) and self.unpacked(repository).is_dir()


class Room(NamedTuple):
    """Bytes that one disk must hold, and bytes that are free there."""

    folder: Path
    needed: int
    free: int

    @property
    def enough(self) -> bool:
        """Whether it fits."""
        return self.needed <= self.free


def pending(place: Workplace, listing: Listing | None) -> tuple[Repository, ...]:
    """Repositories whose files are needed: all but those that are converted or unpacked already."""
    return tuple(
        repository
        for repository in (listing.repositories if listing else ())
        if not place.is_ready(repository)
    )


def rooms(
    place: Workplace, listing: Listing | None, states: Path | None = None, state_bytes: int = 0
) -> tuple[Room, ...]:
    """What each disk must still hold: downloads, converted weights, pictures and encoded images.

    Args:
        place: Where the reproduction lies.
        listing: What is fetched.
        states: Folder of encoded images; None keeps none.
        state_bytes: What they take in the end.
    """
    download = convert = pictures = 0
    for repository in pending(place, listing):
        missing = bytes_missing(repository, place.downloads)
        download += missing
        if repository.kind == "dataset" and not repository.archive:
            pictures += missing  # written again in REFER layout after each download
        else:
            convert += repository.size
    needs = {place.root: download + convert + MARGIN, cache_folder(): pictures}
    if states is not None:
        there = sum(file.stat().st_size for file in states.rglob("*.safetensors"))
        needs[states] = needs.get(states, 0) + max(0, state_bytes - there)
    disks = dict[int, Room]()  # folders on one disk share its room
    for folder, needed in needs.items():
        disk = nearest(folder).stat().st_dev
        known = disks.get(disk, Room(folder, 0, shutil.disk_usage(nearest(folder)).free))
        disks[disk] = known._replace(needed=known.needed + needed)
    return tuple(disks.values())


def nearest(folder: Path) -> Path:
    """The folder itself, or the nearest one above it that exists."""
    found = Path(os.path.abspath(folder))
    while not found.is_dir():
        found = found.parent
    return found


def require_room(found: Sequence[Room]) -> None:
    """Refuse a disk that is too small, before anything is fetched.

    Raises:
        OSError: Naming the folder, what is needed and what is free.
    """
    for room in found:
        if not room.enough:
            raise OSError(
                f"the disk of {room.folder} is too small: {room.needed / 1e9:.1f} GB are still "
                f"needed and {room.free / 1e9:.1f} GB are free; make room, name a folder on "
                "another disk with --out (pictures go to $LITELVLM_CACHE, encoded images to "
                "--cache), or take fewer --splits"
            )
