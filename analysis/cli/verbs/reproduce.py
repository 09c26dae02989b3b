"""`litelvlm reproduce`: a published table again, from the hub to the report, in one command."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tyro

from litelvlm.analysis.cli.options import Device, Printing


@dataclass(frozen=True, kw_only=True)
class Reproduce(Printing):
    """Reproduce a published table: fetch, convert, check, run, and print both side by side.

    It says what it needs and asks. You may interrupt it anywhere and run the same command
    again. A download then continues in the middle of a file, a run at the last finished part. It
    prints published numbers beside ours, with difference, interval and verdict.

    Examples:
      litelvlm reproduce refseg --plan
      litelvlm reproduce refseg --quick --splits refcoco/testA --yes
      litelvlm reproduce refseg --card my-result.json --by "Our lab"
      litelvlm reproduce refseg --model GLaMM-safe --data REFER_SEGM
      litelvlm reproduce refseg --workers 4
      litelvlm reproduce refseg --shard 2/4 --yes
      litelvlm reproduce efficiency
      litelvlm reproduce video --data REF_DAVIS --quick
      litelvlm reproduce refseg --quick --model embedded --data embedded --splits refcoco/val
    """

    table: tyro.conf.Positional[str]
    """refseg, efficiency, video or unipixel."""
    quick: bool = False
    """Take a part of each split, balanced over category and size, and fewer draws; the table states
    the smallest difference that this part can show."""
    yes: bool = False
    """Go on without asking."""
    plan: bool = False
    """Only say what is needed; fetches nothing but the list of files."""
    splits: tuple[str, ...] = ()
    """Splits, such as refcoco/testA (default: all of the table)."""
    methods: tuple[str, ...] | None = None
    """Methods besides the unpruned model and random tokens (default: those of the table)."""
    tokens: tuple[int, ...] | None = None
    """Budgets as published, of 576 visual tokens (default: those of the table)."""
    draws: int | None = None
    """Draws of the official protocol (default: 5; 2 with --quick; efficiency draws nothing)."""
    images: int | None = None
    """Images of each split, a balanced part (default: all; with --quick 100 for refseg, 8 clips for
    video and unipixel; efficiency takes one)."""
    model: str | None = None
    """A copy of the published checkpoint that you have, or "embedded" for a rehearsal (default: the
    hub's)."""
    clip: str | None = None
    """CLIP's folder, where --model has none inside."""
    data: str | None = None
    """Data of your own in REFER or Parquet form, or "embedded" (default: the hub's); of clips in
    their own layouts, which video and unipixel need."""
    device: Device = "auto"
    """Where to compute; "auto" takes a GPU when there is one."""
    batch_size: int = 24
    """Passes of the language model at once: what bounds memory."""
    seed: int = 0
    """Seed of whatever is drawn at random."""
    card: Path | None = None
    """Also write a result card, which `litelvlm leaderboard` puts beside others; refseg alone has
    one."""
    by: str = ""
    """Name of who measured, for the card."""
    workers: int = 1
    """Processes that compute parts, each with a model of its own and, where there are several GPUs,
    with one of these."""
    shard: str = "1/1"
    """Compute the i-th of n parts of every split, written i/n, to share the table among machines
    that see --out; 1/n fetches and converts for all."""
    cache: Path | None = None
    """Keep encoded images in this folder, and read those that are there (31 MB each)."""
    out: Path = Path("reproduce")
    """Folder of downloads, converted weights, runs and report."""

    def files_written(self) -> Sequence[Path]:
        """The card."""
        return (self.card,) if self.card else ()
