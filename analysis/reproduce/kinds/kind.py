"""What a kind of table answers to the code that plans, runs and compares every table."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from litelvlm.analysis.inputs.balanced import BalancedSubset
from litelvlm.analysis.reproduce.lines import Line
from litelvlm.analysis.reproduce.settings import Place, Settings
from litelvlm.analysis.reproduce.work import Sizes, Workload
from litelvlm.analysis.runs.miniature import is_miniature
from litelvlm.analysis.runs.saved import SavedRun
from litelvlm.data.refer import ReferDataset

CHUNK = 4
"""Images of a part of a run: what an interrupt can cost at most."""

PLAIN_INTERVAL = "The interval is 95 %; in the ablation it is that of the measured difference."
"""Note of the tables whose interval counts one thing only."""


@dataclass(frozen=True)
class FinishedSplit:
    """One split whose run is finished.

    Attributes:
        run: The finished run.
        place: Data set and split of the published column.
        n_tokens: Visual tokens of the model before pruning.
        data: The whole split.
        part: The balanced part that was asked; None if the whole split was.
    """

    run: SavedRun
    place: Place
    n_tokens: int
    data: ReferDataset
    part: BalancedSubset | None

    @property
    def name(self) -> str:
        """Data set and split in one word."""
        return "/".join(self.place)

    @property
    def miniature(self) -> bool:
        """Whether the model is a miniature."""
        return is_miniature(self.run.record)


class Overall(NamedTuple):
    """What a table says over all its splits.

    Attributes:
        lines: Published beside measured.
        note: Why there are none; empty if there are, or if the kind has no such lines.
    """

    lines: tuple[Line, ...] = ()
    note: str = ""


@dataclass(frozen=True)
class Kind:
    """One kind of table: the study behind it, and what is particular to it.

    Attributes:
        study: Name of the study that makes the rows.
        options: Fields of the study's configuration besides budgets and seed.
        lines: Published beside measured, of a finished split.
        work: What the model computes, for the estimate of hours.
        sentence: What the run consists of, for the plan.
        interval: What the interval of a line counts, for the notes.
        controls: Methods that a table always contains, whatever methods are chosen.
        takes_part: Whether a balanced part of a split may be taken.
        times_encoding: Whether it times how images are encoded, which a cache would skip.
        has_scores: Whether a result card can hold its scores.
        overall: Published beside measured over all finished splits.
    """

    study: str
    options: Callable[[Settings], Mapping[str, object]]
    lines: Callable[[FinishedSplit], tuple[Line, ...]]
    work: Callable[[Settings, Sizes], Workload]
    sentence: Callable[[Settings, Workload], str]
    interval: str
    controls: tuple[str, ...] = ()
    takes_part: bool = True
    times_encoding: bool = False
    has_scores: bool = False
    overall: Callable[[Sequence[FinishedSplit]], Overall] = lambda splits: Overall()


def images_in_words(settings: Settings, work: Workload) -> str:
    """How many images are asked, and which part of their splits they are."""
    part = "whole splits" if settings.images is None else f"at most {settings.images} a split"
    return f"{work.images} images ({part})"


def splits_in_words(settings: Settings) -> str:
    """The splits by name."""
    return ", ".join(f"{dataset}/{split}" for dataset, split in settings.splits)
