"""What the scores mean: the study has no claims, and one sentence."""

from collections.abc import Sequence

import pandas as pd

from litelvlm.analysis.runs.claims import Claim
from litelvlm.analysis.runs.formatting import cells_in_words
from litelvlm.analysis.runs.study import Tables
from litelvlm.analysis.studies.understanding.config import Config
from litelvlm.analysis.studies.understanding.scores import main_metric


def make_claims(rows: pd.DataFrame, config: Config) -> list[Claim]:
    """None: scores of a miniature's answers say nothing of other models."""
    return []


def interpret(claims: Sequence[Claim], tables: Tables) -> str:
    """The main metric of every condition in one sentence; empty if nothing was scored."""
    scores = tables["scores"]
    if scores.empty:
        return ""
    main = main_metric(scores)
    return f"{main.capitalize()}: {cells_in_words(scores[scores['metric'] == main])}."
