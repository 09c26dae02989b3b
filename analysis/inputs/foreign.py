"""Expressions and masks of other images, which serve as controls for the true text and mask."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from litelvlm.analysis.inputs.labels import label_tokens, size_matched, skip_reason
from litelvlm.analysis.inputs.samples import (
    same_words,
    target_masks,
    token_coverage,
    unaskable,
    view_of,
)
from litelvlm.arrays import Array
from litelvlm.data.dataset import Dataset, Expression, Sample
from litelvlm.layout import Layout
from litelvlm.models.base import StudiedModel

MASKS = 20  # foreign masks per expression


class ForeignExpression(NamedTuple):
    """One expression of some image.

    Attributes:
        image_id: Its image.
        categories: Categories of what it means.
        sent: Its text.
        n_words: Length of the text.
        coverage: Coverage of its mask per token.
        n_in: Tokens in its mask.
        layout: How the tokens of its image lie.
    """

    image_id: int
    categories: frozenset[int]
    sent: str
    n_words: int
    coverage: Float[Array, "n"]
    n_in: int
    layout: Layout

    def on(self, layout: Layout) -> Float[Array, "m"]:
        """Its coverage on the tokens of another image: the mean over the area of each cell.

        Raises:
            ValueError: If one of the two is a clip of several frames.

        Example:
            >>> half = np.array([1.0, 0.0])
            >>> one = ForeignExpression(1, frozenset(), "left", 1, half, 1, Layout(1, 1, 2))
            >>> one.on(Layout(1, 1, 4)).tolist(), one.on(Layout(1, 2, 1)).tolist()
            ([1.0, 1.0, 0.0, 0.0], [0.5, 0.5])
        """
        if layout == self.layout:
            return self.coverage
        own = self.layout.plane
        rows, columns = (shares(new, old) for new, old in zip(layout.plane, own, strict=True))
        moved: Array = (rows @ self.coverage.reshape(own) @ columns.T).ravel()
        return moved


def shares(new: int, old: int) -> Float[Array, "new old"]:
    """Share of each of ``new`` equal cells that each of ``old`` equal cells makes up."""
    low, high = np.arange(new)[:, None] / new, np.arange(1, new + 1)[:, None] / new
    left, right = np.arange(old)[None] / old, np.arange(1, old + 1)[None] / old
    shared: Array = np.clip(np.minimum(high, right) - np.maximum(low, left), 0, None) * new
    return shared


def draw_foreign(
    data: Dataset, model: StudiedModel, size: int, seed: int
) -> list[ForeignExpression]:
    """Draw up to ``size`` expressions, one per image before any image gives a second.

    Expressions without words, and those whose masks cannot be labelled, are passed over.
    """
    rng = np.random.default_rng(seed)
    turns = {
        int(index): rng.permutation(len(data[int(index)].expressions))
        for index in rng.permutation(len(data))
    }
    foreign: list[ForeignExpression] = []
    for turn in range(max(map(len, turns.values()), default=0)):
        for index, order in turns.items():
            if len(foreign) == size:
                return foreign
            if turn >= len(order):
                continue
            sample = data[index]
            expression = sample.expressions[int(order[turn])]
            covered = token_coverage(target_masks(sample, expression), model)
            if unaskable(expression) is None and skip_reason(covered) is None:
                foreign.append(
                    ForeignExpression(
                        sample.image_id,
                        frozenset(expression.category_id),
                        expression.sent,
                        len(expression.sent.split()),
                        covered,
                        label_tokens(covered).n_in,
                        view_of(model, sample).layout,
                    )
                )
    return foreign


def foreign_texts_of(
    foreign: Sequence[ForeignExpression],
    sample: Sample,
    expression: Expression,
    n: int,
    seed: int,
    same_category: bool = False,
) -> Int[Array, "m"]:
    """``choose_foreign_texts`` with the random numbers of a run's seed, alike in all studies."""
    rng = np.random.default_rng([seed, int(expression.sent_id), 4 if same_category else 1])
    return choose_foreign_texts(foreign, sample, expression, n, same_category, rng)


def choose_foreign_texts(
    foreign: Sequence[ForeignExpression],
    sample: Sample,
    expression: Expression,
    n: int,
    same_category: bool,
    rng: np.random.Generator,
) -> Int[Array, "m"]:
    """Choose texts of other images that are nearest in length; equal lengths come in random order.

    A text with the same words as the expression is no foreign text, whatever it means elsewhere
    ("left" says the same of any category). The result is empty where no text is of the wanted kind.

    Args:
        foreign: Expressions to choose from.
        sample: The image.
        expression: Whose text is to be replaced.
        n: How many.
        same_category: Whether what they mean is of the expression's category, or of another one.
        rng: Random numbers of this expression.

    Returns:
        Indices into ``foreign``.
    """
    categories, length = frozenset(expression.category_id), len(expression.sent.split())
    allowed = _elsewhere(foreign, sample) & np.array(
        [
            bool(candidate.categories & categories) == same_category
            and not same_words(candidate.sent, expression.sent)
            for candidate in foreign
        ],
        dtype=bool,
    )
    lengths = np.array([abs(other.n_words - length) for other in foreign], dtype=np.int64)
    order = np.lexsort([rng.random(len(foreign)), lengths])
    chosen: Array = order[allowed[order]][:n]
    return chosen


def choose_foreign_masks(
    foreign: Sequence[ForeignExpression],
    sample: Sample,
    n_in: int,
    n_tokens: int,
    rng: np.random.Generator,
) -> Int[Array, "k"]:
    """Choose random masks of other images among those nearest in size; maybe none.

    Args:
        foreign: Expressions to choose from.
        sample: The image.
        n_in: Tokens in the mask to be replaced.
        n_tokens: Tokens of the image; sizes count as if every image had as many.
        rng: Random numbers of this expression.
    """
    sizes = np.array(
        [round(candidate.n_in * n_tokens / len(candidate.coverage)) for candidate in foreign],
        dtype=np.int64,
    )
    return size_matched(n_in, sizes, _elsewhere(foreign, sample), MASKS, rng)


def _elsewhere(foreign: Sequence[ForeignExpression], sample: Sample) -> Bool[Array, "m"]:
    return np.array([candidate.image_id != sample.image_id for candidate in foreign], dtype=bool)
