"""Statements of papers beside what the released code does, read from one small file per method.

The files hold plain data. Reading them checks that every entry is complete, that no entry occurs
twice, and that a verdict rests on a reading of both sides.
"""

import re
import tomllib
from functools import cache
from importlib import resources
from typing import Annotated, Literal

from pydantic import Field, ValidationError, model_validator

from litelvlm.analysis.inputs.methods import Method
from litelvlm.analysis.runs.config import problems_of
from litelvlm.analysis.runs.outcome import Frozen
from litelvlm.models.glamm.options import GlammOptions
from litelvlm.names import check_name
from litelvlm.pruning import list_pruners

Basis = Literal["seen", "quoted", "notes", "memory", "none"]
AuditVerdict = Literal["agree", "differ", "paper open", "code alone", "not verified"]
Text = Annotated[str, Field(min_length=1)]
BASES: dict[Basis, str] = {
    "seen": "read for this audit in a copy of the paper's text or in a source of its authors",
    "quoted": "read for this audit in a summary of the paper by others",
    "notes": "from the notes on the paper that this project's methods were written from, which are "
    "not in this repository",
    "memory": "common knowledge of the field, not read again",
    "none": "no statement known",
}
AUDIT_VERDICTS: dict[AuditVerdict, str] = {
    "agree": "the code does what the paper says",
    "differ": "the code does something else",
    "paper open": "the paper allows both, and the code chose",
    "code alone": "the code decides, and no statement of the paper is known",
    "not verified": "what one of the two sides says could not be established",
}
READ = ("seen", "quoted", "notes")
"""Bases on which a verdict may rest."""
_LINES = re.compile(r"\d+(-\d+)?(, \d+(-\d+)?)*")


class Source(Frozen):
    """Where released code stands.

    Attributes:
        file: Path in the repository.
        commit: Of the version that was read.
        repository: "owner/name"; empty for that of the method.
        lines: Lines or ranges, counted in that version; empty where they were not counted.
        symbol: Class, function or heading, where no lines are given.
    """

    file: Text
    commit: str = Field(pattern="^[0-9a-f]{40}$")
    repository: str = Field(default="", pattern="^$|^[^/ ]+/[^/ ]+$")
    lines: str = ""
    symbol: str = ""

    @model_validator(mode="after")
    def _placed(self) -> "Source":
        if bool(self.lines) == bool(self.symbol):
            raise ValueError(f"{self.file} needs lines or a symbol, and not both")
        if self.lines and not _LINES.fullmatch(self.lines):
            raise ValueError(f"lines {self.lines!r} are not of the form 12, 30-34")
        return self

    @property
    def place(self) -> str:
        """Lines or symbol, in words.

        Example:
            >>> Source(file="a.py", commit="0" * 40, lines="12").place
            'line 12'
        """
        if not self.lines:
            return self.symbol
        return f"line {self.lines}" if self.lines.isdecimal() else f"lines {self.lines}"


