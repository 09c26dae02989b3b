"""Tables of the emergence study; the unit of every interval is the training."""

import numpy as np
import pandas as pd

from litelvlm.analysis.runs.columns import Row
from litelvlm.analysis.stats.bootstrap import Estimate
from litelvlm.analysis.stats.ends import OPEN, Ends
from litelvlm.analysis.stats.trainings import t_estimate, variance_components
from litelvlm.analysis.studies.emergence.config import FEWEST_REFERENTS, Config
from litelvlm.analysis.studies.emergence.effects import effects_table, interactions_table
from litelvlm.analysis.studies.emergence.links import gains_table, links_table
from litelvlm.analysis.studies.emergence.outcomes import (
    ENDS,
    OUTCOMES,
    category_table,
    outcome_table,
    trajectory_table,
)

CHANGE = ("difference", "difference_low", "difference_high")
"""Columns of a difference from the base; nan without one."""


def make_tables(rows: pd.DataFrame, config: Config) -> dict[str, pd.DataFrame]:
    """Tables for figures and pages.

    Args:
        rows: Of the study.
        config: Gives the gates.

    Returns:
        "outcomes": one line per training; "effects": every effect of the fractional stages;
        "interactions": joint effects of two of their factors; "cells": mean of each outcome in each
        cell, and its difference from the base where there is one; "trajectories": outcomes at the
        kept steps of each training; "components": variance of the reversal index by training,
        category and image; "gains": IoU of the reader of each training that has one, by rule and
        budget (see ``gains_table``); "links": which outcomes go together. A table without lines is
        left out.
    """
    outcomes = outcome_table(rows, config.gate)
    gains = gains_table(rows, outcomes, config.reader_gate)
    found = {
        "outcomes": outcomes,
        "effects": effects_table(outcomes),
        "interactions": interactions_table(outcomes),
        "cells": cells_table(outcomes),
        "trajectories": trajectory_table(rows, config.gate),
        "components": components_table(rows, outcomes),
        "gains": gains,
        "links": links_table(outcomes, gains),
    }
    return {name: table for name, table in found.items() if len(table)}


def cells_table(outcomes: pd.DataFrame) -> pd.DataFrame:
    """Mean of each outcome in each cell with its t interval, and the difference from the base.

    Differences are paired by seed.
    """
    lines: list[Row] = []
    for (stage, cell), part in outcomes.groupby(["stage", "cell"]):
        base = outcomes[(outcomes["stage"] == stage) & (outcomes["cell"] == "base")]
        own, other = (each.set_index("seed")[[*OUTCOMES]] for each in (part, base))
        change = own - other.reindex(own.index)
        for name in OUTCOMES:
            reach = low, high = ENDS.get(name, OPEN)
            mean = _mean(part[name], reach)
            changed = None if cell == "base" else _mean(change[name], (low - high, high - low))
            if mean is not None:
                line: Row = {"stage": stage, "cell": cell, "outcome": name} | mean.line("mean")
                line |= {"learned": int(part["learned"].sum())}
                ends = (np.nan,) * 3 if changed is None else changed[:3]
                lines.append(line | dict(zip(CHANGE, ends, strict=True)))
    return pd.DataFrame(lines)


def _mean(values: "pd.Series[float]", reach: Ends) -> Estimate | None:
    """Mean of what is known, with its t interval; None if nothing is."""
    known = np.asarray(values.dropna(), dtype=np.float64)
    return t_estimate(known, reach) if len(known) else None


def components_table(rows: pd.DataFrame, outcomes: pd.DataFrame) -> pd.DataFrame:
    """Variance of the true text's reversal index in the cells that have several seeds.

    Categories with fewer than three referents in a training are left out.
    """
    lines: list[Row] = []
    table = category_table(rows)
    usable_rows = table[table["n"] >= FEWEST_REFERENTS]
    by_training = {
        name: part.droplevel("training") for name, part in usable_rows.groupby("training")
    }
    for (stage, cell), part in outcomes[outcomes["learned"]].groupby(["stage", "cell"]):
        usable = [by_training[name] for name in part["training"] if name in by_training]
        shared = sorted(set.intersection(*(set(each.index) for each in usable))) if usable else []
        if len(usable) > 1 and len(shared) > 1:
            means, spreads, counts = (
                np.array([each.loc[shared, name] for each in usable], dtype=np.float64)
                for name in ("true", "sd", "n")
            )
            found = variance_components(means, spreads, counts)
            lines.append({"stage": stage, "cell": cell} | found._asdict())
    return pd.DataFrame(lines)
