"""`litelvlm study`: rows, summary and verdicts of one claim or of all."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Annotated, Literal

import tyro

from litelvlm.analysis.cli.options import (
    Common,
    DataOptions,
    Printing,
    RunOptions,
    require_writable,
)
from litelvlm.analysis.studies import BUNDLED, BY_NAME, STUDIES
from litelvlm.names import check_name

ITS_OWN = "bundled"
"""In place of a model or data that the command does not name: those bundled for each study."""


@dataclass(frozen=True, kw_only=True)
class StudyVerb(RunOptions, Printing):
    """Run one study, several or all of them on a model and a data set.

    It ends with one sentence per study; `litelvlm show -v` prints every claim with its numbers.
    Every finished part is kept. To continue, run the same command again. --set STUDY.FIELD=VALUE
    sets any field of a study's configuration, such as its number of images. An unknown field is
    refused, and the message lists the fields that exist.

    Examples:
      litelvlm study reversal
      litelvlm study sweep --methods litelvlm random uniform --budgets 48 16
      litelvlm study importance faithfulness --set importance.images=200 faithfulness.images=null
      litelvlm study all --limit 20 --report report
      litelvlm study all --workers 2 --report report
      litelvlm study sweep --methods all --engine ray --workers 8 --address auto
      litelvlm study sweep --model GLAMM --data REFER_SEGM --dataset refcoco --shard 2/8
    """

    names: Annotated[
        tyro.conf.Positional[tuple[str, ...]],
        tyro.conf.arg(help=f"{', '.join(STUDIES)}, or all. Not part of all: {', '.join(BY_NAME)}."),
    ]
    model: str = ITS_OWN
    """"bundled" is for each study the miniature that it can take; else a name, a folder or a hub id
    as for other commands (`litelvlm evaluate --help` lists them)."""
    data: str = ITS_OWN
    """"bundled" are the scenes or clips of that miniature; else a name, a folder or a hub id."""
    methods: tuple[str, ...] | None = None
    """Pruning methods of the sweep (default: the controls and the paper's own)."""
    budgets: tuple[int | float, ...] | None = None
    """Tokens to keep, or shares of all from 0 to 1 (default: 1/3, 2/9, 1/9 and 1/18)."""
    protocol: Literal["single", "conversation", "official"] | None = None
    """Expressions per conversation: one, all of an image, or three drawn ones (default: single)."""
    answer: Literal["forced", "generated"] | None = None
    """Answers that the model reads, or its own; one without [SEG] is an empty mask, and counted."""
    seeds: int | None = None
    """Draws of random methods, and of expressions in protocol official (default: 5)."""
    batch_size: int | None = None
    """Passes of the language model at once: what bounds memory (default: 24)."""
    other_clips: tuple[str, ...] | None = None
    """Other CLIP models for reversal and mechanism, such as open_clip:ViT-B-16/openai."""
    set: tuple[str, ...] = ()
    """Fields of a chosen study, as STUDY.FIELD=VALUE; null is everything, [1, 2] a list."""
    engine: Literal["process", "ray"] = "process"
    """Where parts are computed: on this machine, or by Ray workers, which a cluster can hold."""
    workers: int | None = None
    """Processes that compute parts, each with a model of its own (default: 1; 2 with --engine
    ray)."""
    address: str | None = None
    """Address of an existing Ray cluster, such as "auto" (default: start one on this machine)."""
    report: Path | None = None
    """Also draw the figures and write a report into this folder."""

    def refuse_early(self) -> None:
        """Check the names of the studies, the address and the places of output."""
        self.chosen()
        if self.engine != "ray" and self.address is not None:
            raise ValueError("--address names a Ray cluster; add --engine ray, or leave it out")
        require_writable(self.out, folder=True)
        if self.report is not None:
            require_writable(self.report, folder=True, option="--report")

    def chosen(self) -> tuple[str, ...]:
        """The studies to run, in the order of the table, each once.

        "all" leaves out ``BY_NAME``, and those of ``BUNDLED`` where a model or data are named.

        Raises:
            ValueError: If none is named, or one is unknown.
        """
        if not self.names:
            raise ValueError(f"name a study: {', '.join(STUDIES)}, or all")
        for name in self.names:
            check_name(name, [*STUDIES, "all"], "study")
        alone = {*BY_NAME, *(BUNDLED if self.names_inputs else ())}
        together = set(STUDIES) - alone if "all" in self.names else set()
        return tuple(name for name in STUDIES if name in {*self.names, *together})

    @property
    def names_inputs(self) -> bool:
        """Whether the command says anything about model and data that not all of them can take."""
        free = {"split", "device", "dtype", "attn", *(field.name for field in fields(Common))}
        asked = {field.name for field in fields(DataOptions)} - free
        own = [field for field in fields(self) if field.name in asked]
        changed = any(getattr(self, field.name) != field.default for field in own)
        return changed or self.cache is not None

    def as_read(self, name: str) -> StudyVerb:
        """The command as a study reads it: those about clips have a model and data of their own.

        Args:
            name: Of the study. What the command names stays.
        """
        model, data = BUNDLED.get(name, (DataOptions.model, DataOptions.data))
        read = self if self.model != ITS_OWN else replace(self, model=model)
        return read if self.data != ITS_OWN else replace(read, data=data)
