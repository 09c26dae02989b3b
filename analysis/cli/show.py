"""`litelvlm show`: what a run found."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path

import tyro

from analysis.cli.options import Common


@dataclass(frozen=True, kw_only=True)
class Show(Common):
    """Print the state, the verdicts and the tables of a run.

    Examples:
      litelvlm show runs/reversal-0123abcd
      litelvlm show runs/sweep-0123abcd --json
    """

    folder: tyro.conf.PositionalRequiredArgs[Path]
    """A run folder."""
    json: bool = False
    """Print the record and the summary as JSON."""

    def run(self) -> int:
        """Print; 1 if samples of the run failed."""
        from analysis.cli.text import run_text
        from analysis.runs import read_record, read_summary

        record = read_record(self.folder)
        if self.json:
            summary = read_summary(self.folder).model_dump(mode="json") if record.complete else None
            json.dump({"record": record.model_dump(mode="json"), "summary": summary}, sys.stdout, indent=2)
            sys.stdout.write("\n")
        else:
            sys.stdout.write(run_text(self.folder))
        return int(record.state == "failed")
