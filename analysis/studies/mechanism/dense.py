"""Open-vocabulary segmentation under each readout of the last blocks: which class is a patch?

A patch is called the category whose text is most similar to it (cosine), as in SCLIP
(arXiv 2312.01597) and ClearCLIP (arXiv 2407.12442). Scored are the patches of referents, those at
least half covered; the background is left out, as in their VOC-20 and Context-59. One prompt
stands for the 80 that they average, patches are not enlarged to pixels, and the image is read in
one crop, not in sliding windows.
"""

from collections.abc import Mapping
from functools import partial

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from torch import Tensor

from litelvlm.analysis.inputs.labels import label_tokens
from litelvlm.analysis.runs.columns import Row
from litelvlm.analysis.stats.bootstrap import bootstrap
from litelvlm.analysis.stats.dense import class_sums, guessed_iou, mean_iou
from litelvlm.arrays import Array
from litelvlm.data.dataset import Dataset
from litelvlm.pruning.ranking import unit_rows

PROMPT = "a photo of a {}."
"""What stands around the name of a category."""
CALLED = "called_"
"""Begins the columns that count patches by the category that they are called."""


def categories(data: Dataset) -> Mapping[int, str]:
    """Categories by id, in ascending order; none where the data state no names."""
    return dict(sorted(data.categories.items()))


def called_classes(states: Float[Tensor, "n p"], texts: Float[Tensor, "c p"]) -> Int[Array, "n"]:
    """Number of the text most similar to each patch (cosine)."""
    called: Array = (unit_rows(states) @ unit_rows(texts).T).argmax(dim=1).numpy()
    return called


def class_columns(
    called: Int[Array, "n"], covered: Float[Array, "n"], named: Mapping[int, str]
) -> Row:
    """Patches of a referent by the category that they are called, a column for each category."""
    inside = label_tokens(covered).inside
    counts = np.bincount(called[inside], minlength=len(named)).tolist()
    return {f"{CALLED}{number}": count for number, count in zip(named, counts, strict=True)}


def dense_table(rows: pd.DataFrame, names: Mapping[str, str]) -> pd.DataFrame:
    """Mean IoU of each CLIP model's patches under each readout.

    A referent counts once, however many expressions mean it; one of several categories or of none
    is left out.

    Args:
        rows: Of the study.
        names: What each probe changes.

    Returns:
        clip_model, probe, name, miou with its interval over images (low, high; too narrow where
        most classes have few images), chance (the mean
        IoU of random calls), n_classes (categories among the referents, of those that could be
        called: n_callable), n_images, n (referents). Empty where the data state no categories.
    """
    columns = [name for name in rows if str(name).startswith(CALLED)]
    if not columns:
        return pd.DataFrame()
    ids = [int(str(name).removeprefix(CALLED)) for name in columns]
    scored = rows[rows[columns].notna().all(axis=1) & rows["category_id"].isin(ids)]
    scored = scored[scored["category"] != "several"]
    once = scored.drop_duplicates(["clip_model", "probe", "image_id", "ann_id"])
    place = {number: index for index, number in enumerate(ids)}
    lines = list[Row]()
    order = pd.Categorical(once["probe"], list(names), ordered=True)
    for (clip, probe), group in once.groupby(["clip_model", order], observed=True):
        target = group["category_id"].map(place).to_numpy(dtype=np.int64)
        sums = class_sums(group[columns].to_numpy(dtype=np.int64), target)
        truly = sums.sum(0)[2 * len(ids) :]
        found = bootstrap(sums, group["image_id"].to_numpy(), partial(mean_iou, there=truly > 0))
        key: Row = {"clip_model": str(clip), "probe": str(probe), "name": names[str(probe)]}
        more: Row = {
            "chance": guessed_iou(truly),
            "n_classes": int((truly > 0).sum()),
            "n_callable": len(ids),
        }
        lines.append(key | found.estimates()[0].line("miou") | more)
    return pd.DataFrame(lines)
