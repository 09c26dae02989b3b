"""From rows of answers to the tables of the summary: scores, what failed, and what to know."""

import pandas as pd

from litelvlm.analysis.runs.formatting import interval
from litelvlm.analysis.studies.understanding.config import Config
from litelvlm.analysis.studies.understanding.notes import answer_notes
from litelvlm.analysis.studies.understanding.scores import MAIN, scores_of
from litelvlm.data.understanding.tasks import TASKS

_NUMBERS = ("budget", "score", "visual_tokens")


def make_tables(rows: pd.DataFrame, config: Config) -> dict[str, pd.DataFrame]:
    """The tables of the study.

    Returns:
        "scores": one line per method, budget and metric, with intervals. "failures": method,
        budget, reason, questions. "notes": what a reader of the scores should know.
    """
    typed = with_numbers(rows)
    found = scores_of(typed, TASKS[config.task].scoring)
    notes = [*answer_notes(config.task, typed), *found.notes]
    return {
        "scores": found.lines,
        "failures": failures_of(typed),
        "notes": pd.DataFrame({"note": notes}, dtype=object),
    }


def interpret(scores: pd.DataFrame) -> str:
    """The main metric of every condition in one sentence; empty if nothing was scored."""
    there = [name for name in MAIN.values() if name in set(scores["metric"])]
    found = sorted(there, key=lambda name: name == "accuracy")  # POPE's main metric is F1
    if not found:
        return ""
    lines = scores[scores["metric"] == found[0]].to_dict("records")
    cells = [
        f"{line['method']}{'' if pd.isna(line['budget']) else ' at {:g}'.format(line['budget'])} "
        f"{line['value']:.3f} {interval(line['low'], line['high'])}"
        for line in lines
    ]
    return f"{found[0].capitalize()}: {', '.join(cells)}."


def with_numbers(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows whose numbers are floats, nan for none, also in columns without any number."""
    return rows.astype(dict.fromkeys(_NUMBERS, "float64"))


def failures_of(rows: pd.DataFrame) -> pd.DataFrame:
    """Why answers are missing: method, budget, reason and number of answers."""
    failed = rows[rows["state"] == "failed"].rename(columns={"failure": "reason"})
    names = ["method", "budget", "reason"]
    return failed.groupby(names, dropna=False, sort=False).size().reset_index(name="questions")
