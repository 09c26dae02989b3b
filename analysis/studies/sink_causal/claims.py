"""Claims of the causal sink study: H5 and its parts."""

from collections.abc import Sequence

import pandas as pd

from litelvlm.analysis.inputs.picked import primary
from litelvlm.analysis.runs.claims import Claim, joint_claim, make_claim
from litelvlm.analysis.stats.bootstrap import bootstrap_means
from litelvlm.analysis.stats.lines import mean_line
from litelvlm.analysis.studies.sink_causal.rows import (
    Config,
)

MARGIN = Config().margin


DECIMALS = 6  # embeddings are float32


PARTS = {
    "H5.mask": ("mask_sos", "Hiding the key of [SOS] from [EOS]"),
    "H5.value": ("zero_sos_value", "Taking the value of [SOS] away"),
}


def make_claims(rows: pd.DataFrame, margin: float = MARGIN) -> list[Claim]:
    """Claim H5 and its parts, on targets that are at least half visible; the others are counted.

    Args:
        rows: Of the study.
        margin: Differences of RI below it count as none.
    """
    visible, excluded = primary(rows)
    whole = visible[visible["layer_set"] == "all"]
    by_name = {
        str(name): group.set_index("sent_id") for name, group in whole.groupby("intervention")
    }
    if not set(by_name) >= {"mask_sos", "zero_sos_value", "mask_content"}:
        return []
    parts = [
        _differs(id, statement, by_name[name], by_name["mask_content"], margin, excluded)
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
) -> Claim:
    """A two-sided claim: equivalence refutes it, else an interval without 0 supports it."""
    difference = (changed["d_ri"] - control["d_ri"].reindex(changed.index)).round(DECIMALS)
    result = bootstrap_means(difference.to_numpy()[:, None], changed["image_id"].to_numpy())
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


def make_tables(rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Table "effects": mean of every measure per intervention and layer set, with intervals."""
    visible, _ = primary(rows)
    if visible.empty:
        return {}
    overlaps = sorted(name for name in visible.columns if name.startswith("jaccard_"))
    names = [name for name in ("cos_eos", "d_ri", "d_ts", "d_iou", *overlaps) if name in visible]
    found = [
        {"intervention": str(change), "layer_set": str(place), "measure": measure}
        | mean_line(group.dropna(subset=measure), measure)
        for (change, place), group in visible.groupby(["intervention", "layer_set"], sort=True)
        for measure in names
        if group[measure].notna().any()
    ]
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
