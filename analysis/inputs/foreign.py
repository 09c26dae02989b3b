"""Expressions and masks of other images, which serve as controls for the true text and mask."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from litelvlm.analysis.inputs.labels import label_tokens, size_matched, skip_reason
from litelvlm.analysis.inputs.samples import (
    Data,
    Model,
    same_words,
    target_mask,
    token_coverage,
    unaskable,
)

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
    """

    image_id: int
    categories: frozenset[int]
    sent: str
    n_words: int
    coverage: Float[np.ndarray, "n"]
    n_in: int


def draw_foreign(data: Data, model: Model, size: int, seed: int) -> list[ForeignExpression]:
    """Draw up to ``size`` expressions, at most one per image as far as images last.

    Passed over are those without words and those whose masks cannot be labelled.
    """
    rng = np.random.default_rng(seed)
    turns = {
        int(index): rng.permutation(len(data[int(index)].expressions))
        for index in rng.permutation(len(data))
    }
    donors: list[ForeignExpression] = []
    for turn in range(max(map(len, turns.values()), default=0)):
        for index, order in turns.items():
            if len(donors) == size:
                return donors
            if turn >= len(order):
                continue
            sample = data[index]
            expression = sample.expressions[int(order[turn])]
            covered = token_coverage(target_mask(sample, expression), model)
            if unaskable(expression) is None and skip_reason(covered) is None:
                donors.append(
                    ForeignExpression(
                        sample.image_id,
                        frozenset(expression.category_id),
                        expression.sent,
                        len(expression.sent.split()),
                        covered,
                        label_tokens(covered).n_in,
                    )
                )
    return donors


def choose_foreign_texts(
    donors: Sequence[ForeignExpression],
    sample: Any,
    expression: Any,
    n: int,
    same_category: bool,
    rng: np.random.Generator,
) -> Int[np.ndarray, "m"]:
    """Choose texts of other images that are nearest in length; equal lengths come in random order.

    A text with the same words as the expression is no foreign text, whatever it means elsewhere
    ("left" says the same of any category). The result is empty where no text is of the wanted kind.

    Args:
        donors: To choose from.
        sample: The image.
        expression: Whose text is to be replaced.
        n: How many.
        same_category: Whether what they mean is of the expression's category, or of another one.
        rng: Random numbers of this expression.

    Returns:
        Indices of donors.
    """
    categories = frozenset(expression.category_id)
    shares = np.array([bool(donor.categories & categories) for donor in donors], dtype=bool)
    others = np.array([not same_words(donor.sent, expression.sent) for donor in donors], dtype=bool)
    allowed = _elsewhere(donors, sample) & (shares == same_category) & others
    lengths = np.array(
        [abs(donor.n_words - len(expression.sent.split())) for donor in donors], dtype=np.int64
    )
    order = np.lexsort([rng.random(len(donors)), lengths])
    chosen: np.ndarray = order[allowed[order]][:n]
    return chosen


def choose_foreign_masks(
    donors: Sequence[ForeignExpression],
    sample: Any,
    n_in: int,
    rng: np.random.Generator,
    n: int = MASKS,
) -> Int[np.ndarray, "k"]:
    """Choose random masks of other images among those nearest in size; none without other images."""
    sizes = np.array([donor.n_in for donor in donors], dtype=np.int64)
    return size_matched(n_in, sizes, _elsewhere(donors, sample), n, rng)


def _elsewhere(donors: Sequence[ForeignExpression], sample: Any) -> Bool[np.ndarray, "m"]:
    return np.array([donor.image_id != sample.image_id for donor in donors], dtype=bool)
