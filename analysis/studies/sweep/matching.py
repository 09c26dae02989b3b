"""The protocol of unsupervised DAVIS in a sweep: masks of a clip's objects, paired anew.

Masks of one group are merged first, each pixel going to one object. So each mask is also scored
against its own object as merged; the difference is what pairing adds.
"""

import math
import zlib
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, UInt8
from torch import Tensor

from litelvlm.analysis.runs.columns import Row
from litelvlm.analysis.studies.scores import MATCHED
from litelvlm.analysis.studies.sweep.passes import Loaded, Pass
from litelvlm.arrays import Array
from litelvlm.data.dataset import Expression
from litelvlm.data.refs import NO_TARGET
from litelvlm.data.video.read import ANNOTATORS
from litelvlm.metrics import IGNORE, match_objects, merge_masks

Cell = tuple[str, int, int]
"""Method, budget and seed."""


class MatchedMasks:
    """Masks of a clip, packed until those of a group are complete.

    Args:
        loaded: The clip with its true masks.
    """

    def __init__(self, loaded: Loaded) -> None:
        self.loaded, self.groups = loaded, loaded.matched
        self._masks: dict[Cell, dict[int, bytes]] = {}

    def add(self, made: Pass, turn: int, masks: Bool[Tensor, "f h w"]) -> None:
        """Keep the masks of one expression."""
        if self.groups:
            bits = np.packbits(masks.cpu().numpy()).tobytes()
            self._masks.setdefault(cell_of(made), {})[turn] = zlib.compress(bits, level=1)

    def columns(self) -> dict[tuple[Cell, int], Row]:
        """Scores of the objects by cell and expression, for groups whose masks are complete."""
        found = dict[tuple[Cell, int], Row]()
        for cell, masks in self._masks.items():
            for turns in self.groups:
                if masks.keys() >= set(turns):
                    rows = self._scores([masks[turn] for turn in turns], turns)
                    found |= {(cell, turn): row for turn, row in rows.items()}
        return found

    def _scores(self, masks: Sequence[bytes], turns: Sequence[int]) -> dict[int, Row]:
        """Columns of each expression: those of its object, paired with whichever prediction."""
        shape = self.loaded.masks.shape[1:]
        predicted = np.stack([_unpacked(one, shape) for one in masks])
        objects = [self.loaded.sample.expressions[turn].ann_ids[0] for turn in turns]
        labels = [1 + sorted(objects).index(own) for own in objects]
        truth = torch.zeros(shape, dtype=torch.uint8)
        for label, turn in zip(labels, turns, strict=True):
            own = torch.from_numpy(self.loaded.masks[turn])
            truth[own == 1] = label
            truth[own == IGNORE] = IGNORE
        matched = match_objects(truth, merge_masks(torch.from_numpy(predicted)))
        absent = np.array(
            [float((truth != label).all(-1).all(-1).float().mean()) for label in labels]
        )
        j, f = matched.scores.means()
        paired = {
            label: (float(one), float(other))
            for (label, _), one, other in zip(matched.pairs, j, f, strict=True)
        }
        own_j, own_f = matched.table.means()
        rows = dict[int, Row]()
        for place, (label, turn) in enumerate(zip(labels, turns, strict=True)):
            alone = float(absent[place])  # of a mask that lost every pixel
            if place < len(own_j) and label in paired:
                alone = float(own_j[place, label - 1] + own_f[place, label - 1]) / 2
            rows[turn] = _row(paired.get(label), alone)
        return rows


def _unpacked(packed: bytes, shape: tuple[int, ...]) -> UInt8[Array, "f h w"]:
    bits = np.frombuffer(zlib.decompress(packed), dtype=np.uint8)
    masks: Array = np.unpackbits(bits, count=math.prod(shape)).reshape(shape)
    return masks


def _row(scores: tuple[float, float] | None, own: float) -> Row:
    """Columns of one object; one that frame 0 lacks is not counted."""
    j, f = scores or (0.0, 0.0)
    counted = scores is not None
    values = (j, f, (j + f) / 2, own if counted else 0.0, float(counted))
    return dict(zip(MATCHED, values, strict=True))


def cell_of(made: Pass) -> Cell:
    """Method, budget and seed of a pass."""
    return made.method, made.budget, made.seed


def annotators(expressions: Sequence[Expression]) -> list[tuple[int, ...]]:
    """Places of the expressions of each annotator of Ref-DAVIS17, who names every object once.

    An annotator with an expression that cannot be asked is left out. Other data have none.
    """
    groups = [
        tuple(place for place, one in enumerate(expressions) if one.kind == kind)
        for kind in ANNOTATORS
    ]
    most = max(map(len, groups))
    return [places for places in groups if places and len(places) == most]


def first_of_each_object(expressions: Sequence[Expression]) -> tuple[int, ...]:
    """Places of the first expression of each object; those of several, or of none, are left out."""
    firsts = dict[int, int]()
    for place, expression in enumerate(expressions):
        if len(expression.ann_ids) == 1 and expression.ann_ids[0] != NO_TARGET:
            firsts.setdefault(expression.ann_ids[0], place)
    return tuple(firsts.values())