class Statement(Frozen):
    """One statement of a paper, and what the released code does instead or as well.

    Attributes:
        id: Short name, unique within the method.
        claim: The statement in our own words.
        where: Section, equation or table of the paper, as far as known.
        basis: How the statement is known.
        code: What the released code does.
        sources: Where it does so.
        verdict: Whether both agree.
        told: What an issue of the repository says of it; empty if none is known.
        compared: What the comparison sets side by side; empty if nothing can be compared here.
        first: Label of the released reading, in the form of ``--methods``; of another one where
            ``compared`` says so.
        second: Label of the other reading.
        first_options: Options of the model for the first, FIELD=VALUE.
        second_options: The same for the second.
        drawn: Label of a reading that is compared with itself, in runs that draw anew.
        protocol: Of the comparison: "conversation" where the readings differ only with several
            texts, "official" where sentences and templates are drawn.
        unmeasured: Why nothing is compared here; empty if something is.
    """

    id: str = Field(pattern="^[a-z0-9]+(-[a-z0-9]+)*$")
    claim: Text
    where: Text
    basis: Basis
    code: Text
    sources: Annotated[tuple[Source, ...], Field(min_length=1)]
    verdict: AuditVerdict
    told: str = ""
    compared: str = ""
    first: str = ""
    second: str = ""
    first_options: tuple[str, ...] = ()
    second_options: tuple[str, ...] = ()
    drawn: str = ""
    protocol: Literal["single", "conversation", "official"] = "single"
    unmeasured: str = ""

    @model_validator(mode="after")
    def _sound(self) -> "Statement":
        rests = self.verdict in ("agree", "differ", "paper open")
        if rests and self.basis not in READ:
            raise ValueError(
                f"{self.id}: verdict {self.verdict!r} needs a reading of the paper, and its basis "
                f"is {self.basis!r}; write 'not verified'"
            )
        if (self.verdict == "code alone") != (self.basis == "none"):
            raise ValueError(f"{self.id}: verdict 'code alone' and basis 'none' belong together")
        if bool(self.first) != bool(self.second) or bool(self.compared) != bool(
            self.first or self.drawn
        ):
            raise ValueError(
                f"{self.id}: a comparison needs compared, first and second, or compared and drawn"
            )
        if bool(self.compared) == bool(self.unmeasured):
            raise ValueError(f"{self.id} needs a comparison or the reason why there is none")
        if bool(self.drawn) != (self.protocol == "official") or (self.drawn and self.first):
            raise ValueError(
                f"{self.id}: drawn goes with protocol 'official', and without first and second"
            )
        for label, options in self.readings:
            Method.parse(label)
            GlammOptions.parse(options)
        if self.drawn:
            Method.parse(self.drawn)
        if self.measurable and len(set(self.readings)) < 2:
            raise ValueError(f"{self.id}: both readings are {self.first!r}")
        return self

    @property
    def measurable(self) -> bool:
        """Whether both readings exist here."""
        return bool(self.first)

    @property
    def readings(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """Label and model options of the two readings; empty if they cannot be measured."""
        if not self.first:
            return ()
        return ((self.first, self.first_options), (self.second, self.second_options))


class Audited(Frozen):
    """One method with all its statements.

    Attributes:
        method: Its name among the pruners.
        paper: The paper.
        repository: "owner/name" of the released code.
        code_note: What of it could not be read; empty if all that is cited was.
        statement: Its statements.
    """

    method: Text
    paper: Text
    repository: str = Field(pattern="^[^/ ]+/[^/ ]+$")
    code_note: str = ""
    statement: Annotated[tuple[Statement, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _distinct(self) -> "Audited":
        check_name(self.method, list_pruners(), "method")
        ids = [statement.id for statement in self.statement]
        twice = sorted({name for name in ids if ids.count(name) > 1})
        if twice:
            raise ValueError(f"statements of {self.method} occur twice: {', '.join(twice)}")
        return self

    def repository_of(self, source: Source) -> str:
        """The repository that a source stands in."""
        return source.repository or self.repository


def parse_table(name: str, text: str) -> Audited:
    """Read the file of one method.

    Args:
        name: Of the file, for the message.
        text: Its TOML.

    Raises:
        ValueError: If it is no TOML, or an entry is incomplete, doubled or unsound.
    """
    try:
        return Audited.model_validate(tomllib.loads(text))
    except ValidationError as error:
        raise ValueError(f"{name}: {problems_of(error)}") from error
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{name} is not TOML: {error}") from error


@cache
def audited() -> tuple[Audited, ...]:
    """Every method of the audit, in the order of the table of methods.

    Raises:
        ValueError: If a file is unsound, or two files hold one method.
    """
    folder = resources.files("litelvlm.analysis.pages.audit") / "tables"
    files = [file for file in folder.iterdir() if file.name.endswith(".toml")]
    found = [parse_table(file.name, file.read_text(encoding="utf-8")) for file in files]
    names = [table.method for table in found]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"methods have two files of statements: {', '.join(twice)}")
    order = list(list_pruners())
    return tuple(sorted(found, key=lambda table: order.index(table.method)))


def chosen(method: str | None = None) -> tuple[Audited, ...]:
    """The methods of the audit, or one of them.

    Raises:
        ValueError: If the audit has no such method.
    """
    if method is None:
        return audited()
    check_name(method, [table.method for table in audited()], "method of the audit")
    return tuple(table for table in audited() if table.method == method)
