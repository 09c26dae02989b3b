"""The settings of one reproduction."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, field_validator, model_validator

from litelvlm.analysis.reproduce.assets import DATA, MODELS, Asset
from litelvlm.analysis.runs.outcome import Frozen

Place = tuple[str, str]
"""Data set and split."""
Some = Annotated[int, Field(ge=1)]


class Settings(Frozen):
    """What is reproduced, from which files, and how much of it.

    Attributes:
        table: Name of the table.
        family: Of the model: "glamm", or one of clips.
        splits: Data set and split of each part.
        methods: Methods beside the unpruned model.
        tokens: Budgets, of 576 visual tokens.
        draws: Draws of the official protocol.
        images: Images of each split, a balanced part; all if None.
        model: A checkpoint of the user's own; None takes the published one from the hub.
        clip: Likewise for CLIP.
        data: Likewise for the data sets.
        device: "auto", "cpu" or "cuda".
        batch_size: Passes of the language model at once.
        seed: Of whatever is drawn at random, and the first draw.
    """

    table: str
    family: str = "glamm"
    splits: Annotated[tuple[Place, ...], Field(min_length=1)]
    methods: tuple[str, ...]
    tokens: Annotated[tuple[Annotated[int, Field(ge=1, le=576)], ...], Field(min_length=1)]
    draws: Some
    images: Some | None = None
    model: str | None = None
    clip: str | None = None
    data: str | None = None
    device: str = "auto"
    batch_size: Some = 24
    seed: Annotated[int, Field(ge=0)] = 0

    @model_validator(mode="after")
    def _clip_goes_with_model(self) -> "Settings":
        if self.clip is not None and self.model is None:
            raise ValueError("--clip goes with --model; the published checkpoint has its own CLIP")
        return self

    @field_validator("tokens")
    @classmethod
    def _once(cls, tokens: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(tokens)) < len(tokens):
            raise ValueError(f"a budget stands twice: {', '.join(map(str, tokens))}")
        return tokens

    @property
    def assets(self) -> tuple[Asset, ...]:
        """Repositories that must be fetched."""
        models = MODELS[self.family] if self.model is None else ()
        sets = dict.fromkeys(dataset for dataset, _ in self.fetched_splits)
        return (*models, *(DATA[dataset] for dataset in sets))

    @property
    def of_clips(self) -> bool:
        """Whether the table is of clips."""
        return self.family != "glamm"

    @property
    def fetched_splits(self) -> tuple[Place, ...]:
        """Splits that must be fetched."""
        return self.splits if self.data is None else ()


def own_path(name: str | None) -> str | None:
    """A model's or data set's name as it means the same from everywhere: folders in full."""
    if name is None or not Path(name).expanduser().is_dir():
        return name
    return str(Path(name).expanduser().resolve())
