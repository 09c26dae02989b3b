"""Claims of the mechanism study: how much of the reversal each probe removes."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple, cast

import numpy as np
import pandas as pd

from litelvlm.analysis.inputs.labels import HIDDEN
from litelvlm.analysis.inputs.picked import primary
from litelvlm.analysis.runs.claims import MIN_IMAGES, Claim, make_claim
from litelvlm.analysis.runs.columns import Row
from litelvlm.analysis.stats.bootstrap import (
    Bootstrap,
    Estimate,
    bootstrap_means,
    contrast,
)
from litelvlm.analysis.stats.significance import benjamini_hochberg
from litelvlm.analysis.studies.mechanism.rows import BASE, PROBES
from litelvlm.analysis.studies.reversal.tables import UNLABELLED, unlabelled

NOTHING, TOO_FEW = "nothing to remove", "too few images"
REMOVED = 0.05  # RI below which nothing of a reversal is left


# Why a probe ranks no token of an expression in or out of its target.
_LACKING = {"P7n": "no noun was found", "P7a": "no attribute was found"}


_LEFT_OUT = "only outliers in or out of the target"


class ProbeShare(NamedTuple):
    """One probe of one CLIP model.

    Attributes:
        line: Of the table.
        share: Estimate of AS.
        p_value: Of AS against 0; nan for the released ranking.
        excluded: Expressions that are not in it, by reason.
    """

    line: Row
    share: Estimate
    p_value: float
    excluded: dict[str, int]


def make_claims(rows: pd.DataFrame) -> list[Claim]:
    """For every probe, whether it takes reversal away (AS > 0); undetermined without reversal."""
    return [
        make_claim(
            f"{line['probe']}@{line['clip_model']}".removesuffix("@"),
            f"Part of the reversal goes away with: {line['name']}; targets at least half visible.",
            share,
            0.0,
            "the reversal of the released ranking stays",
            p_value=p_value,
            excluded=excluded,
        )
        for line, share, p_value, excluded in _shares(rows)
        if line["probe"] != BASE
    ]


def make_tables(rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Table "probes": RI, RI with foreign texts, AS with interval and verdict, per CLIP model."""
    table = pd.DataFrame([found.line for found in _shares(rows)])
    if table.empty:
        return {}
    known = table["p"].notna()
    table["q"] = np.nan
    if known.any():
        table.loc[known, "q"] = benjamini_hochberg(table.loc[known, "p"].to_numpy())
    return {"probes": table}


def _shares(rows: pd.DataFrame) -> Iterator[ProbeShare]:
    """Every probe against the released ranking of its CLIP model, on what both can rank."""
    visible, _ = primary(rows)
    for clip, own in visible.groupby("clip_model"):
        by_probe = {probe: group.set_index("sent_id") for probe, group in own.groupby("probe")}
        every = rows.loc[rows["clip_model"] == clip, "sent_id"]
        excluded = {
            HIDDEN: every.nunique() - own["sent_id"].nunique(),
            UNLABELLED: unlabelled(rows, str(clip)),
        }
        for probe in (name for name in PROBES if name in by_probe):
            other = by_probe[probe]
            base = by_probe[BASE][by_probe[BASE].index.isin(other.index)]
            line, share = _share(base, other.loc[base.index], compared=probe != BASE)
            missing = len(by_probe[BASE]) - len(base)
            yield ProbeShare(
                {"clip_model": str(clip), "probe": probe, "name": PROBES[probe]} | line,
                share,
                cast(float, line["p"]),
                excluded | {_LACKING.get(probe, _LEFT_OUT): missing},
            )


def _share(base: pd.DataFrame, other: pd.DataFrame, compared: bool) -> tuple[Row, Estimate]:
    """Columns of a probe's line, and the share of reversal that it takes away."""
    columns = np.column_stack([base["ri"], other["ri"]])
    result = bootstrap_means(columns, base["image_id"].to_numpy())
    ri_base, ri = result.estimates()
    share, p_value = attribution_share(result)
    foreign = other["ri_foreign"].dropna() if "ri_foreign" in other else other["ri"].iloc[:0]
    line: Row = {
        "ri": ri.value,
        "ri_low": ri.low,
        "ri_high": ri.high,
        "ri_base": ri_base.value,
        "ri_foreign": float(foreign.mean()) if len(foreign) else np.nan,
        "n_foreign": len(foreign),
        "share": share.value,
        "low": share.low,
        "high": share.high,
        "p": p_value if compared else np.nan,
        "verdict": in_words(ri_base, ri, share),
        "n_images": result.n_images,
        "n": result.n,
    }
    return line, share


def attribution_share(result: Bootstrap) -> tuple[Estimate, float]:
    """AS = 1 - RI_P / RI_0 from paired draws of (RI_0, RI_P), and its p-value against 0.

    Undefined, with the reason as its method, unless the interval of RI_0 lies above 0: else there
    is no reversal of which a share could go away.

    Example:
        >>> draws = np.array([[0.40, 0.10], [0.50, 0.10], [0.40, 0.20]])
        >>> share, _ = attribution_share(Bootstrap(np.array([0.4, 0.1]), draws, 30, 90))
        >>> round(share.value, 3)
        0.75
    """
    base = result.estimates()[0]
    if not base.defined or base.low <= 0:
        reason = (
            "undefined: the interval of RI as released does not lie above 0"
            if base.defined
            else base.method
        )
        return result.undefined(np.nan, reason), np.nan
    share = contrast(result, lambda v: 1 - v[:, 1:] / v[:, :1])
    return share.estimates()[0], float(share.p_values()[0])


def in_words(base: Estimate, probe: Estimate, share: Estimate) -> str:
    """The verdict on one probe by the rule at the top of this module."""
    if base.n_images < MIN_IMAGES:
        return TOO_FEW
    if not base.defined or base.low <= 0:
        return NOTHING
    if probe.high < REMOVED:
        return "flipped" if probe.high < 0 else "removed"
    return "attenuated" if share.low > 0 else "kept"


def interpret(claims: Sequence[Claim]) -> str:
    """What the probes say together."""
    own = [claim for claim in claims if "@" not in claim.id]
    if not own:
        return "No probe could be read."
    if not any(np.isfinite(claim.estimate) for claim in own):
        return (
            "No probe is judged: the reversal index of the released ranking "
            "is not shown to lie above 0."
        )
    ids = {
        verdict: ", ".join(claim.id for claim in own if claim.verdict == verdict)
        for verdict in _SENTENCES
    }
    return " ".join(
        sentence.format(ids[verdict]) for verdict, sentence in _SENTENCES.items() if ids[verdict]
    )


_SENTENCES = {
    "supported": "Part of the reversal goes away under {}.",
    "not supported": "None of it goes away under {}.",
    "undetermined": "Whether any of it goes away cannot be told for {}.",
}
