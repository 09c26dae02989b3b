"""`litelvlm show`: state and verdicts of runs, and the confirmatory hypotheses."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path

import tyro

from litelvlm.analysis.cli.options import Common


@dataclass(frozen=True, kw_only=True)
class Show(Common):
    """Print what runs found, a sentence each, and what is missing.

    With -v every claim follows with its numbers and its null, and then the confirmatory hypotheses,
    with p-values adjusted over all of them, tested or not, once per model and split.

    Examples:
      litelvlm show runs/reversal-0123abcd
      litelvlm show -v runs/reversal-0123abcd runs/sweep-0123abcd
      litelvlm show runs/sweep-0123abcd --json
    """

    folders: tyro.conf.Positional[tuple[Path, ...]]
    """Run folders."""
    json: bool = False
    """Print record and summary as JSON; several runs give a list."""

    def run(self) -> int:
        """Print; 1 if samples of a run failed.

        Raises:
            ValueError: If no run is named.
        """
        from litelvlm.analysis.cli.text import confirmatory_text, ending_text, run_text
        from litelvlm.analysis.runs.folder import read_record, read_summary

        if not self.folders:
            raise ValueError("name a run folder, for example runs/sweep-0123abcd")
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
            json.dump(found[0] if len(found) == 1 else found, sys.stdout, indent=2, allow_nan=False)
            sys.stdout.write("\n")
        elif self.verbose:
            told = "\n".join(run_text(folder) for folder in records)
            sys.stdout.write(told + confirmatory_text(list(records)))
        else:
            sys.stdout.write(ending_text(list(records)))
        return int(any(record.state == "failed" for record in records.values()))
