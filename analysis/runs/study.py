"""A study: one question about a model and a data set, as an object that the engine runs."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from inspect import signature
from pathlib import Path
from typing import Generic, TypeVar, get_type_hints

import pandas as pd

from litelvlm.analysis.runs.claims import Claim
from litelvlm.analysis.runs.columns import Column
from litelvlm.analysis.runs.config import StudyConfig
from litelvlm.analysis.runs.work import Work
from litelvlm.data.dataset import IdentifiedData
from litelvlm.models.base import GroundingModel, IdentifiedModel

ConfigT = TypeVar("ConfigT", bound=StudyConfig)
DataT = TypeVar("DataT", bound=IdentifiedData)
ModelT = TypeVar("ModelT", bound=IdentifiedModel)
Tables = Mapping[str, pd.DataFrame]


@dataclass(frozen=True)
class Study(Generic[ModelT, DataT, ConfigT]):
    """One question and everything needed to answer it.

    Each study is a folder with the same files and functions, which a test holds: ``Config`` in
    ``config.py``, ``prepare`` in ``prepare.py``, ``COLUMNS`` in ``rows.py``, ``make_tables`` in
    ``tables.py``, ``make_claims`` and ``interpret`` in ``claims.py``.

    Attributes:
        name: Name in commands; begins the run folder's name.
        question: In one sentence.
        Config: Its configuration, margins of claims included; command-line options come from its
            fields.
        prepare: Everything before the first row. The type of its first argument, the model, is the
            least that the study needs (``reads``). The module that defines it, with all that this
            module imports, is the code that makes rows, and so part of the run's key.
        columns: What a row may hold.
        claims: From rows, of which there is at least one, to claims (``make_claims``).
        tables: From such rows to the tables that figures and pages show (``make_tables``).
        interpret: What claims and tables mean together, in words.
        pictures: Saves pictures for figures into the folder of a finished run; None draws none.
    """

    name: str
    question: str
    Config: type[ConfigT]
    prepare: Callable[[ModelT, DataT, ConfigT], Work]
    columns: tuple[Column, ...]
    claims: Callable[[pd.DataFrame, ConfigT], list[Claim]]
    tables: Callable[[pd.DataFrame, ConfigT], dict[str, pd.DataFrame]]
    interpret: Callable[[Sequence[Claim], Tables], str]
    pictures: Callable[[ModelT, DataT, Path, ConfigT], None] | None = None

    @property
    def reads(self) -> type[IdentifiedModel]:
        """The least that it needs of a model: what ``prepare`` says of its first argument.

        Masks, if it says nothing.
        """
        first = next(iter(signature(self.prepare).parameters))
        found: type[IdentifiedModel] = get_type_hints(self.prepare).get(first, GroundingModel)
        return found

    def fits(self, model: IdentifiedModel) -> bool:
        """Whether a model has what the study reads."""
        return isinstance(model, self.reads)

    def refusal(self, model: IdentifiedModel, able: Sequence[str] = ()) -> str:
        """Message for a model that does not fit.

        Args:
            model: The model.
            able: Names of the studies that it has enough for.
        """
        others = f"; studies that can ask it: {', '.join(able)}" if able else ""
        return (
            f"study {self.name} needs {self.reads.described}, and {model.name} "
            f"({type(model).__name__}) is not one{others}"
        )
