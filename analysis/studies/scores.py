"""The scores of masks: what is counted of each row, and how sums over rows become a number.

``SCORES`` is the one table that rows, tables, claims and figures walk. A new score is an entry in
it; what it counts is a column of the rows (``count_masks``) or follows from some (``counted``).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from litelvlm.analysis.runs.columns import Column, Row
from litelvlm.analysis.stats.bootstrap import ratios
from litelvlm.analysis.stats.ends import POSITIVE, SHARE, Ends
from litelvlm.arrays import Array
from litelvlm.metrics import (
    EMPTY_BELOW,
    GREFCOCO_SCORES,
    THRESHOLDS,
    PixelCounts,
    TargetPixels,
    frame_scores,
    grefcoco_scores_of_sums,
    grefcoco_summands,
    iou,
)

Sums = Float[Array, "b c"]
HITS = (0.5, 0.7, 0.9)
"""IoU at which a row says that its mask is found."""
SCORE_COLUMNS: tuple[Column, ...] = (
    Column("inter_px", int, "Pixels in prediction and target.", POSITIVE),
    Column("union_px", int, "Pixels in either.", POSITIVE),
    Column("pred_px", int, "Predicted pixels.", POSITIVE),
    Column("target_px", int, "Target pixels.", POSITIVE),
    Column("iou", float, "Intersection over union, 0 to 1; 1 where both are empty.", SHARE),
    Column(
        "same_inter_px",
        int,
        "Pixels in this prediction and in that of the unpruned model.",
        POSITIVE,
    ),
    Column("same_union_px", int, "Pixels in either of the two.", POSITIVE),
    Column(
        "agreement", float, "Their intersection over union, 0 to 1; 1 where both are empty.", SHARE
    ),
    Column("seg_found", bool, "The answer holds a [SEG]; the mask is empty without."),
    *(Column(f"p{hit * 100:.0f}", bool, f"The IoU reaches {hit}.") for hit in HITS),
    Column("j", float, "Mean over frames of the IoU, 0 to 1; none of images.", SHARE),
    Column("f", float, "Mean over frames of the agreement of outlines; likewise.", SHARE),
    Column("jf", float, "Mean of j and f.", SHARE),
    Column("matched_j", float, "J with objects paired anew; 0 where matched_n is 0.", SHARE),
    Column("matched_f", float, "F with objects paired anew; likewise.", SHARE),
    Column("matched_jf", float, "Mean of both.", SHARE),
    Column("merged_jf", float, "Mean of both for the object's own mask in the same map.", SHARE),
    Column("matched_n", float, "1 if the object counts there: it is in frame 0; else 0.", SHARE),
)
"""What a row holds of its masks."""
_SUMMANDS = tuple(f"no_target_{place}" for place in range(7))


def _ratio(sums: Sums) -> Float[Array, "b"]:
    """The first sum over the second; 1 where both are 0."""
    found: Array = ratios(sums)[:, 0]
    return found


@dataclass(frozen=True)
class Score:
    """How masks become one number.

    Attributes:
        name: In tables and options.
        label: For readers.
        columns: What each row adds to the sums; ``counted`` makes them.
        estimate: From sums of the columns over rows [b, c] to the score [b].
        resampled: Whether tables show it with an interval.
        compared: Whether differences in it are tested. It is then its first column over its second.
        reach: The least and the most that it can be.
    """

    name: str
    label: str
    columns: tuple[str, ...]
    estimate: Callable[[Sums], Float[Array, "b"]] = _ratio
    resampled: bool = False
    compared: bool = False
    reach: Ends = SHARE

    def of(self, rows: pd.DataFrame) -> float:
        """The score of rows, each counted once."""
        sums = counted(rows, (self,)).to_numpy().sum(axis=0, keepdims=True)
        return float(self.estimate(sums)[0])


def _grefcoco(sums: Sums, place: int) -> Float[Array, "b"]:
    found: Array = grefcoco_scores_of_sums(sums)[:, place]
    return found


SCORES: Mapping[str, Score] = MappingProxyType(
    {
        score.name: score
        for score in (
            Score("ciou", "cIoU", ("inter_px", "union_px"), resampled=True, compared=True),
            Score("giou", "gIoU", ("iou", "n"), resampled=True, compared=True),
            *(
                Score(f"p{t * 100:.0f}", f"P@{t}", (f"p{t * 100:.0f}", "n"), resampled=t == HITS[0])
                for t in THRESHOLDS
            ),
            Score("agreement", "agreement with unpruned masks", ("same_inter_px", "same_union_px")),
            *(
                Score(name, label, (name, "n"), resampled=True, compared=True)
                for name, label in (("j", "J"), ("f", "F"), ("jf", "J&F"))
            ),
            *(
                Score(
                    f"matched_{name}",
                    f"{label}, objects matched",
                    (f"matched_{name}", "matched_n"),
                    resampled=True,
                )
                for name, label in (("j", "J"), ("f", "F"), ("jf", "J&F"))
            ),
        )
    }
)
"""The scores of masks by name, in the order of tables; the last six are those of clips."""
OF_CLIPS = ("j", "f", "jf")
WITHOUT_SEG = "n_without_seg"
"""Column of tables: answers without [SEG], each of which counts as an empty mask."""
MATCHED = ("matched_j", "matched_f", "matched_jf", "merged_jf", "matched_n")
"""Columns by the protocol of unsupervised DAVIS, where data say which annotator wrote what."""
MAIN = SCORES["ciou"]
"""The score that figures of images show."""
NO_TARGET_SCORES = tuple(
    Score(name, label, _SUMMANDS, partial(_grefcoco, place=place), resampled=True)
    for place, (name, label) in enumerate(
        zip(GREFCOCO_SCORES, ("N-acc", "T-acc", "gIoU", "cIoU"), strict=True)
    )
)
"""Scores of gRefCOCO, where an expression may mean nothing; a refusal there predicts no pixel."""
RESAMPLED = tuple(score for score in SCORES.values() if score.resampled)


def main_score(names: Iterable[str]) -> Score:
    """The score that claims, pages and figures are about: J&F of clips, cIoU of images.

    Args:
        names: The scores that there are.

    Example:
        >>> main_score(["ciou", "giou"]).label, main_score(["ciou", "j", "f", "jf"]).label
        ('cIoU', 'J&F')
    """
    of_clips = SCORES["jf"]
    return of_clips if of_clips.name in set(names) else MAIN


def score_of_one(rows: pd.DataFrame) -> tuple[str, str]:
    """Column and label of what one expression scores: J&F of clips, IoU of images."""
    of_clips = SCORES["jf"]
    return (of_clips.name, of_clips.label) if of_clips.name in rows else ("iou", "IoU")


def stated(rows: pd.DataFrame, scores: Iterable[Score]) -> tuple[Score, ...]:
    """Those scores whose columns the rows have: rows of images lack what only clips have."""
    lacking = {
        name for name in (*OF_CLIPS, *MATCHED) if name not in rows or rows[name].isna().any()
    }
    return tuple(score for score in scores if lacking.isdisjoint(score.columns))


def counted(
    rows: pd.DataFrame, scores: Sequence[Score], empty_below: int = EMPTY_BELOW
) -> pd.DataFrame:
    """What each row adds to the sums of scores: their columns, each once, as float64.

    Args:
        rows: Of a sweep.
        scores: To be made of the sums.
        empty_below: In the scores of gRefCOCO, fewer predicted pixels than this count as nothing.
    """
    names = dict.fromkeys(name for score in scores for name in score.columns)
    made: dict[str, object] = {"n": 1.0}
    made |= {f"p{t * 100:.0f}": rows["iou"] >= t for t in THRESHOLDS if f"p{t * 100:.0f}" in names}
    if names.keys() & set(_SUMMANDS):
        inter, union, predicted, target = (
            rows[name].to_numpy() for name in ("inter_px", "union_px", "pred_px", "target_px")
        )
        empty = without_target(rows)
        summands = grefcoco_summands(inter, union, predicted, target, empty, empty_below)
        made |= dict(zip(_SUMMANDS, summands.T, strict=True))
    own = {name: made[name] if name in made else rows[name] for name in names}
    return pd.DataFrame(own, index=rows.index).astype(np.float64)


def without_target(rows: pd.DataFrame) -> Bool[Array, "n"]:
    """Whether each expression means nothing in its image.

    Pixels that are scored do not tell: an object all of whose pixels are doubled has none, and is
    an object.
    """
    empty: Array = rows["area_frac"].to_numpy() == 0
    return empty


def count_masks(
    masks: Bool[Tensor, "p t f h w"],
    targets: TargetPixels,
    unpruned: Bool[Tensor, "p t f h w"],
    has_seg: Sequence[Sequence[bool]],
    by_frame: bool = False,
) -> list[list[Row]]:
    """What rows hold of a batch of masks (``SCORE_COLUMNS``), by pass and turn.

    The pixels of a clip are counted over all its frames, as if they lay one below the other.

    Args:
        masks: Predicted masks.
        targets: True masks, one for each.
        unpruned: Those that the unpruned model predicts.
        has_seg: Whether each answer holds a [SEG].
        by_frame: Whether frames are scored one by one, too.
    """
    found, same = targets.counted(masks), TargetPixels.of_masks(unpruned).counted(masks)
    rows = [
        [_row(*turn) for turn in zip(*turns, strict=True)]
        for turns in zip(_numbers(found), _numbers(same), has_seg, strict=True)
    ]
    if by_frame:
        j, f = frame_scores(masks, targets).means()
        for place, turn in np.ndindex(j.shape):
            both = float(j[place, turn]), float(f[place, turn])
            rows[place][turn] |= dict(zip(OF_CLIPS, (*both, sum(both) / 2), strict=True))
    return rows


Numbers = tuple[int, int, int, int, float]
"""Pixels in both, in either, in the prediction and in the other mask; IoU."""


def _row(own: Numbers, same: Numbers, has_seg: bool) -> Row:
    both, either, predicted, target, share = own
    row: Row = {
        "inter_px": both,
        "union_px": either,
        "pred_px": predicted,
        "target_px": target,
        "iou": share,
        "same_inter_px": same[0],
        "same_union_px": same[1],
        "agreement": same[-1],
        "seg_found": has_seg,
    }
    return row | {f"p{hit * 100:.0f}": share >= hit for hit in HITS}


def _numbers(counts: PixelCounts) -> list[list[Numbers]]:
    """Counts of a batch [passes, turns, frames] over frames, brought from their device at once."""
    pixels = torch.stack(list(counts), dim=-1).sum(dim=2).cpu()
    both, either = (pixels[..., place] for place in (0, 1))
    exact = iou(both.flatten().tolist(), either.flatten().tolist(), exact=True)
    return [
        [(*own, share) for own, share in zip(of_pass, shares, strict=True)]
        for of_pass, shares in zip(pixels.tolist(), exact.reshape(both.shape).tolist(), strict=True)
    ]
