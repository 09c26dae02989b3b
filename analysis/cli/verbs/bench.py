"""`litelvlm bench`: operations, times and memory by component and budget."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from litelvlm.analysis.cli.options import DataOptions, Printing, require_writable
from litelvlm.analysis.cli.terminal.screen import print_json

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, kw_only=True)
class Bench(DataOptions, Printing):
    """Measure what pruning costs and saves: operations, time by component, memory.

    It ends with one line per budget: how much faster the whole call is. Then it judges the paper's
    headlines, 22 % less time and 2.3 times smaller activations. -v prints all tables. Arms are
    interleaved in random order; medians with intervals; published figures stand beside
    ours, marked as such.

    Examples:
      litelvlm bench
      litelvlm bench --model glamm-7b --random-init --device cuda --rounds 200 --warm-up 20
      litelvlm bench --model glamm-7b --random-init --prefill-only --rounds 3 --warm-up 1
      litelvlm bench --n-texts 1 2 3 --figures figures-of-bench
    """

    methods: tuple[str, ...] | None = None
    """Methods to time beside the unpruned model (default: litelvlm, vispruner, fastv)."""
    budgets: tuple[int | float, ...] | None = None
    """Tokens to keep, or shares of all from 0 to 1 (default: 1/3, 2/9, 1/9 and 1/18)."""
    n_texts: tuple[int, ...] = (1,)
    """Expressions per pass; several numbers make a sweep."""
    rounds: int = 20
    """Timed rounds, at least 2."""
    warm_up: int = 3
    """Rounds before them."""
    decoded: int = 8
    """Answer tokens to generate behind the first one, to time one of them."""
    prefill_only: bool = False
    """Time the prefill of the language model alone, on random states."""
    sweep: Path | None = None
    """Run folder of a sweep of the same model, whose scores are drawn against the times."""
    seed: int = 0
    """Seed of the order of arms."""
    out: Path = Path("runs")
    """Folder that holds the run folders."""
    figures: Path | None = None
    """Also draw the figures into this folder."""

    def run(self) -> int:
        """Measure and print the medians."""
        from litelvlm.analysis.cli.text import headline_text
        from litelvlm.analysis.runs.exclusions import exclusion_lines
        from litelvlm.analysis.runs.folder import add_table, read_record, read_summary
        from litelvlm.analysis.studies import BENCH, efficiency
        from litelvlm.analysis.studies.published import SOURCE
        from litelvlm.analysis.studies.table import get_study, run_with_pictures

        require_writable(self.out, folder=True)
        names = ("methods", "budgets", "n_texts", "rounds", "warm_up", "decoded", "prefill_only")
        given = {name: getattr(self, name) for name in (*names, "seed")}
        config = efficiency.Config.model_validate(
            {name: v for name, v in given.items() if v is not None}
        )
        folder = run_with_pictures(
            get_study(BENCH), self.load_studied(), self.load_data(), config, self.out
        )
        if self.sweep is not None:
            add_table(folder, "scores", read_summary(self.sweep).table("scores"))
        summary, record = read_summary(folder), read_record(folder)
        speeds = speed_lines(summary.table("ratios"))
        verdicts = [headline_text(claim) for claim in summary.claims]
        if self.json:
            tables = {
                name: json.loads(summary.table(name).to_json(orient="records"))
                for name in summary.tables
            }
            print_json(
                {"run": str(folder), "speeds": speeds, "verdicts": verdicts, "tables": tables}
            )
        elif self.verbose:
            for name in ("times", "null", "break_even"):
                shown = summary.table(name).to_string(index=False, float_format="%.3f")
                sys.stdout.write(f"\n{name}\n{shown}\n")
            sys.stdout.write(f"\npublished by the authors, not measured here ({SOURCE})\n")
            sys.stdout.write(f"{summary.table('published').to_string(index=False)}\n\n")
            sys.stdout.write(f"{summary.interpretation}\n")
        if not self.json:
            lines = [
                *speeds,
                *verdicts,
                *record.notes,
                *exclusion_lines(record.excluded),
                f"{folder}  (all tables: the same command with -v)",
            ]
            sys.stdout.write("".join(f"{line}\n" for line in lines))
        if self.figures is not None:
            from litelvlm.figures.files import write_figures

            drawn = write_figures("all", [folder], self.figures)
            paths = "".join(f"{self.figures / picture.name}.png\n" for picture in drawn)
            (sys.stderr if self.json else sys.stdout).write(paths)
        return 0


def speed_lines(ratios: pd.DataFrame) -> list[str]:
    """For each method and budget, in words, how the time of its whole call compares.

    Args:
        ratios: Time of the unpruned model over that of a method, with its interval; of the prefill
            where nothing else was timed.
    """
    walls = ratios[ratios["metric"] == "wall_ms"]
    whole = walls[walls["component"] == "end_to_end"]
    what, shown = ("whole call", whole) if len(whole) else ("prefill", walls)
    lines = []
    for line in shown.sort_values(["n_text", "method", "k"], ascending=[True, True, False]).to_dict(
        "records"
    ):
        faster, slower = line["low"] > 1, line["high"] < 1
        verdict = "faster" if faster else "slower" if slower else "not shown to be faster"
        lines.append(
            f"{line['method']}, {line['k']} tokens, {line['n_text']} per pass: the {what} is "
            f"{verdict} than unpruned, {line['ratio']:.2f}x [{line['low']:.2f}, {line['high']:.2f}]"
        )
    return lines
