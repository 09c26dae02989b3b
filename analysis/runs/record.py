"""The typed files of a run folder: its key, its record and its summary."""

import hashlib
import json
import math
from pathlib import Path
from typing import Literal

import pandas as pd

from litelvlm.analysis.runs.claims import Claim
from litelvlm.analysis.runs.outcome import Counts, Exclusion, Frozen
from litelvlm.data.dataset import CLIPS, IMAGES

State = Literal["running", "partial", "done", "failed"]


class RunKey(Frozen):
    """Everything that can change a row; two runs with equal keys hold equal rows.

    Attributes:
        study: Name of the study.
        config: All its fields, resolved.
        model: Name, weights digest, number type, device and attention implementation.
        data: Name, split and content digest.
        code: Digest of the code that makes rows.
        versions: Of the libraries that compute numbers.
    """

    study: str
    config: dict[str, object]
    model: dict[str, str]
    data: dict[str, str]
    code: str
    versions: dict[str, str]

    @property
    def digest(self) -> str:
        """sha256 over all fields.

        Raises:
            ValueError: If a field holds something that is not plain data, or not a finite number.
        """
        try:
            text = json.dumps(self.model_dump(), sort_keys=True, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"the configuration of {self.study!r} is not plain data: {error}"
            ) from error
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def folder_name(self) -> str:
        """Name of the run folder: study and the first 12 digits of the digest."""
        return f"{self.study}-{self.digest[:12]}"


class Session(Frozen):
    """One process that computed parts of a run.

    Attributes:
        started: UTC.
        command: Command line without absolute paths.
        shard: Which share it computed ("1/1": all).
        commit: Of the checkout, None outside one.
        dirty: Whether files differed from it or were added.
        versions: Of this project and its libraries.
        python: Version.
        platform: Operating system.
        machine: Processor, cores, threads, accelerator.
        determinism: Settings in force.
    """

    started: str
    command: str
    shard: str = "1/1"
    commit: str | None
    dirty: bool | None
    versions: dict[str, str]
    python: str
    platform: str
    machine: dict[str, str | int | None]
    determinism: dict[str, str]


class RunRecord(Session):
    """``run.json``: how the rows were made and how far the run is.

    The fields of ``Session`` are those of the first process.

    Attributes:
        state: "running"; "partial" (parts are missing, or a limit was set); "done"; "failed" (an
            error stopped it, or samples failed).
        study: Name of the study.
        key: Digest of the run's key.
        n_parts: Parts of the whole run.
        parts_done: Parts on disk.
        counts: Samples of those parts.
        failures: What went wrong with which sample, or what stopped the run.
        limit: Images the run was limited to.
        notes: What a reader of the rows should know: what was left out, where memory ran out.
        excluded: Methods that cannot keep to a budget.
        protocol: How expressions are put into conversations.
        seeds: Of the run.
        model: Identity as in the key.
        data: Identity as in the key.
        sessions: Every process that computed parts, by its start.
        ended: Last end, UTC; None while running.
    """

    state: State
    study: str
    key: str
    n_parts: int
    parts_done: int = 0
    counts: Counts = Counts()
    failures: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    limit: int | None = None
    excluded: tuple[Exclusion, ...] = ()
    protocol: str = "single"
    seeds: dict[str, int]
    model: dict[str, str]
    data: dict[str, str]
    sessions: tuple[Session, ...] = ()
    ended: str | None = None

    @property
    def samples(self) -> str:
        """What the samples of the data are: "images", "clips", or "stills" of clips."""
        return self.data.get("samples", IMAGES)

    @property
    def unit(self) -> str:
        """What intervals resample: "images", or "clips", which stills lie in."""
        return IMAGES if self.samples == IMAGES else CLIPS

    @property
    def complete(self) -> bool:
        """Whether every part is there."""
        return self.parts_done == self.n_parts

    def require_complete(self, run: Path) -> None:
        """Refuse a run whose parts are not all there.

        Raises:
            ValueError: Naming its folder and what to do.
        """
        if not self.complete:
            raise ValueError(
                f"{run} is incomplete ({self.parts_done} of {self.n_parts} parts); run its "
                "command again"
            )

    def require_made_with(self, what: Literal["model", "data"], digest: str, run: Path) -> None:
        """Refuse a run that another model or other data made.

        Raises:
            ValueError: Naming both digests and what to do.
        """
        made = self.model if what == "model" else self.data
        if made["digest"] != digest:
            raise ValueError(
                f"{run} was made with the {what} {made['name']!r} of digest "
                f"{made['digest'][:12]}, and this {what} has {digest[:12]}; name the same one with "
                f"--{what}"
            )

    @property
    def state_in_words(self) -> str:
        """How far the run is, for people."""
        if self.state == "partial" and self.complete:
            return (
                f"complete for the first {self.limit} {self.samples}, which is not the whole split"
            )
        if self.state == "partial":
            return f"{self.parts_done} of {self.n_parts} parts are there"
        return self.state


class Table(Frozen):
    """A data frame as plain data."""

    dtypes: dict[str, str]
    rows: list[list[object]]

    @classmethod
    def from_frame(cls, frame: pd.DataFrame) -> "Table":
        """Keep column order and number types; nan becomes null, which JSON has."""
        rows = [
            [None if isinstance(cell, float) and not math.isfinite(cell) else cell for cell in row]
            for row in frame.astype(object).to_numpy().tolist()
        ]
        return cls(
            dtypes={str(name): str(dtype) for name, dtype in frame.dtypes.items()}, rows=rows
        )

    def to_frame(self) -> pd.DataFrame:
        """The data frame."""
        frame = pd.DataFrame(self.rows, columns=list(self.dtypes), dtype=object)
        return frame.astype(self.dtypes)


class Summary(Frozen):
    """``summary.json``: what the rows say.

    Attributes:
        study: Name of the study.
        key: Digest of the run's key.
        partial: The run was limited, or samples failed: these are no results.
        counts: Samples behind it.
        claims: Statements with estimate, interval, null and verdict.
        interpretation: What the verdicts mean together, in words.
        tables: Numbers for figures and pages, by name.
    """

    study: str
    key: str
    partial: bool
    counts: Counts
    claims: tuple[Claim, ...]
    interpretation: str
    tables: dict[str, Table]

    def table(self, name: str) -> pd.DataFrame:
        """One of the tables.

        Raises:
            ValueError: If there is none of that name.
        """
        if name not in self.tables:
            raise ValueError(
                f"the summary of {self.study!r} has no table {name!r}; "
                f"it has {', '.join(self.tables)}"
            )
        return self.tables[name].to_frame()
