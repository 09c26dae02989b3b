"""From rows of answers to the tables of the summary: scores, what failed, and what to know."""

from collections.abc import Iterator

import pandas as pd

from litelvlm.analysis.studies.understanding.asking import REC, RULES
from litelvlm.analysis.studies.understanding.config import Config
from litelvlm.analysis.studies.understanding.scores import scores_of

_NUMBERS = ("budget", "seen", "score", "visual_tokens")
_COUNTED = {
    "pope": " and count as 'yes', by POPE's rule",
    REC: " and count as IoU 0; --box-format says what the numbers of a box are",
}
_SHOWN = 0.5  # of a true box; no answer about less can reach an IoU of 0.5


def make_tables(rows: pd.DataFrame, config: Config) -> dict[str, pd.DataFrame]:
    """The tables of the study.

    Returns:
        "scores": one line per method, budget and metric, with intervals. "failures": method,
        budget, reason, questions. "notes": what a reader of the scores should know.
    """
    # Numbers are floats, nan for none, also in columns without any number.
    typed = rows.astype(dict.fromkeys(_NUMBERS, "float64"))
    failed = typed[typed["state"] == "failed"].rename(columns={"failure": "reason"})
    names = ["method", "budget", "reason"]
    counted = failed.groupby(names, dropna=False, sort=False).size().reset_index(name="questions")
    return {
        "scores": scores_of(typed, RULES[typed["task"].iloc[0]]),
        "failures": counted,
        "notes": pd.DataFrame({"note": list(answer_notes(typed))}, dtype=object),
    }


def answer_notes(rows: pd.DataFrame) -> Iterator[str]:
    """One sentence per condition and state with answers that hold nothing to score.

    Answers are counted for each method and budget, all draws together; failed ones are none. Where
    boxes are asked for, a sentence before them counts those that the model is hardly shown.
    """
    asked = rows.drop_duplicates("question_id")
    hidden = int((asked["seen"] < _SHOWN).sum())
    if hidden:
        yield (
            f"the model is shown less than half of {hidden} of {len(asked)} boxes: its image "
            "processor cuts pictures (--pad shows them whole)"
        )
    answered = rows[rows["state"] != "failed"]
    for (method, _), part in answered.groupby(["method", "budget"], dropna=False, sort=False):
        budget = part["budget"].iloc[0]
        name = f"{method}{'' if pd.isna(budget) else f' {budget:g}'}"
        counted = _COUNTED.get(part["task"].iloc[0], "")
        for state in ("empty", "unreadable"):
            found = part[part["state"] == state]
            if len(found):
                first = found.iloc[0]
                yield (
                    f"{len(found)} of {len(part)} answers of {name} are {state}{counted}; the "
                    f"first is {str(first['answer'])[:40]!r} to question {first['question_id']}"
                )
