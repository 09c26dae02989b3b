"""Claims of the mechanism study: how much of the reversal each probe removes."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from litelvlm.analysis.inputs.labels import HIDDEN, MIN_VISIBLE
from litelvlm.analysis.runs.claims import MIN_IMAGES, Claim, make_claim
from litelvlm.analysis.runs.columns import Row
from litelvlm.analysis.stats.bootstrap import (
    RESAMPLES,
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


def make_claims(rows: pd.DataFrame, resamples: int = RESAMPLES, seed: int = 0) -> list[Claim]:
    """For every probe, whether it takes reversal away (AS > 0); undetermined without reversal."""
    if rows.empty:
        return []
    claims = []
    for line, share, p_value, excluded in _shares(rows, resamples, seed):
        if line["probe"] == BASE:
            continue
        clip = f"@{line['clip_model']}" if line["clip_model"] else ""
        claims.append(
            make_claim(
                f"{line['probe']}{clip}",
                f"Part of the reversal goes away with: {line['name']}; "
                "targets at least half visible.",
                share,
                0.0,
                "the reversal of the released ranking stays",
                p_value=p_value,
                excluded=excluded,
            )
        )
    return claims


def make_tables(
    rows: pd.DataFrame, resamples: int = RESAMPLES, seed: int = 0
) -> dict[str, pd.DataFrame]:
    """Table "probes": RI, RI with foreign texts, AS with interval and verdict, per CLIP model."""
    found = [found.line for found in _shares(rows, resamples, seed)] if not rows.empty else []
    if not found:
        return {}
    table = pd.DataFrame(found)
    known = table["p"].notna()
    table["q"] = np.nan
    if known.any():
        table.loc[known, "q"] = benjamini_hochberg(table.loc[known, "p"].to_numpy())
    return {"probes": table}


def _shares(rows: pd.DataFrame, resamples: int, seed: int) -> list[ProbeShare]:
    """Per CLIP model and probe: a table line, the estimate of AS, and excluded expressions."""
    found = []
    for clip in sorted(rows.loc[rows["visible_frac"] >= MIN_VISIBLE, "clip_model"].unique()):
        every = rows[rows["clip_model"] == clip]
        chosen = every[every["visible_frac"] >= MIN_VISIBLE]
        by_probe = {probe: group.set_index("sent_id") for probe, group in chosen.groupby("probe")}
        hidden = every["sent_id"].nunique() - chosen["sent_id"].nunique()
        for probe in PROBES:
            if probe in by_probe:
                line, share, p_value = _share(
                    str(clip), probe, by_probe[BASE], by_probe[probe], resamples, seed
                )
                missing = len(by_probe[BASE]) - share.n
                excluded = {HIDDEN: hidden, UNLABELLED: unlabelled(rows, clip)}
                excluded[_LACKING.get(probe, _LEFT_OUT)] = missing
                found.append(ProbeShare(line, share, p_value, excluded))
    return found


def _share(
    clip: str, probe: str, base: pd.DataFrame, other: pd.DataFrame, resamples: int, seed: int
) -> tuple[Row, Estimate, float]:
    """One probe against the released ranking, on the expressions that it can rank."""
    base = base.loc[base.index.isin(other.index)]
    other = other.loc[base.index]
    columns = np.column_stack([base["ri"], other["ri"]])
    result = bootstrap_means(columns, base["image_id"].to_numpy(), resamples, seed)
    ri_base, ri_probe = result.estimates()
    share, p_value = attribution_share(result)
    p_value = np.nan if probe == BASE else p_value
    line: Row = {"clip_model": clip, "probe": probe, "name": PROBES[probe]}
    line |= {
        "ri": ri_probe.value,
        "ri_low": ri_probe.low,
        "ri_high": ri_probe.high,
        "ri_base": ri_base.value,
    }
    foreign = other["ri_foreign"].dropna() if "ri_foreign" in other else other["ri"].iloc[:0]
    line |= {
        "ri_foreign": float(foreign.mean()) if len(foreign) else np.nan,
        "n_foreign": len(foreign),
    }
    line |= {
        "share": share.value,
        "low": share.low,
        "high": share.high,
        "p": p_value,
    }
    line["verdict"] = in_words(ri_base, ri_probe, share)
    line |= {"n_images": result.n_images, "n": result.n}
    return line, share, p_value


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
        return Estimate(np.nan, np.nan, np.nan, result.n_images, result.n, reason), np.nan
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
