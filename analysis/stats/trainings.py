"""Estimates over trainings: few, independent, and the unit that a claim about training counts.

A percentile bootstrap of five trainings is far too narrow, so intervals here are Student's t.
Effects of factors come from designs whose blocks are seeds; labels are permuted within a block.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped
from scipy import stats

from litelvlm.analysis.stats.bootstrap import LEVEL, Estimate, check_finite
from litelvlm.analysis.stats.ends import OPEN, Ends
from litelvlm.analysis.stats.student import student_mean
from litelvlm.arrays import Array, NDArray

PERMUTATIONS = 10_000
_CHUNK = 1_000
_TIE = 1e-12


class Effect(NamedTuple):
    """What a factor does to an outcome.

    Attributes:
        estimate: Mean at the high level minus mean at the low one, with its t interval.
        p_value: Two-sided, from labels permuted within blocks; nan if nothing can be exchanged.
    """

    estimate: Estimate
    p_value: float


def t_estimate(values: Float[NDArray[np.float64], " n"], reach: Ends = OPEN) -> Estimate:
    """Mean over trainings with Student's t interval within ``reach``; none with a single training.

    Trainings that all lie at one end of the measure have an exact bound.

    Raises:
        ValueError: If there is no value, or one is not finite.

    Example:
        >>> import numpy as np
        >>> e = t_estimate(np.array([1.0, 2.0, 3.0]))
        >>> round(e.value, 2), round(e.low, 2), round(e.high, 2)
        (2.0, -0.48, 4.48)
    """
    n = len(values)
    if n == 0:
        raise ValueError("no training has this value; train and measure some first")
    mean = student_mean(values, reach)
    low, high = mean.ends()
    if n == 1:
        method = "undefined: one training"
    elif mean.alike:
        method = f"{LEVEL:.0%} exact bound over {n} like trainings"
    else:
        method = _method(n)
    return Estimate(mean.value, low, high, n, n, method)


def t_p_value(values: Float[NDArray[np.float64], " n"], reach: Ends = OPEN) -> float:
    """Two-sided p-value of Student's t test of a mean against 0; nan with a single training.

    Trainings that all give one value are judged by the exact bound of ``t_estimate``.

    Raises:
        ValueError: If a value is not finite.
    """
    return student_mean(values, reach).p_value()


def blocked_effects(
    values: Float[NDArray[np.float64], " n"],
    high: Bool[NDArray[np.bool_], "n k"],
    blocks: Shaped[Array, " n"],
    permutations: int = PERMUTATIONS,
) -> list[Effect]:
    """Effects of the factors of a design of complete blocks, each beside the others.

    Intervals come from least squares on all factors and the blocks; p-values from permuting the
    trainings within their blocks, the same permutations for all factors.

    Args:
        values: Outcome of each training.
        high: Whether it has the high level of each factor.
        blocks: Block of each, such as its seed.
        permutations: Random permutations; the p-value is (1 + extreme) / (1 + permutations).

    Raises:
        ValueError: If a value is not finite, or a block lacks one of a factor's levels.
    """
    check_finite(values, "values of trainings")
    names, block = np.unique(blocks, return_inverse=True)
    for number, name in enumerate(names):
        inside = high[block == number]
        if (inside.all(axis=0) | ~inside.any(axis=0)).any():
            raise ValueError(
                f"block {name!r} has one level of a factor only; leave it out until it is whole"
            )
    dummies = (block[:, None] == np.arange(len(names))).astype(np.float64)
    contrasts = high / high.sum(axis=0) - ~high / (~high).sum(axis=0)
    # What the blocks explain does not depend on the labels.
    centred = values - (np.bincount(block, values) / np.bincount(block))[block]
    limits = np.abs(centred @ contrasts) - _TIE
    extreme = np.zeros(high.shape[1], dtype=np.int64)
    rng = np.random.default_rng(0)
    for start in range(0, permutations, _CHUNK):
        drawn = within_groups(centred, block, min(_CHUNK, permutations - start), rng)
        extreme += (np.abs(drawn @ contrasts) >= limits).sum(axis=0)
    design = np.column_stack([high.astype(np.float64), dummies])
    estimates = _least_squares(values, design, high.shape[1])
    return [
        Effect(estimate, float((1 + count) / (1 + permutations)))
        for estimate, count in zip(estimates, extreme, strict=True)
    ]


def within_groups(
    values: Float[NDArray[np.float64], " n"],
    group: Int[NDArray[np.int64], " n"],
    draws: int,
    rng: np.random.Generator,
) -> Float[NDArray[np.float64], "draws n"]:
    """The values in random orders that keep each in its group.

    Args:
        values: One for each unit.
        group: Group of each, numbered from 0.
        draws: Number of orders.
        rng: Random numbers.
    """
    shape = (draws, len(values))
    mixed = np.argsort(rng.random(shape) + group, axis=1)
    drawn = np.empty(shape)
    drawn[:, np.argsort(group, kind="stable")] = values[mixed]
    return drawn


def _least_squares(
    values: Float[NDArray[np.float64], " n"], design: Float[NDArray[np.float64], "n k"], wanted: int
) -> list[Estimate]:
    """The first coefficients with their t intervals."""
    inverse = np.linalg.pinv(design)
    beta = inverse @ values
    rest = len(values) - int(np.linalg.matrix_rank(design))
    n = len(values)
    if rest < 1:
        undefined = "undefined: no trainings to spare"
        return [Estimate(float(b), np.nan, np.nan, n, n, undefined) for b in beta[:wanted]]
    variance = float(((values - design @ beta) ** 2).sum()) / rest
    half = stats.t.ppf((1 + LEVEL) / 2, rest) * np.sqrt(variance * (inverse**2).sum(axis=1))
    return [
        Estimate(float(b), float(b - h), float(b + h), n, n, _method(n))
        for b, h in zip(beta[:wanted], half[:wanted], strict=True)
    ]


def _method(n: int) -> str:
    return f"{LEVEL:.0%} t interval over {n} trainings"


class Components(NamedTuple):
    """Variance of a measure by what it comes from; the parts add up to the variance of one image.

    Attributes:
        training: Shift of all categories of a training.
        category: Shift of a category in all trainings.
        together: What a category does in one training and not in others.
        image: Spread between the images of one category in one training.
        mean: Mean of the table.
        n_trainings: Rows of the table.
        n_categories: Columns of the table.
    """

    training: float
    category: float
    together: float
    image: float
    mean: float
    n_trainings: int
    n_categories: int


def variance_components(
    means: Float[NDArray[np.float64], "trainings categories"],
    spreads: Float[NDArray[np.float64], "trainings categories"],
    counts: Float[NDArray[np.float64], "trainings categories"],
) -> Components:
    """Variance components of a crossed table, by the method of moments; none below 0.

    Args:
        means: Mean over the images of each training and category.
        spreads: Standard deviation between those images.
        counts: Number of images, at least two.

    Raises:
        ValueError: If the table has fewer than two rows or columns, or a count is below two.

    Source: Searle, Casella and McCulloch, Variance Components, 1992, section 4.
    """
    check_finite(means, "means")
    trainings, categories = means.shape
    if trainings < 2 or categories < 2 or (counts < 2).any():
        raise ValueError(
            "two trainings, two categories and two images of each are needed, got "
            f"{trainings} x {categories} and {counts.min():g} images"
        )
    mean = float(means.mean())
    rows, columns = means.mean(axis=1), means.mean(axis=0)
    rest = means - rows[:, None] - columns[None] + mean
    square_rest = float((rest**2).sum()) / ((trainings - 1) * (categories - 1))
    image = float((spreads**2).mean())
    return Components(
        training=max(0.0, float(rows.var(ddof=1)) - square_rest / categories),
        category=max(0.0, float(columns.var(ddof=1)) - square_rest / trainings),
        together=max(0.0, square_rest - float((spreads**2 / counts).mean())),
        image=image,
        mean=mean,
        n_trainings=trainings,
        n_categories=categories,
    )


class Association(NamedTuple):
    """Whether two outcomes go together across trainings.

    Attributes:
        estimate: Correlation with its interval.
        p_value: Two-sided, from values permuted within groups.
    """

    estimate: Estimate
    p_value: float


def association(
    first: Float[NDArray[np.float64], " n"],
    second: Float[NDArray[np.float64], " n"],
    groups: Shaped[Array, " n"],
    permutations: int = PERMUTATIONS,
) -> Association:
    """Correlation of two outcomes after removing the means of groups, such as cells or stages.

    The interval is Fisher's, with one degree of freedom less for each group.

    Raises:
        ValueError: If a value is not finite, or either outcome does not vary within groups.
    """
    check_finite(np.column_stack([first, second]), "outcomes of trainings")
    _, group = np.unique(groups, return_inverse=True)
    a, b = (v - (np.bincount(group, v) / np.bincount(group))[group] for v in (first, second))
    scale = float(np.sqrt((a**2).sum() * (b**2).sum()))
    if scale < _TIE:
        raise ValueError("an outcome does not vary within its groups, so it has no correlation")
    n, free = len(a), len(a) - int(group.max()) - 1
    value = float((a @ b) / scale)
    if free < 4:
        estimate = Estimate(
            value, np.nan, np.nan, n, n, "undefined: fewer than five free trainings"
        )
    else:
        half = float(stats.norm.ppf((1 + LEVEL) / 2)) / np.sqrt(free - 3)
        low, high = np.tanh(
            np.arctanh(np.clip(value, -0.999999, 0.999999)) + np.array([-half, half])
        )
        method = f"{LEVEL:.0%} Fisher interval over {n} trainings"
        estimate = Estimate(value, float(low), float(high), n, n, method)
    rng, extreme = np.random.default_rng(0), 0
    for start in range(0, permutations, _CHUNK):
        drawn = within_groups(b, group, min(_CHUNK, permutations - start), rng)
        extreme += int((np.abs(drawn @ a) / scale >= abs(value) - _TIE).sum())
    return Association(estimate, (1 + extreme) / (1 + permutations))
