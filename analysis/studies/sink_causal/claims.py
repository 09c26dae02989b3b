"""Claims of the causal sink study: H5 and its parts.

Signed changes cancel: an intervention that raises the index of one expression and lowers that of
another moves the mean by nothing. So the claims rest on the size of the change in each expression.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from litelvlm.analysis.inputs.picked import primary
from litelvlm.analysis.runs.claims import Claim, effect_claim, joint_claim
from litelvlm.analysis.stats.bootstrap import bootstrap_means
from litelvlm.analysis.stats.crossed import crossed_mean
from litelvlm.analysis.stats.lines import categories_of, category_lines, crossed_line
from litelvlm.analysis.studies.sink_causal.rows import Config

DECIMALS = 6  # embeddings are float32


class Part(NamedTuple):
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


PARTS = {
    "H5.mask": Part(
        "mask_sos",
        "mask_content",
        "Hiding the key of [SOS] from [EOS]",
        "hiding that of a content token",
    ),
    "H5.value": Part(
        "zero_sos_value",
        "zero_content_value",
        "Taking the value of [SOS] away",
        "taking that of a content token away",
    ),
}
INDEX, KEPT, TEXT = "abs_d_ri", "kept_changed", "text_moved"
MEASURES = {
    INDEX: ("", "changes the reversal index of an expression"),
    KEPT: (".kept", "exchanges kept tokens"),
    TEXT: (".text", "turns the text embedding"),
}
"""Measures of the size of a change: what they add to a claim's id, and what they are in words."""


def make_claims(rows: pd.DataFrame, config: Config | None = None) -> list[Claim]:
    """Claim H5, its two parts, and the same parts by kept tokens and by the text embedding.

    On targets that are at least half visible; the others are counted.

    Args:
        rows: Of the study.
        config: With the margins; the defaults if left out.
    """
    settings = config or Config()
    margins = {
        INDEX: settings.margin,
        KEPT: settings.margin_kept,
        TEXT: settings.margin_text,
    }
    visible, excluded = primary(rows)
    whole = sized(visible[visible["layer_set"] == "all"])
    by_name = {
        str(name): group.set_index("sent_id") for name, group in whole.groupby("intervention")
    }
    needed = {name for part in PARTS.values() for name in (part.change, part.control)}
    if not set(by_name) >= needed:
        return []
    claims = {
        f"{id}{suffix}": _more(
            f"{id}{suffix}", part, by_name, measure, words, margins[measure], excluded
        )
        for measure, (suffix, words) in MEASURES.items()
        for id, part in PARTS.items()
    }
    statement = (
        "Taking the sink of the text tower away changes the reversal of single expressions more "
        "than taking a content token away, both ways of taking it."
    )
    return [*claims.values(), joint_claim("H5", statement, [claims[id] for id in PARTS])]


def sized(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows with the share of kept tokens that change, over all budgets, and the embedding's turn.

    Both are distances: 0 where nothing changes, and at most 1 and 2.
    """
    overlaps = rows[[name for name in rows.columns if name.startswith("jaccard_")]]
    return rows.assign(**{KEPT: 1 - overlaps.mean(axis=1), TEXT: 1 - rows["cos_eos"]})


def _more(
    id: str,
    part: Part,
    by_name: dict[str, pd.DataFrame],
    measure: str,
    words: str,
    margin: float,
    excluded: dict[str, int],
) -> Claim:
    """A claim that a change is larger than its control; equivalence refutes it, even above 0."""
    changed, control = by_name[part.change], by_name[part.control]
    difference = (changed[measure] - control[measure].reindex(changed.index)).to_numpy()
    difference = difference.astype(np.float64).round(DECIMALS)
    images = changed["image_id"].to_numpy()
    claim = effect_claim(
        id,
        f"{part.done} {words} more than {part.control_done}; targets at least half visible.",
        bootstrap_means(difference[:, None], images),
        f"as much as {part.control_done}; differences below {margin:g} count as none",
        excluded,
        margin,
        crossed_mean(difference, images, categories_of(changed)),
    )
    return claim.model_copy(update={"verdict": "not supported"}) if claim.equivalent else claim


def make_tables(rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
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
    names = (INDEX, KEPT, TEXT, "cos_eos", "d_ri", "d_ts", "d_iou", *overlaps)
    found = [
        {"intervention": str(change), "layer_set": str(place), "measure": measure}
        | crossed_line(group.dropna(subset=measure), measure)
        for (change, place), group in known.groupby(["intervention", "layer_set"], sort=True)
        for measure in names
        if measure in known and group[measure].notna().any()
    ]
    categories = _categories(known[known["layer_set"] == "all"])
    tables = {"effects": pd.DataFrame(found)}
    return tables if categories.empty else tables | {"categories": categories}


def _categories(whole: pd.DataFrame) -> pd.DataFrame:
    by_name = {str(name): part.set_index("sent_id") for name, part in whole.groupby("intervention")}
    found = []
    for id, part in PARTS.items():
        if not {part.change, part.control} <= set(by_name):
            continue
        changed, control = by_name[part.change], by_name[part.control]
        difference = changed[INDEX] - control[INDEX].reindex(changed.index)
        lines = category_lines(changed.assign(difference=difference), "difference")
        if not lines.empty:
            lines.insert(0, "claim", id)
            found.append(lines)
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame()


def interpret(claims: Sequence[Claim], effects: pd.DataFrame | None = None) -> str:
    """What the verdicts mean together; ``effects`` is the table of that name."""
    by_id = {claim.id: claim for claim in claims}
    if "H5" not in by_id:
        return "Whether the sink on [SOS] bears on the reversal cannot be told here."
    verdict = by_id["H5"].verdict
    more = [id for id in PARTS if by_id[id].verdict == "supported"]
    less = [id for id in PARTS if by_id[id].widest[1] < 0]
    if verdict == "supported":
        text = (
            "The sink on [SOS] bears on the reversal: without it the index of single expressions "
            "changes more than without a content token."
        )
    elif more:
        text = (
            "The sink on [SOS] bears on the reversal in part at most: only "
            f"{' and '.join(more)} shows a larger change than its control."
        )
    elif verdict == "undetermined":
        text = "Whether the sink on [SOS] bears on the reversal cannot be told here."
    elif len(less) == len(PARTS):
        text = (
            "The sink on [SOS] bears on the reversal less than a content token does: both ways of "
            "taking it change the index of single expressions less."
        )
    else:
        text = (
            "Whatever sink there is, it does not explain the reversal: without it the index of "
            "single expressions changes no more than without a content token."
        )
    return text + sizes(effects)


def sizes(effects: pd.DataFrame | None) -> str:
    """The mean size of each change beside that of its control, in one sentence."""
    if effects is None or effects.empty:
        return ""
    whole = effects[effects["layer_set"] == "all"].set_index(["intervention", "measure"])["mean"]
    part = PARTS["H5.mask"]
    pairs = [
        f"{name} {whole[part.change, measure]:.3f} against {whole[part.control, measure]:.3f}"
        for measure, name in (
            (INDEX, "change of the index"),
            (KEPT, "kept tokens exchanged"),
            (TEXT, "turn of the text embedding"),
        )
        if (part.change, measure) in whole.index and (part.control, measure) in whole.index
    ]
    return f" Hiding [SOS] against hiding a content token: {', '.join(pairs)}." if pairs else ""
