"""A study: one question asked of a model and a data set, as an object that the engine runs."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Generic, TypeVar

import pandas as pd

from litelvlm.analysis.runs.claims import Claim
from litelvlm.analysis.runs.columns import Column
from litelvlm.analysis.runs.config import StudyConfig
from litelvlm.analysis.runs.work import Work
from litelvlm.data.dataset import Dataset
from litelvlm.models.base import GroundingModel, QueriedModel, StudiedModel, TowerModel
from litelvlm.models.timed import TimedModel

ConfigT = TypeVar("ConfigT", bound=StudyConfig)
ModelT = TypeVar("ModelT", bound=StudiedModel)
Tables = Mapping[str, pd.DataFrame]
NEEDS: Mapping[type[StudiedModel], str] = MappingProxyType(
    {
        GroundingModel: "a model that answers with masks",
        QueriedModel: "a model whose language model can be read",
        TowerModel: "a model with both towers of CLIP",
        TimedModel: "a model whose calls can be timed",
        StudiedModel: "any model",
    }
)
"""What studies read, in words."""


@dataclass(frozen=True)
class Study(Generic[ModelT, ConfigT]):
    """One question and everything needed to answer it.

    Attributes:
        name: Name in commands; begins the run folder's name.
        question: In one sentence.
        Config: Its configuration; command-line options come from its fields.
        prepare: Everything before the first row. The module that defines it, with all that this
            module imports, is the code that makes rows, and so part of the run's key.
        columns: What a row may hold.
        claims: From rows, of which there is at least one, to claims.
        tables: From such rows to the tables that figures and pages show.
        interpret: What claims and tables mean together, in words.
        pictures: Saves pictures for figures into the folder of a finished run; None draws none.
        reads: The least that it needs of a model.
    """

    name: str
    question: str
    Config: type[ConfigT]
    prepare: Callable[[ModelT, Dataset, ConfigT], Work]
    columns: tuple[Column, ...]
    claims: Callable[[pd.DataFrame, ConfigT], list[Claim]]
    tables: Callable[[pd.DataFrame, ConfigT], dict[str, pd.DataFrame]]
    interpret: Callable[[Sequence[Claim], Tables], str]
    pictures: Callable[[ModelT, Dataset, Path, ConfigT], None] | None = None
    # What a study asks of a model unless it says that less is enough.
    reads: type[ModelT] = GroundingModel  # type: ignore[assignment]

    def fits(self, model: StudiedModel) -> bool:
        """Whether a model has what the study reads."""
        return isinstance(model, self.reads)

    def refusal(self, model: StudiedModel, able: Sequence[str] = ()) -> str:
        """Message for a model that does not fit.

        Args:
            model: The model.
            able: Names of the studies that it has enough for.
        """
        needed = NEEDS.get(self.reads, self.reads.__name__)
        others = f"; studies that can ask it: {', '.join(able)}" if able else ""
        return (
            f"study {self.name} needs {needed}, and {model.name} ({type(model).__name__}) is none"
            f"{others}"
        )
