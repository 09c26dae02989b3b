"""`litelvlm bench`: measure, and print the medians."""

import json
import sys
from pathlib import Path

import pandas as pd

from litelvlm.analysis.cli.actions.loading import data_of, studied_of
from litelvlm.analysis.cli.options import require_writable
from litelvlm.analysis.cli.terminal import print_json
from litelvlm.analysis.cli.text import headline_text
from litelvlm.analysis.cli.verbs.bench import Bench
from litelvlm.analysis.runs.folder import add_table, read_record, read_summary
from litelvlm.analysis.runs.messages.reasons import exclusion_lines
from litelvlm.analysis.studies import BENCH, efficiency
from litelvlm.analysis.studies.published import SOURCE
from litelvlm.analysis.studies.stories import story_of
from litelvlm.analysis.studies.table import get_study, run_with_pictures
from litelvlm.figures.files import write_figures


def run(verb: Bench) -> int:
    """Measure and print the medians."""
    require_writable(verb.out, folder=True)
    if verb.figures is not None:
        require_writable(verb.figures, folder=True, option="--figures")
    scores = None if verb.sweep is None else scores_of(verb.sweep)
    config = efficiency.Config.model_validate(
        verb.given(
            *("methods", "budgets", "n_texts", "rounds", "warm_up", "decoded"),
            *("prefill_only", "seed"),
        )
    )
    data, model = data_of(verb), studied_of(verb)
    if verb.sweep is not None:
        read_record(verb.sweep).require_made_with("model", model.digest, verb.sweep)
    folder = run_with_pictures(get_study(BENCH), model, data, config, verb.out)
    if scores is not None:
        add_table(folder, "scores", scores)
    summary, record = read_summary(folder), read_record(folder)
    speeds = speed_lines(summary.table("ratios"))
    verdicts = [headline_text(claim) for claim in summary.claims]
    if verb.json:
        tables = {
            name: json.loads(summary.table(name).to_json(orient="records"))
            for name in summary.tables
        }
        print_json({"run": str(folder), "speeds": speeds, "verdicts": verdicts, "tables": tables})
    else:
        if verb.verbose:
            for name in ("times", "null", "break_even"):
                shown = summary.table(name).to_string(index=False, float_format="%.3f")
                sys.stdout.write(f"\n{name}\n{shown}\n")
            sys.stdout.write(f"\npublished by the authors, not measured here ({SOURCE})\n")
            sys.stdout.write(f"{summary.table('published').to_string(index=False)}\n\n")
            sys.stdout.write(f"{summary.interpretation}\n")
        lines = [*speeds, *verdicts, *record.notes, *exclusion_lines(record.excluded)]
        lines.append(f"{folder}  (all tables: the same command with -v)")
        sys.stdout.write("\n".join([*lines, ""]))
    if verb.figures is not None:
        drawn = write_figures("all", [folder], verb.figures)
        paths = "".join(f"{verb.figures / picture.name}.png\n" for picture in drawn)
        (sys.stderr if verb.json else sys.stdout).write(paths)
    return 0


def scores_of(run: Path) -> pd.DataFrame:
    """Scores of a finished sweep.

    Raises:
        ValueError: If the run is of another study, or not finished.
    """
    record = read_record(run)
    if not story_of(record.study).explorable:
        raise ValueError(f"--sweep {run} is a run of {record.study!r}; name a run of a sweep")
    record.require_complete(run)
    return read_summary(run).table("scores")


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
