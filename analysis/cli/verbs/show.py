"""`litelvlm show`: state and verdicts of runs, and the confirmatory hypotheses."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path

import tyro

from litelvlm.analysis.cli.options import Printing
from litelvlm.analysis.cli.terminal import print_json


@dataclass(frozen=True, kw_only=True)
class Show(Printing):
    """Print what runs found, a sentence each, and what is missing.

    With -v every claim follows with its numbers and its null, every method of a sweep against
    random tokens, and then the confirmatory hypotheses, with p-values adjusted over all of them,
    tested or not, once per model and split. --json prints
    record and summary; several runs give a list.

    Examples:
      litelvlm show runs/reversal-0123abcd
      litelvlm show -v runs/reversal-0123abcd runs/sweep-0123abcd
      litelvlm show runs/sweep-0123abcd --json
      litelvlm show runs/reversal-0123abcd --hypotheses mine.yaml
    """

    folders: tyro.conf.Positional[tuple[Path, ...]]
    """Run folders."""
    hypotheses: Path | None = None
    """Also judge the hypotheses of a YAML file on the rows of these runs, adjusted together."""

    def run(self) -> int:
        """Print; 1 if samples of a run failed.

        Raises:
            ValueError: If no run is named, hypotheses are asked for as JSON or of two runs of one
                study, or the file of hypotheses is refused.
        """
        from litelvlm.analysis.cli.text import confirmatory_text, ending_text, run_text
        from litelvlm.analysis.runs.folder import read_record, read_summary

        if not self.folders:
            raise ValueError("name a run folder, for example runs/sweep-0123abcd")
        if self.json and self.hypotheses is not None:
            raise ValueError("--hypotheses prints text; leave out --json")
        records = {folder: read_record(folder) for folder in self.folders}
        if self.json:
            # Pydantic writes nan as null; the json module would write NaN, which is not JSON.
            found = [
                {
                    "record": json.loads(record.model_dump_json()),
                    "summary": json.loads(read_summary(folder).model_dump_json())
                    if record.complete
                    else None,
                }
                for folder, record in records.items()
            ]
            print_json(found[0] if len(found) == 1 else found)
        elif self.verbose:
            told = "\n".join(run_text(folder) for folder in records)
            sys.stdout.write(told + confirmatory_text(list(records)))
        else:
            sys.stdout.write(ending_text(list(records)))
        if self.hypotheses is not None:
            sys.stdout.write(self.judged())
        return int(any(record.state == "failed" for record in records.values()))

    def judged(self) -> str:
        """Claims of the hypotheses of the file, and their family after adjustment."""
        from litelvlm.analysis.cli.text import claim_text
        from litelvlm.analysis.runs.folder import read_record, read_rows
        from litelvlm.analysis.runs.hypotheses import read_family
        from litelvlm.analysis.studies.own_hypotheses import family_text, judge

        family = read_family(self.hypotheses or Path())
        records = [read_record(folder) for folder in self.folders]
        studies = [record.study for record in records]
        for record, folder in zip(records, self.folders, strict=True):
            record.require_complete(folder)  # a look at some parts would be one look more
        if len(set(studies)) < len(studies):
            raise ValueError("two runs of one study are named; hypotheses need one of each")
        rows = {study: read_rows(run) for study, run in zip(studies, self.folders, strict=True)}
        units = {record.study: record.unit for record in records}
        claims, table = judge(family, rows, units)
        return "\n" + "".join(map(claim_text, claims)) + family_text(family, table)
