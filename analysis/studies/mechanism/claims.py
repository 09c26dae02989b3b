"""Claims of the mechanism study: how far the reversal changes under each probe."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from litelvlm.analysis.inputs.labels import HIDDEN
from litelvlm.analysis.inputs.picked import primary
from litelvlm.analysis.runs.claims import MIN_IMAGES, Claim, make_claim
from litelvlm.analysis.runs.columns import Row
from litelvlm.analysis.stats.bootstrap import Bootstrap, Estimate, bootstrap_means, contrast
from litelvlm.analysis.stats.crossed import Crossed, crossed_mean
from litelvlm.analysis.stats.lines import categories_of, category_lines
from litelvlm.analysis.stats.significance import benjamini_hochberg
from litelvlm.analysis.studies.mechanism.dense import dense_table
from litelvlm.analysis.studies.mechanism.rows import BASE, PROBES
from litelvlm.analysis.studies.reversal.tables import UNLABELLED, unlabelled

NOTHING, TOO_FEW = "nothing to remove", "too few images"
REMOVED = 0.05
"""RI below which nothing of a reversal is left; a change below it counts as none."""
MEAN_TEXT = "P6b"
"""The probe that projects out the direction that all texts share."""


# Why a probe ranks no token of an expression in or out of its target.
_LACKING = {"P7n": "no noun was found", "P7a": "no attribute was found"}


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


def make_claims(rows: pd.DataFrame) -> list[Claim]:
    """For every probe, whether the reversal falls under it; undetermined without a reversal."""
    return [
        make_claim(
            f"{line['probe']}@{line['clip_model']}".removesuffix("@"),
            f"Part of the reversal goes away with: {line['name']}; targets at least half visible.",
            fall,
            0.0,
            "the reversal of the released ranking stays",
            p_value=p_value,
            excluded=excluded,
            crossed=crossed,
        )
        for line, fall, crossed, p_value, excluded in _changes(rows)
        if line["probe"] != BASE
    ]


def make_tables(rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Tables for figures.

    Returns:
        "probes": RI with intervals over images (ri_low, ri_high), RI with foreign texts, the fall
        below RI as released with intervals over images (low, high) and over images and categories,
        and the word for it, per CLIP model; "categories": RI as released, and the fall under each
        probe, in each category of the model's own referents; "dense": mean IoU of patches that are
        called a category, under each readout of the last blocks.
    """
    table = pd.DataFrame([found.line for found in _changes(rows)])
    if table.empty:
        return {}
    known = table["p"].notna()
    table["q"] = np.nan
    if known.any():
        table.loc[known, "q"] = benjamini_hochberg(table.loc[known, "p"].to_numpy())
    found = {"categories": categories_table(rows), "dense": dense_table(rows, PROBES)}
    return {"probes": table} | {name: one for name, one in found.items() if not one.empty}


def categories_table(rows: pd.DataFrame) -> pd.DataFrame:
    """RI as released (column claim P0) and the fall of RI under each probe, by category."""
    visible, _ = primary(rows)
    own = visible[visible["clip_model"] == ""]
    by_probe = {probe: group.set_index("sent_id") for probe, group in own.groupby("probe")}
    parts = []
    for probe in (name for name in PROBES if name in by_probe):
        other = by_probe[probe]
        base = by_probe[BASE].loc[by_probe[BASE].index.isin(other.index)]
        fall = base["ri"] - other.loc[base.index, "ri"]
        lines = category_lines(base.assign(fall=base["ri"] if probe == BASE else fall), "fall")
        if not lines.empty:
            lines.insert(0, "claim", probe)
            parts.append(lines)
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def _changes(rows: pd.DataFrame) -> Iterator[ProbeChange]:
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
            found = _change(base, other.loc[base.index], compared=probe != BASE)
            name: Row = {"clip_model": str(clip), "probe": probe, "name": PROBES[probe]}
            missing = len(by_probe[BASE]) - len(base)
            yield found._replace(
                line=name | found.line,
                excluded=excluded | {_LACKING.get(probe, _LEFT_OUT): missing},
            )


