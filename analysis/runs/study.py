"""A study: one question asked of a model and a data set, as an object that the engine runs."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

import pandas as pd

from litelvlm.analysis.runs.claims import Claim
from litelvlm.analysis.runs.columns import Column
from litelvlm.analysis.runs.config import StudyConfig
from litelvlm.analysis.runs.record import Exclusion
from litelvlm.data.dataset import Dataset
from litelvlm.models.base import GroundingModel
from litelvlm.pruning import Pruner

ConfigT = TypeVar("ConfigT", bound=StudyConfig)
Tables = Mapping[str, pd.DataFrame]


class ItemResult(NamedTuple):
    """Rows of one image.

    Attributes:
        rows: Plain values by column.
        skipped: The reason for each of its expressions that was left out on purpose.
        notes: What else the record should say.
    """

    rows: Sequence[Mapping[str, object]]
    skipped: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Work:
    """How a study makes its rows, with model, data and configuration at hand.

    Attributes:
        data: The images whose rows are made: the whole split, or those that the study chose.
        begin: From the index of an image to the function that computes its rows. ``begin`` runs
            ahead in a thread of its own, so it reads files and must not touch the model.
        sizes: Samples of each image, for progress and counts; None counts its expressions.
        resolved: Fields of the configuration whose value depends on the model, as used.
        methods: Pruning methods in use: their code is part of the run's key.
        excluded: Methods that cannot keep to a budget and have no rows there.
        notes: What else a reader of the rows should know.
        protocol: How expressions are put into conversations (``litelvlm.analysis.runs.protocols``).
    """

    data: Dataset
    begin: Callable[[int], Callable[[], ItemResult]]
    sizes: Sequence[int] | None = None
    resolved: Mapping[str, object] | None = None
    methods: tuple[Pruner, ...] = ()
    excluded: tuple[Exclusion, ...] = ()
    notes: tuple[str, ...] = ()
    protocol: str = "single"


@dataclass(frozen=True)
class Study(Generic[ConfigT]):
    """One question and everything needed to answer it.

    Attributes:
        name: Name in commands; begins the run folder's name.
        question: In one sentence.
        Config: Its configuration; command-line options come from its fields.
        prepare: Everything before the first row. The module that defines it, with all that this
            module imports, is the code that makes rows, and so part of the run's key.
        columns: What a row may hold.
        claims: From rows to claims.
        tables: From rows to the tables that figures and pages show.
        interpret: What claims and tables mean together, in words.
        pictures: Saves pictures for figures into the folder of a finished run; None draws none.
    """

    name: str
    question: str
    Config: type[ConfigT]
    prepare: Callable[[GroundingModel, Dataset, ConfigT], Work]
    columns: tuple[Column, ...]
    claims: Callable[[pd.DataFrame, ConfigT], list[Claim]]
    tables: Callable[[pd.DataFrame, ConfigT], dict[str, pd.DataFrame]]
    interpret: Callable[[Sequence[Claim], Tables], str]
    pictures: Callable[[GroundingModel, Dataset, Path, ConfigT], None] | None = None
