"""Which expressions an expensive study looks at: one per image, spread evenly over the sizes of their referents."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from analysis.labels import skip_reason
from analysis.samples import Data, Model, target_mask, token_coverage


class Picks:
    """A data set of one expression per image, as engine and studies see any data set.

    Its name, split and digest are those of the whole: which expressions are picked follows from them and the
    configuration.

    Args:
        data: The whole split.
        picked: (image, expression) indices into it, in order of image.
    """

    def __init__(self, data: Data, picked: Sequence[tuple[int, int]]) -> None:
        self.data, self.picked = data, tuple(picked)
        self.name, self.split, self.split_by, self.digest = data.name, data.split, data.split_by, data.digest

    def __len__(self) -> int:
        """Number of images."""
        return len(self.picked)

    def __getitem__(self, index: int) -> Any:
        """One image with its one expression."""
        image, number = self.picked[index]
        sample = self.data[image]
        return replace(sample, expressions=(sample.expressions[number],))

    def __iter__(self) -> Iterator[Any]:
        return (self[index] for index in range(len(self)))


def pick(data: Data, model: Model, images: int | None, seed: int) -> Picks:
    """Choose one expression of each image at random, and images evenly spaced in the area of what it means.

    Expressions whose referent cannot be labelled are passed over, and so are images that have no other.

    Args:
        data: The split.
        model: Whose token grid decides what can be labelled.
        images: How many; None takes all.
        seed: Of the choice.

    Raises:
        ValueError: If no expression of the split can be labelled.
    """
    rng = np.random.default_rng(seed)
    found: list[tuple[float, int, int]] = []
    for image in range(len(data)):
        sample = data[image]
        for number in rng.permutation(len(sample.expressions)).tolist():
            mask = target_mask(sample, sample.expressions[number])
            if mask.any() and skip_reason(token_coverage(mask, model)) is None:
                found.append((float(mask.mean()), image, number))
                break
    if not found:
        raise ValueError("no expression of this split means anything inside the model's crop; choose another split")
    found.sort()
    chosen = [found[place] for place in strata_middles(len(found), len(found) if images is None else images)]
    return Picks(data, sorted((image, number) for _, image, number in chosen))


def strata_middles(n: int, m: int) -> list[int]:
    """The middle place of each of ``m`` equal stretches of ``n`` places, every place if they are fewer.

    Example:
        >>> strata_middles(10, 3), strata_middles(2, 3)
        ([1, 5, 8], [0, 1])
    """
    return list(range(n)) if m >= n else [(2 * step + 1) * n // (2 * m) for step in range(m)]


def foreign(data: Data, index: int) -> str:
    """The expression of the next image that means another category, else of the next image.

    Raises:
        ValueError: If there is no other image.
    """
    if len(data) < 2:
        raise ValueError("a foreign expression needs a second image; take more images")
    own = set(data[index].expressions[0].category_id)
    others = [data[(index + step) % len(data)].expressions[0] for step in range(1, len(data))]
    different = [other for other in others if own.isdisjoint(other.category_id)]
    return str((different or others)[0].sent)
