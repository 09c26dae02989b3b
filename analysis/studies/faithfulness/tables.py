"""Tables of the faithfulness study: curves, measures, and what pruning by each ranking costs."""

import pandas as pd

from litelvlm.analysis.inputs.picked import primary
from litelvlm.analysis.signals.targets import main_target
from litelvlm.analysis.stats.lines import mean_lines
from litelvlm.analysis.studies.faithfulness.config import Config


def make_tables(rows: pd.DataFrame, config: Config) -> dict[str, pd.DataFrame]:
    """Tables for figures, on expressions of which at least half of the target is visible.

    Returns:
        "curves": mean target per ranking, target, curve (insertion, deletion) and k; "measures":
        every other measure; "pruning": rankings by what keeping their first k tokens costs in the
        main target, the cheapest first.
    """
    rows, _ = primary(rows)
    if rows.empty:
        return {}
    names = ["ranking", "target", "metric", "k"]
    wide = rows.pivot(index=["image_id", "sent_id"], columns=names, values="value")
    table = mean_lines(wide, "value")
    curve = table["metric"].isin(["insertion", "deletion"])
    return {
        "curves": table[curve].rename(columns={"metric": "curve"}).reset_index(drop=True),
        "measures": table[~curve].reset_index(drop=True),
        "pruning": pruning_table(table),
    }


def pruning_table(table: pd.DataFrame) -> pd.DataFrame:
    """Sufficiency for the main target, the smallest fall first at each k, as pruning has it."""
    chosen = (table["metric"] == "sufficiency") & (table["target"] == main_target(table["target"]))
    costs = table[chosen].sort_values(["k", "value"], ignore_index=True)
    costs = costs.drop(columns=["metric", "target"])
    return costs.assign(place=costs.groupby("k").cumcount() + 1)
