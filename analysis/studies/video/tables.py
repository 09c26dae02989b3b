"""Tables of the study of clips: scores by prune point, token flow, and both protocols."""

import pandas as pd

from litelvlm.analysis.studies.published_video import VIDEO, published_frame
from litelvlm.analysis.studies.scores import SCORES
from litelvlm.analysis.studies.sweep.paired import pair_scores
from litelvlm.analysis.studies.sweep.tables import (
    cell_columns,
    comparison_table,
    kind_table,
    score_table,
    shared_value,
)
from litelvlm.analysis.studies.video.config import Config
from litelvlm.analysis.studies.video.paired import ARM, PAIRING, arms, matched_rows

SHOWN = tuple(SCORES[name] for name in ("j", "f", "jf"))


def make_tables(rows: pd.DataFrame, config: Config) -> dict[str, pd.DataFrame]:
    """Tables for figures; all but the last have columns point and window.

    Returns:
        "scores" (J, F and J&F of every method and budget, and n_kept, the tokens that the language
        model really reads), "comparisons" (with the unpruned model and with random tokens), "kinds"
        (scores by kind of expression), "protocols" (what objects gain where they are paired anew,
        in J&F), "tokens" (how many the language model reads at each budget) and "published" (the
        authors' numbers, not measured here).
    """
    found: dict[str, list[pd.DataFrame]] = {}
    for columns, part in arms(rows):
        paired, counts = pair_scores(part, SHOWN), cell_columns(part)
        made = {
            "scores": score_table(paired).merge(counts, on=["method", "budget"]),
            "comparisons": comparison_table(paired),
            "kinds": kind_table(part, SHOWN),
            "protocols": pairing_table(part),
        }
        for name, table in made.items():
            found.setdefault(name, []).append(table.assign(**columns))
    tables = {name: pd.concat(parts, ignore_index=True) for name, parts in found.items()}
    return tables | {
        "tokens": token_table(rows),
        "published": published_frame(VIDEO),
    }


def pairing_table(rows: pd.DataFrame) -> pd.DataFrame:
    """One line per method and budget: what objects gain where they may be paired with any mask."""
    matched = matched_rows(rows)
    return pd.DataFrame() if matched.empty else score_table(pair_scores(matched, [PAIRING]))


def token_table(rows: pd.DataFrame) -> pd.DataFrame:
    """One line per prune point, window and budget: tokens kept of CLIP's, and tokens read."""
    cells = rows.groupby([*ARM, "budget"], sort=True)
    found: pd.DataFrame = cells.agg(n_kept=("n_kept", shared_value)).reset_index()
    return found
