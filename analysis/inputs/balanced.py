"""A part of a split in which every kind of referent has its share: what a short run asks."""

from collections import Counter

from litelvlm.analysis.inputs.samples import target_mask
from litelvlm.analysis.inputs.subset import DataPart, middles
from litelvlm.data.annotations import RefDataError
from litelvlm.data.dataset import Dataset, Expression, Sample
from litelvlm.data.refs import NO_TARGET

UNSTATED = -1
"""Category of an image whose referents have none, as in the hub's copies of RefCOCO."""
_LISTED = 5  # categories that the description counts one by one


class BalancedSubset(DataPart):
    """Some images of a split, each once and with all its expressions.

    The images are ordered by the category of their referents, and within a category by the share of
    the image that the referents cover. Those at even distances in this order are taken. So a
    category with m of N images has m n / N of the n chosen ones, rounded up or down, and every
    length of this order has its share too, large referents as well as small ones. Nothing is drawn:
    the same split always gives the same part.

    Args:
        data: The split.
        images: How many images; all if there are no more.

    Attributes:
        order: Ids of the chosen images, by category and size: neighbours are alike.
        held: Images of each category in the part, by category id; the most frequent ones first.

    Source: systematic sampling from an ordered list, Cochran 1977, Sampling Techniques, third
    edition, chapter 8.
    """

    def __init__(self, data: Dataset, images: int) -> None:
        strata = [stratum(data[index]) for index in range(len(data))]
        ordered = sorted(range(len(data)), key=lambda index: (*strata[index], index))
        taken = [ordered[place] for place in middles(len(data), images)]
        self.order = tuple(int(data[index].image_id) for index in taken)
        self.held = Counter(dict(Counter(strata[index][0] for index in taken).most_common()))
        super().__init__(data, sorted(taken), f"balanced {sorted(taken)}")

    @property
    def text(self) -> str:
        """What the part is made of, in a sentence."""
        head = f"{len(self)} of {len(self.data)} images, each once"
        if set(self.held) == {UNSTATED}:
            return f"{head}, balanced over the size of the referent; this copy states no category"
        names = [(self._named(category), count) for category, count in self.held.most_common()]
        told = [f"{name} ({count})" for name, count in names[:_LISTED]]
        rest = sum(count for _, count in names[_LISTED:])
        told += [f"{len(names) - _LISTED} others ({rest})"] if rest else []
        return f"{head}, balanced over category and size of the referent: {', '.join(told)}"

    def _named(self, category: int) -> str:
        unnamed = "not stated" if category == UNSTATED else f"category {category}"
        return self.categories.get(category, unnamed)


def stratum(sample: Sample) -> tuple[int, float]:
    """The kind of an image: its referents' most frequent category, and the share that they cover.

    Of equally frequent categories it is the one with the smallest id; -1 where none is stated. The
    share is the mean over the referents, 0 to 1. A referent without a target or with an outline
    that cannot be read counts as 0; the run itself tells about it.
    """
    referents = {expression.ann_ids: expression for expression in sample.expressions}
    counts = Counter(_category(sample, expression) for expression in referents.values())
    frequent = min(counts, key=lambda category: (-counts[category], category), default=UNSTATED)
    shares = [_share(sample, expression) for expression in referents.values()]
    return frequent, sum(shares) / max(1, len(shares))


def _category(sample: Sample, expression: Expression) -> int:
    """Category of a referent as the references state it, else as its object does."""
    if expression.category_id:
        return expression.category_id[0]
    objects = (sample.annotations.get(ann_id) for ann_id in expression.ann_ids)
    return next((found.category_id for found in objects if found is not None), UNSTATED)


def _share(sample: Sample, expression: Expression) -> float:
    if NO_TARGET in expression.ann_ids:
        return 0.0
    try:
        return float(target_mask(sample, expression).mean())
    except RefDataError:
        return 0.0
