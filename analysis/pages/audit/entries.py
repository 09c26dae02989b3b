"""Statements of papers beside released code, and numbers that others published, as stored data.

All of them stand in ``audit.toml``. The tests hold that every entry is sound: that a verdict rests
on a reading of both sides, and that every entry has a comparison or the reason why it has none.
"""

import tomllib
from functools import cache
from importlib import resources
from typing import Literal

from litelvlm.analysis.runs.outcome import Frozen
from litelvlm.names import check_name

Basis = Literal["seen", "quoted", "notes", "none"]
"""How a statement is known: read in the paper or a source of its authors, read in a summary by
others, from notes that are not in this repository, or no statement is known."""
AuditVerdict = Literal["agree", "differ", "paper open", "code alone"]
"""The code does what the paper says, does something else, chose where the paper allows both, or
decides where no statement of the paper is known."""
Reading = tuple[str, tuple[str, ...]]
"""Label of a method, and options of the model (FIELD=VALUE)."""


class Source(Frozen):
    """Where released code stands.

    Attributes:
        file: Path in the repository.
        commit: Of the version that was read.
        repository: "owner/name"; empty for that of the method.
        lines: Lines or ranges, counted in that version.
    """

    file: str
    commit: str
    lines: str
    repository: str = ""


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

    id: str
    claim: str
    where: str
    basis: Basis
    code: str
    sources: tuple[Source, ...]
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

    @property
    def readings(self) -> tuple[Reading, ...]:
        """The two readings that are compared; empty if there are not two."""
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

    method: str
    paper: str
    repository: str
    code_note: str = ""
    statement: tuple[Statement, ...]


class OutsideNumber(Frozen):
    """One number that others published.

    Attributes:
        id: Short name.
        title: The number as a sentence.
        published: What is published.
        source: Where.
        caution: What keeps it from being compared as it is.
        command: Our command for it.
        reads: What of its output to compare.
        needs: What is needed and not here.
        planted: Test with a planted truth, as FILE::TEST.
    """

    id: str
    title: str
    published: str
    source: str
    caution: str
    command: str
    reads: str
    needs: str
    planted: str


class Entries(Frozen):
    """All of the file: methods in the order of the table of methods, and outside numbers."""

    method: tuple[Audited, ...]
    number: tuple[OutsideNumber, ...]


@cache
def entries() -> Entries:
    """Everything that is stored."""
    file = resources.files("litelvlm.analysis.pages.audit") / "audit.toml"
    return Entries.model_validate(tomllib.loads(file.read_text(encoding="utf-8")))


def chosen(method: str | None = None) -> tuple[Audited, ...]:
    """The methods of the audit, or one of them.

    Raises:
        ValueError: If the audit has no such method.
    """
    tables = entries().method
    if method is None:
        return tables
    check_name(method, [table.method for table in tables], "method of the audit")
    return tuple(table for table in tables if table.method == method)
