"""The table of ``docs/ablations.md`` with the verdicts of finished runs in its third column.

``python -m litelvlm.analysis.pages.claims_table docs/ablations.md RUN [RUN ...]`` prints it. Claims
of one line share a cell, and an id that ends in @K stands for every budget.
"""

import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from litelvlm.analysis.runs.folder import read_summary


def verdicts_of(runs: Sequence[Path]) -> dict[str, str]:
    """Verdict of every claim by its id; with the power beside an undetermined one.

    Raises:
        ValueError: If two runs judge the same claim.
    """
    found: dict[str, str] = {}
    for run in runs:
        for claim in read_summary(run).claims:
            if claim.id in found:
                raise ValueError(f"{claim.id} is judged by two of these runs; name one of them")
            power = f" ({claim.power})" if claim.power else ""
            found[claim.id] = f"{claim.verdict}{power}"
    return found


def filled(page: str, verdicts: Mapping[str, str]) -> str:
    """The table of the page with its third column filled."""
    table = page[page.index("| request or claim |") :]
    lines = []
    for line in table.splitlines():
        cells = line.split("|")
        ids = re.findall(r"`([^`]+)`", cells[2]) if len(cells) == 6 else []
        known = [
            f"{id} {verdict}"
            for wanted in ids
            for id, verdict in verdicts.items()
            if id == wanted or (wanted.endswith("@K") and id.startswith(wanted[:-1]))
        ]
        cells[3:4] = [f" {'; '.join(known)} "] if known else cells[3:4]
        lines.append("|".join(cells))
    return "\n".join(lines) + "\n"


def main(page: str, *runs: str) -> None:
    """Print the filled table of a page."""
    text = Path(page).read_text(encoding="utf-8")
    sys.stdout.write(filled(text, verdicts_of([Path(run) for run in runs])))


if __name__ == "__main__":
    main(*sys.argv[1:])
