"""Readouts crossed with texts: contrasts that were settled before the trainings they are about.

``settled.json`` holds them with the plan of those trainings. Each is a sum of cells, such as
"released/question" minus "released/foreign", turned so that what it says lies above 0. The same
contrasts are asked of one model over images, or of several CLIP models over trainings.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from litelvlm.analysis.inputs.picked import primary
from litelvlm.analysis.runs.claims import Claim
from litelvlm.analysis.runs.means import mean_claim
from litelvlm.analysis.runs.over_trainings import ALL_TRAININGS, over_trainings, training_claim
from litelvlm.analysis.runs.verdicts import within_family
from litelvlm.analysis.stats.ends import INDEX, Ends
from litelvlm.analysis.stats.lines import crossed_line
from litelvlm.analysis.stats.trainings import t_estimate
from litelvlm.analysis.studies.mechanism.config import Config
from litelvlm.analysis.studies.mechanism.probes import READOUTS, TEXTS

SETTLED = Path(__file__).with_name("settled.json")
_LACKING = "a readout or a text of the contrast is missing"
_COLUMNS = {"question": "ri", "foreign": "ri_foreign", **{text: f"ri_{text}" for text in TEXTS}}


class Contrast(NamedTuple):
    """One settled contrast.

    Attributes:
        id: Short name.
        says: The claim, as a sentence.
        cells: Weight of each "readout/text".
    """

    id: str
    says: str
    cells: Mapping[str, float]

    @property
    def reach(self) -> Ends:
        """The least and the largest value that the contrast can have."""
        most = float(sum(map(abs, self.cells.values())))
        return -most, most

    def values(self, indices: pd.DataFrame) -> "pd.Series[float]":
        """The contrast for each expression that has all of its cells; empty where a cell lacks."""
        if not set(self.cells) <= set(indices):
            return pd.Series(dtype=np.float64)
        known = indices[list(self.cells)].dropna()
        return known.mul(pd.Series(self.cells)).sum(axis=1)


def settled_contrasts() -> list[Contrast]:
    """All contrasts, in the file's order."""
    return [Contrast(**entry) for entry in json.loads(SETTLED.read_text())["contrasts"]]


def cells_of(rows: pd.DataFrame) -> pd.DataFrame:
    """Reversal indices of one CLIP model: an expression a line, a "readout/text" a column."""
    found = {}
    for readout, part in rows[rows["probe"].isin(READOUTS)].groupby("probe"):
        by_expression = part.set_index("sent_id")
        for text, column in _COLUMNS.items():
            if column in by_expression:
                found[f"{readout}/{text}"] = by_expression[column]
    return pd.DataFrame(found).dropna(axis=1, how="all")


def contrast_claims(rows: pd.DataFrame, config: Config) -> list[Claim]:
    """One claim for each contrast that can be computed; Holm's adjustment runs over all settled.

    Over images they are about the model's own towers. Over trainings each other CLIP model counts
    as one, by its mean over expressions; the model's own is left out, since its recipe was chosen.
    """
    visible, excluded = primary(rows)
    if config.over == "trainings":
        return claims_over_trainings(training_means(visible).values(), config.margin)
    own = visible[visible["clip_model"] == ""]
    return judged(_over_images(own, config.margin, excluded), len(settled_contrasts()))


def training_means(visible: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Mean of each contrast over expressions, for every CLIP model beside the own one.

    Args:
        visible: Rows of the study whose referents are at least half visible.
    """
    others = visible[visible["clip_model"] != ""]
    cells = {str(clip): cells_of(part) for clip, part in others.groupby("clip_model")}
    return {
        clip: {
            one.id: float(values.mean())
            for one in settled_contrasts()
            if len(values := one.values(found))
        }
        for clip, found in cells.items()
    }


def claims_over_trainings(trainings: Iterable[Mapping[str, float]], margin: float) -> list[Claim]:
    """One claim for each contrast that a training has, adjusted by Holm over all settled.

    Args:
        trainings: Value of each contrast, by id.
        margin: An effect below this counts as none.
    """
    known, settled = list(trainings), settled_contrasts()
    claims = []
    for one in settled:
        values = np.array([training[one.id] for training in known if one.id in training])
        if len(values):
            evidence = over_trainings(values, margin, one.reach)
            claims.append(training_claim(one.id, one.says, evidence, _null(one)))
    return judged(claims, len(settled))


def judged(claims: Iterable[Claim], members: int) -> list[Claim]:
    """Claims after Holm's adjustment over their family; an effect within the margin counts as none.

    Args:
        claims: Those that could be made, each with the verdict that it has alone.
        members: Contrasts that were settled together.
    """
    alone = list(claims)
    return [
        after.model_copy(update={"verdict": "not supported"}) if _negligible(before) else after
        for before, after in zip(alone, within_family(alone, members), strict=True)
    ]


def _negligible(claim: Claim) -> bool:
    """Whether an effect is shown, and shown to be smaller than counts."""
    low, high = claim.widest
    return claim.verdict == "supported" and -claim.margin < low and high < claim.margin


def _over_images(own: pd.DataFrame, margin: float, excluded: Mapping[str, int]) -> Iterator[Claim]:
    cells, keys = cells_of(own), own.drop_duplicates("sent_id").set_index("sent_id")
    for one in settled_contrasts():
        values = one.values(cells)
        if len(values):
            yield mean_claim(
                one.id,
                f"{one.says[:-1]}; targets at least half visible.",
                values,
                keys.loc[values.index],
                _null(one),
                margin=margin,
                excluded={**excluded, _LACKING: len(keys) - len(values)},
                reach=one.reach,
            )


def _null(one: Contrast) -> str:
    return "no difference" if len(one.cells) > 1 else "no relation"


def crossing_table(rows: pd.DataFrame, config: Config) -> pd.DataFrame:
    """Every cell: clip_model, readout, text, and the mean index with its interval.

    With ``over="trainings"`` a line more for each cell, with clip_model "all trainings": the mean
    over the other CLIP models, and its interval over them.
    """
    visible, _ = primary(rows)
    lines, means = [], dict[str, list[float]]()
    for clip, part in visible.groupby("clip_model"):
        cells, keys = cells_of(part), part.drop_duplicates("sent_id").set_index("sent_id")
        for name in map(str, cells):
            known = keys.assign(ri=cells[name]).dropna(subset="ri")
            lines.append(_line(str(clip), name) | crossed_line(known, "ri", reach=INDEX))
            if clip:
                means.setdefault(name, []).append(float(known["ri"].mean()))
    if config.over == "trainings":
        lines += [
            _line(ALL_TRAININGS, name) | t_estimate(np.array(values), INDEX).line("mean")
            for name, values in means.items()
        ]
    return pd.DataFrame(lines)


def _line(clip: str, cell: str) -> dict[str, object]:
    readout, text = cell.split("/")
    return {"clip_model": clip, "readout": readout, "text": text}