def _change(base: pd.DataFrame, other: pd.DataFrame, compared: bool) -> ProbeChange:
    """A probe's line, and how far RI falls under it."""
    pair = np.column_stack([base["ri"], other["ri"]])
    images, categories = base["image_id"].to_numpy(), categories_of(base)
    result = bootstrap_means(pair, images)
    ri_base, ri = result.estimates()
    fall, p_value = fall_of(result)
    crossed = crossed_mean(pair[:, 0] - pair[:, 1], images, categories)
    wide = tuple(
        widened(estimate, crossed_mean(values, images, categories))
        for estimate, values in ((ri, pair[:, 1]), (fall, pair[:, 0] - pair[:, 1]))
    )
    foreign = other["ri_foreign"].dropna() if "ri_foreign" in other else other["ri"].iloc[:0]
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
        "low_categories": wide[1].low if crossed.defined else np.nan,
        "high_categories": wide[1].high if crossed.defined else np.nan,
        "n_categories": crossed.n_categories,
        "p": p_value if compared else np.nan,
        "verdict": in_words(ri_base, *wide),
        "n_images": result.n_images,
        "n": result.n,
    }
    return ProbeChange(line, fall, crossed, p_value if compared else np.nan, {})


def widened(estimate: Estimate, crossed: Crossed) -> Estimate:
    """The estimate with the wider of its two intervals at either end."""
    if not crossed.defined or not estimate.defined:
        return estimate
    low, high = crossed.ends()
    return estimate._replace(low=min(low, estimate.low), high=max(high, estimate.high))


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


def in_words(base: Estimate, probe: Estimate, fall: Estimate) -> str:
    """The verdict on one probe by the rule in the study's description."""
    if base.n_images < MIN_IMAGES:
        return TOO_FEW
    if not base.defined or base.low <= 0:
        return NOTHING
    if probe.high < REMOVED:
        return "flipped" if probe.high < 0 else "removed"
    if fall.low > -REMOVED and fall.high < REMOVED:
        return "kept"
    if fall.low > 0:
        return "attenuated"
    return "amplified" if fall.high < 0 else "open"


def interpret(claims: Sequence[Claim], probes: pd.DataFrame | None = None) -> str:
    """What the probes say together; ``probes`` is the table of that name."""
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
    told = " ".join(
        sentence.format(ids[verdict]) for verdict, sentence in _SENTENCES.items() if ids[verdict]
    )
    seen = ", ".join(claim.id for claim in own if claim.seen_only)
    if seen:
        told += (
            f" Among the categories seen here RI changes under {seen}; "
            "for other categories this is open."
        )
    return told + mean_text(probes)


def mean_text(probes: pd.DataFrame | None) -> str:
    """What it means if the reversal goes with what all texts share; empty if it does not."""
    if probes is None:
        return ""
    line = probes[(probes["clip_model"] == "") & (probes["probe"] == MEAN_TEXT)]
    if line.empty or line["verdict"].iloc[0] not in ("removed", "flipped"):
        return ""
    ri, base = float(line["ri"].iloc[0]), float(line["ri_base"].iloc[0])
    told = (
        f" With the mean text projected out ({MEAN_TEXT}) the index falls from {base:.2f} to "
        f"{ri:.2f}"
    )
    if line["verdict"].iloc[0] == "removed":
        return (
            f"{told}: no reversal is left. So the reversal lies in the direction that all texts "
            "share, not in the part that tells one text from another."
        )
    return (
        f"{told}: the referent's tokens now rank high. So the reversal lies in the direction that "
        "all texts share, which points away from objects; what is left of a text, the part that "
        "tells it from other texts, points towards its referent."
    )


_SENTENCES = {
    "supported": "Part of the reversal goes away under {}.",
    "not supported": "None of it goes away under {}.",
    "undetermined": "Whether any of it goes away cannot be told for {}.",
}
