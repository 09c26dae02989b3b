"""Tables of the mechanism study: how far the reversal changes under each probe."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd

from litelvlm.analysis.inputs.labels import HIDDEN
from litelvlm.analysis.inputs.picked import primary
from litelvlm.analysis.runs.claims import MIN_IMAGES
from litelvlm.analysis.runs.columns import Row
from litelvlm.analysis.stats.bootstrap import Bootstrap, Estimate, bootstrap_means, contrast
from litelvlm.analysis.stats.crossed import Crossed, crossed_mean
from litelvlm.analysis.stats.ends import DIFFERENCE, INDEX
from litelvlm.analysis.stats.lines import (
    adjusted,
    categories_of,
    lines_of_claims,
    widened,
    wider_ends,
    wider_p,
)
from litelvlm.analysis.stats.significance import benjamini_hochberg
from litelvlm.analysis.studies.mechanism.config import Config
from litelvlm.analysis.studies.mechanism.contrasts import crossing_table
from litelvlm.analysis.studies.mechanism.dense import dense_table
from litelvlm.analysis.studies.mechanism.probes import BASE, PROBES
from litelvlm.analysis.studies.reversal.tables import UNLABELLED, unlabelled

NOTHING, TOO_FEW = "nothing to remove", "too few images"
# Why a probe ranks no token of an expression in or out of its target.
_LACKING = {"noun": "no noun was found", "attributes": "no attribute was found"}
_LEFT_OUT = "only outliers in or out of the target"


class ProbeChange(NamedTuple):
    """One probe of one CLIP model.

    Attributes:
        line: Of the table.
        fall: RI as released minus RI under the probe, over images.
        crossed: The same over images and categories.
        p_value: Of the fall against 0; nan for the released ranking.
        excluded: Expressions that are not in it, by reason.
    """

    line: Row
    fall: Estimate
    crossed: Crossed
    p_value: float
    excluded: dict[str, int]


def make_tables(rows: pd.DataFrame, config: Config) -> dict[str, pd.DataFrame]:
    """Tables for figures.

    Returns:
        "probes": RI with intervals over images (ri_low, ri_high), RI with foreign texts, the fall
        below RI as released with intervals over images (low, high) and over images and categories,
        its p-value (the larger of both), q (adjusted over all lines), and the word for it, per CLIP
        model; "categories": RI as released, and the fall under each
        probe, in each category of the model's own referents; "dense": mean IoU of patches that are
        called a category, under each readout of the last blocks; "crossing": the index under each
        readout with each text.
    """
    table = pd.DataFrame([found.line for found in changes(rows, config.margin)])
    if table.empty:
        return {}
    known = table[table["p"].notna()]
    table["q"] = adjusted(known, benjamini_hochberg).reindex(table.index)
    found = {"probes": table}
    found |= {"categories": categories_table(rows), "dense": dense_table(rows, PROBES)}
    found["crossing"] = crossing_table(rows, config)
    return {name: one for name, one in found.items() if not one.empty}


def categories_table(rows: pd.DataFrame) -> pd.DataFrame:
    """RI as released, and the fall of RI under each other probe (column claim), by category."""
    visible, _ = primary(rows)
    own = by_probe(visible[visible["clip_model"] == ""])
    falls = {}
    for probe, other in own.items():
        base = own[BASE][own[BASE].index.isin(other.index)]
        less = 0.0 if probe == BASE else other.loc[base.index, "ri"]
        falls[probe] = base.assign(mean=base["ri"] - less)
    return lines_of_claims(falls, "mean")


def by_probe(rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Rows of one CLIP model by probe, in the order of ``PROBES``; their index is the sent_id."""
    groups = dict(list(rows.groupby("probe")))
    return {name: groups[name].set_index("sent_id") for name in PROBES if name in groups}


