"""Claims of the causal sink study: H5 and its parts."""

from collections.abc import Sequence

import pandas as pd

from litelvlm.analysis.inputs.labels import HIDDEN, MIN_VISIBLE
from litelvlm.analysis.runs.claims import Claim, joint_claim, make_claim
from litelvlm.analysis.runs.columns import Row
from litelvlm.analysis.stats.bootstrap import RESAMPLES, bootstrap_means
from litelvlm.analysis.studies.reversal.tables import mean_columns
from litelvlm.analysis.studies.sink_causal.rows import (
    Config,
)

MARGIN = Config().margin


DECIMALS = 6  # embeddings are float32


PARTS = {
    "H5.mask": ("mask_sos", "Hiding the key of [SOS] from [EOS]"),
    "H5.value": ("zero_sos_value", "Taking the value of [SOS] away"),
}


def make_claims(
    rows: pd.DataFrame, resamples: int = RESAMPLES, seed: int = 0, margin: float = MARGIN
) -> list[Claim]:
    """Claim H5 and its parts, on targets that are at least half visible; the others are counted.

    Args:
        rows: Of the study.
        resamples: Number of draws.
        seed: Of the draws.
        margin: Differences of RI below it count as none.
    """
    if rows.empty:
        return []
    seen = rows["visible_frac"] >= MIN_VISIBLE
    excluded = {HIDDEN: rows.loc[~seen, "sent_id"].nunique()}
    chosen = rows[seen & (rows["layer_set"] == "all")]
    by_name = {
        str(name): group.set_index("sent_id") for name, group in chosen.groupby("intervention")
    }
    if not set(by_name) >= {"mask_sos", "zero_sos_value", "mask_content"}:
        return []
    parts = [
        _differs(
            id, statement, by_name[name], by_name["mask_content"], margin, excluded, resamples, seed
        )
        for id, (name, statement) in PARTS.items()
    ]
    statement = (
        "The sink of the text tower changes the reversal otherwise than hiding "
        "a content token does."
    )
    joint = joint_claim("H5", statement, parts).model_copy(update={"one_sided": False})
    return [*parts, joint]


def _differs(
    id: str,
    statement: str,
    changed: pd.DataFrame,
    control: pd.DataFrame,
    margin: float,
    excluded: dict[str, int],
    resamples: int,
    seed: int,
) -> Claim:
    """A two-sided claim: equivalence refutes it, else an interval without 0 supports it."""
    difference = (
        (changed["d_ri"] - control["d_ri"].reindex(changed.index)).to_numpy().round(DECIMALS)
    )
    result = bootstrap_means(difference[:, None], changed["image_id"].to_numpy(), resamples, seed)
    estimate, p_value = result.estimates()[0], float(result.p_values()[0])
    claim = make_claim(
        id,
        f"{statement} changes RI by another amount than hiding a content token; "
        "targets at least half visible.",
        estimate,
        0.0,
        f"as hiding a content token; differences below {margin:g} count as none",
        direction="less" if estimate.value < 0 else "greater",
        p_value=p_value,
        p_claimed=p_value,
        excluded=excluded,
        margin=margin,
        p_equivalent=float(result.p_equivalent(margin)[0]),
    )
    return claim.model_copy(update={"verdict": "not supported"}) if claim.equivalent else claim


def make_tables(
    rows: pd.DataFrame, resamples: int = RESAMPLES, seed: int = 0
) -> dict[str, pd.DataFrame]:
    """Table "effects": mean of every measure per intervention and layer set, with intervals."""
    visible = rows if rows.empty else rows[rows["visible_frac"] >= MIN_VISIBLE]
    if visible.empty:
        return {}
    names = [
        "cos_eos",
        "d_ri",
        "d_ts",
        "d_iou",
        *sorted(c for c in map(str, visible.columns) if c.startswith("jaccard_")),
    ]
    found: list[Row] = []
    for (change, place), group in visible.groupby(["intervention", "layer_set"], sort=True):
        for measure in (name for name in names if name in group):
            known = group[group[measure].notna()]
            if not known.empty:
                (cell,) = mean_columns(known, [measure], resamples, seed)
                found.append({"intervention": str(change), "layer_set": str(place)} | cell)
    return {"effects": pd.DataFrame(found)}


def interpret(claims: Sequence[Claim]) -> str:
    """What the verdicts mean together."""
    verdicts = {claim.id: claim.verdict for claim in claims}
    found = verdicts.get("H5", "undetermined")
    if found == "supported":
        return (
            "The sink on [SOS] bears on the reversal: without it RI changes otherwise than "
            "without a content token."
        )
    if found == "not supported":
        alone = [
            claim.id for claim in claims if claim.id in PARTS and claim.verdict != "not supported"
        ]
        if alone:
            parts = " and ".join(alone)
            return (
                "The sink on [SOS] bears on the reversal in part at most: "
                f"{parts} stays open or holds."
            )
        return (
            "Whatever sink there is, it does not explain the reversal: without it RI stays as "
            "with any key hidden."
        )
    return "Whether the sink on [SOS] bears on the reversal cannot be told here."
