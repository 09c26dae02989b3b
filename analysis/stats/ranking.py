"""How a token ranking relates to a mask: AUROC, reversal index, contrast, recall.

Arrays only. ``inside`` and ``outside`` mark the tokens in and out of the mask; tokens in neither
are ignored, and N' = n_in + n_out is the number of eligible ones. Leading axes of the labels hold
several masks scored at once.
"""

from collections.abc import Collection, Sequence

import numpy as np
from jaxtyping import Bool, Float, Real

from litelvlm.analysis.stats.bootstrap import check_finite
from litelvlm.arrays import Array


def auroc(
    scores: Real[Array, "n"], inside: Bool[Array, "*masks n"], outside: Bool[Array, "*masks n"]
) -> Float[Array, "*masks"]:
    """Probability that a token in the mask scores above one outside it; ties count one half.

    Args:
        scores: One score per token.
        inside: Tokens in the mask.
        outside: Tokens out of it.

    Returns:
        Values in [0, 1], one per mask.

    Raises:
        ValueError: If a score is not finite, or a mask has no token inside or outside.

    Example:
        >>> import numpy as np
        >>> labels = np.array([True, True, False, False])
        >>> float(auroc(np.array([1.0, 2.0, 2.0, 3.0]), labels, ~labels))
        0.125
    """
    check_finite(scores, "scores")
    weight_in, weight_out = inside.astype(np.float64), outside.astype(np.float64)
    for name, weight in (("inside", weight_in), ("outside", weight_out)):
        if (weight.sum(-1) == 0).any():
            raise ValueError(
                f"a mask without tokens {name} has no AUROC; skip that sample with its reason"
            )
    order = np.argsort(scores, kind="stable")
    first = np.flatnonzero(np.r_[True, np.diff(scores[order]) != 0])
    group_in = np.add.reduceat(weight_in[..., order], first, axis=-1)
    group_out = np.add.reduceat(weight_out[..., order], first, axis=-1)
    below = np.cumsum(group_out, axis=-1) - group_out
    wins = (group_in * (below + group_out / 2)).sum(-1)
    value: Array = np.asarray(wins / (weight_in.sum(-1) * weight_out.sum(-1)))
    return value


def auroc_of_rows(
    scores: Float[Array, "rows n"], inside: Bool[Array, "n"], outside: Bool[Array, "n"]
) -> Float[Array, "rows"]:
    """``auroc`` of many rows of scores against one mask, by counting pairs: the same numbers.

    One call for 30 rows of 64 tokens costs less than a tenth of 30 calls. All pairs of all rows are
    in memory at once, so it is meant for few tokens.

    Raises:
        ValueError: If a score is not finite, or no token is inside or none outside.

    Example:
        >>> import numpy as np
        >>> labels = np.array([True, True, False, False])
        >>> auroc_of_rows(np.array([[1.0, 2.0, 2.0, 3.0]]), labels, ~labels).tolist()
        [0.125]
    """
    check_finite(scores, "scores")
    if not (inside.any() and outside.any()):
        raise ValueError(
            "a mask without tokens on either side has no AUROC; skip that sample with its reason"
        )
    first, second = scores[:, inside, None], scores[:, None, outside]
    wins = (first > second).sum((1, 2)) + (first == second).sum((1, 2)) / 2
    value: Array = np.asarray(wins / (inside.sum() * outside.sum()))
    return value


def reversal_index(area: Float[Array, "*masks"]) -> Float[Array, "*masks"]:
    """RI = 1 - 2 AUROC, in [-1, 1]: positive when the mask's tokens score lower."""
    value: Array = np.asarray(1 - 2 * area)
    return value


def score_contrast(
    scores: Real[Array, "n"], inside: Bool[Array, "n"], outside: Bool[Array, "n"]
) -> float:
    """Mean score inside minus outside the mask, scores scaled to [0, 1] over all tokens.

    In [-1, 1]; negative means reversal. Unlike the plain difference of means it can be compared
    between towers. Scores without any spread give 0.

    This is our reading of mSC, the score contrast that CLIP Surgery (arXiv 2304.05653) reports: its
    definition could not be read for this project, so only the sign is comparable.

    Raises:
        ValueError: If a score is not finite or a side is empty.

    Example:
        >>> import numpy as np
        >>> labels = np.array([True, False, False])
        >>> score_contrast(np.array([1.0, 3.0, 2.0]), labels, ~labels)
        -0.75
    """
    check_finite(scores, "scores")
    if not inside.any() or not outside.any():
        raise ValueError(
            f"both sides of a mask need tokens, got {int(inside.sum())} inside and "
            f"{int(outside.sum())} outside"
        )
    spread = float(np.ptp(scores))
    if spread == 0:
        return 0.0
    return float((scores[inside].mean() - scores[outside].mean()) / spread)


def at_budgets(
    scores: Real[Array, "n"], inside: Bool[Array, "n"], outside: Bool[Array, "n"], ks: Sequence[int]
) -> list[dict[str, float]]:
    """Recall of the k lowest and k highest eligible tokens; lower index wins ties.

    Returns:
        For each k (at most N'): "rec_low" and "rec_high", shares of the mask that are among the k
        lowest and the k highest; "chance_rec", the hypergeometric mean k / N'. The precision of the
        same tokens is n_in / k times that.

    Raises:
        ValueError: If k is below 1, a score is not finite, or the mask holds no token.
    """
    check_finite(scores, "scores")
    eligible = np.flatnonzero(inside | outside)
    hit, n_in, n = inside[eligible], int(inside.sum()), len(eligible)
    if min(ks, default=1) < 1 or not n_in:
        raise ValueError(
            f"budgets of at least 1 and a mask with tokens are needed, got {list(ks)} and "
            f"{n_in} tokens"
        )
    lowest = np.cumsum(hit[np.argsort(scores[eligible], kind="stable")])
    highest = np.cumsum(hit[np.argsort(-scores[eligible], kind="stable")])
    return [
        {
            "rec_low": int(lowest[k - 1]) / n_in,
            "rec_high": int(highest[k - 1]) / n_in,
            "chance_rec": k / n,
        }
        for k in (min(k, n) for k in ks)
    ]


def tie_fraction(scores: Real[Array, "n"]) -> float:
    """Share of tokens whose score another token has too."""
    check_finite(scores, "scores")
    _, index, counts = np.unique(scores, return_inverse=True, return_counts=True)
    return float((counts[index] > 1).mean())


def jaccard(first: Collection[int], second: Collection[int]) -> float:
    """Shared over all entries of two sets; nan where both are empty.

    Example:
        >>> jaccard([1, 2, 3], [3, 4, 1])
        0.5
    """
    either = {*first, *second}
    return len({*first} & {*second}) / len(either) if either else float("nan")