def changes(rows: pd.DataFrame, margin: float) -> Iterator[ProbeChange]:
    """Every probe against the released ranking of its CLIP model, on what both can rank."""
    visible, _ = primary(rows)
    for clip, own in visible.groupby("clip_model"):
        every = rows.loc[rows["clip_model"] == clip, "sent_id"]
        excluded = {
            HIDDEN: every.nunique() - own["sent_id"].nunique(),
            UNLABELLED: unlabelled(rows, str(clip)),
        }
        probes = by_probe(own)
        for probe, other in probes.items():
            base = probes[BASE][probes[BASE].index.isin(other.index)]
            found = _change(base, other.loc[base.index], margin, compared=probe != BASE)
            name: Row = {"clip_model": str(clip), "probe": probe, "name": PROBES[probe]}
            missing = len(probes[BASE]) - len(base)
            yield found._replace(
                line=name | found.line,
                excluded=excluded | {_LACKING.get(probe, _LEFT_OUT): missing},
            )


def _change(base: pd.DataFrame, other: pd.DataFrame, margin: float, compared: bool) -> ProbeChange:
    """A probe's line, and how far RI falls under it."""
    pair = np.column_stack([base["ri"], other["ri"]])
    images, categories = base["image_id"].to_numpy(), categories_of(base)
    result = bootstrap_means(pair, images)
    ri_base, ri = result.estimates()
    fall, p_value = fall_of(result)
    crossed_ri, crossed = (
        crossed_mean(values, images, categories, reach)
        for values, reach in ((pair[:, 1], INDEX), (pair[:, 0] - pair[:, 1], DIFFERENCE))
    )
    foreign = other["ri_foreign"].dropna() if "ri_foreign" in other else other["ri"].iloc[:0]
    p_value = p_value if compared else np.nan
    line: Row = {
        "ri": ri.value,
        "ri_low": ri.low,
        "ri_high": ri.high,
        "ri_base": ri_base.value,
        "ri_foreign": float(foreign.mean()) if len(foreign) else np.nan,
        "n_foreign": len(foreign),
        "fall": fall.value,
        "low": fall.low,
        "high": fall.high,
        **wider_ends(fall, crossed),
        "p": wider_p(p_value, crossed),
        "verdict": in_words(ri_base, widened(ri, crossed_ri), widened(fall, crossed), margin),
        "n_images": result.n_images,
        "n": result.n,
    }
    return ProbeChange(line, fall, crossed, p_value, {})


def fall_of(result: Bootstrap) -> tuple[Estimate, float]:
    """RI_0 - RI_P from paired draws of (RI_0, RI_P), and its p-value against 0.

    Undefined, with the reason as its method, unless the interval of RI_0 lies above 0: else there
    is no reversal of which a part could go away.

    Example:
        >>> draws = np.array([[0.40, 0.10], [0.50, 0.10], [0.40, 0.20]])
        >>> fall, _ = fall_of(Bootstrap(np.array([0.4, 0.1]), draws, 30, 90))
        >>> round(fall.value, 3)
        0.3
    """
    base = result.estimates()[0]
    if not base.defined or base.low <= 0:
        reason = (
            "undefined: the interval of RI as released does not lie above 0"
            if base.defined
            else base.method
        )
        return result.undefined(np.nan, reason), np.nan
    fall = contrast(result, lambda v: v[:, :1] - v[:, 1:])
    return fall.estimates()[0], float(fall.p_values()[0])


def in_words(base: Estimate, probe: Estimate, fall: Estimate, margin: float) -> str:
    """The verdict on one probe by the rule in the study's description."""
    if base.n_images < MIN_IMAGES:
        return TOO_FEW
    if not base.defined or base.low <= 0:
        return NOTHING
    if probe.high < margin:
        return "flipped" if probe.high < 0 else "removed"
    if fall.low > -margin and fall.high < margin:
        return "kept"
    if fall.low > 0:
        return "attenuated"
    return "amplified" if fall.high < 0 else "open"
