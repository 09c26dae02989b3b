"""Tables of the causal sink study: effects of every change, and what H5 rests on by category."""

from collections.abc import Mapping
from typing import NamedTuple

import pandas as pd

from litelvlm.analysis.inputs.picked import primary
from litelvlm.analysis.stats.ends import DIFFERENCE, SHARE
from litelvlm.analysis.stats.lines import crossed_line, lines_of_claims
from litelvlm.analysis.studies.sink_causal.config import Config


class ClaimPart(NamedTuple):
    """An intervention on [SOS] and the same one on a random content token.

    Attributes:
        change: Intervention on [SOS].
        control: The same on one random content token of the expression, in the same layers.
        done: The intervention in words.
        control_done: The control in words.
    """

    change: str
    control: str
    done: str
    control_done: str


PARTS: Mapping[str, ClaimPart] = {
    "H5.mask": ClaimPart(
        "mask_sos",
        "mask_content",
        "Hiding the key of [SOS] from [EOS]",
        "hiding that of a content token",
    ),
    "H5.value": ClaimPart(
        "zero_sos_value",
        "zero_content_value",
        "Taking the value of [SOS] away",
        "taking that of a content token away",
    ),
}
INDEX, KEPT, TEXT = "abs_d_ri", "kept_changed", "text_moved"
_ENDS = dict.fromkeys((INDEX, TEXT), (0.0, 2.0)) | {"cos_eos": (-1.0, 1.0), "d_ri": DIFFERENCE}
"""Where measures end that are no shares."""


def make_tables(rows: pd.DataFrame, config: Config) -> dict[str, pd.DataFrame]:
    """Tables of the study.

    Returns:
        "effects": mean of every measure per intervention and layer set, with its interval over
        images and, where there are three categories or more, over images and categories;
        "categories": the difference to the control that each part of H5 rests on, by category.
    """
    visible, _ = primary(rows)
    if visible.empty:
        return {}
    known = sized(visible)
    overlaps = sorted(name for name in known.columns if name.startswith("jaccard_"))
    names = (INDEX, KEPT, TEXT, "cos_eos", "d_ri", *overlaps)
    found = [
        {"intervention": str(change), "layer_set": str(place), "measure": measure}
        | crossed_line(group.dropna(subset=measure), measure, reach=_ENDS.get(measure, SHARE))
        for (change, place), group in known.groupby(["intervention", "layer_set"], sort=True)
        for measure in names
        if measure in known and group[measure].notna().any()
    ]
    by_name = whole_by_name(known)
    compared = {
        id: by_name[part.change].assign(mean=difference(by_name, part, INDEX))
        for id, part in PARTS.items()
        if {part.change, part.control} <= set(by_name)
    }
    categories = lines_of_claims(compared, "mean")
    tables = {"effects": pd.DataFrame(found)}
    return tables if categories.empty else tables | {"categories": categories}


def sized(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows with the share of kept tokens that change, over all budgets, and the embedding's turn.

    Both are distances: 0 where nothing changes, and at most 1 and 2.
    """
    overlaps = rows[[name for name in rows.columns if name.startswith("jaccard_")]]
    return rows.assign(**{KEPT: 1 - overlaps.mean(axis=1), TEXT: 1 - rows["cos_eos"]})


def whole_by_name(rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Rows of each change in all layers, by the name of the change; their index is the sent_id."""
    whole = rows[rows["layer_set"] == "all"].set_index("sent_id")
    return {str(name): group for name, group in whole.groupby("intervention")}


def difference(
    by_name: Mapping[str, pd.DataFrame], part: ClaimPart, measure: str
) -> "pd.Series[float]":
    """By how much a change moves each expression more than its control does."""
    changed, control = by_name[part.change], by_name[part.control]
    return changed[measure] - control[measure].reindex(changed.index)
