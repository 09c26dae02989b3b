"""Token labels from masks (in, out, ignored), and the label maps that serve as controls.

A token's coverage is the share of its patch that the mask covers, after the same resize and centre
crop as the image. Label maps are flat, [N] in raster order; ``grid`` is (rows, columns).
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from litelvlm.arrays import Array

MIN_VISIBLE = 0.5
"""Share of a target that must be visible for an expression to count in claims."""
HIDDEN = "target less than half visible"

IN_COVERAGE, OUT_COVERAGE = 0.5, 0.05
OUTSIDE_CROP = "referent outside the crop"
FILLS_IMAGE = "mask fills the visible image"


class TokenLabels(NamedTuple):
    """Which tokens count as in and out of a mask.

    Attributes:
        inside: Tokens mostly covered.
        outside: Tokens all but uncovered.
        tiny: No token was mostly covered, so the one with the largest coverage stands for the mask.
    """

    inside: Bool[Array, "n"]
    outside: Bool[Array, "n"]
    tiny: bool

    @property
    def n_in(self) -> int:
        """Tokens in the mask."""
        return int(self.inside.sum())


def skip_reason(coverage: Float[Array, "..."]) -> str | None:
    """Why a mask cannot be labelled: none of it is visible, or nothing else is; None if it can."""
    if not (coverage > 0).any():
        return OUTSIDE_CROP
    # A mask too small for the threshold is labelled by its best token, which then is not out of it.
    n_out = int((coverage <= OUT_COVERAGE).sum()) - int(coverage.max() <= OUT_COVERAGE)
    return None if n_out else FILLS_IMAGE


def label_tokens(coverage: Float[Array, "..."]) -> TokenLabels:
    """Label tokens by their coverage: in from 0.5 upwards, out up to 0.05, ignored between.

    Raises:
        ValueError: If nothing is visible in or out of the mask.

    Example:
        >>> import numpy as np
        >>> label_tokens(np.array([0.9, 0.3, 0.0])).outside.tolist()
        [False, False, True]
    """
    reason = skip_reason(coverage)
    if reason:
        raise ValueError(f"{reason}: such a sample has no labels; skip it with this reason")
    flat = coverage.ravel()
    inside, tiny = flat >= IN_COVERAGE, bool((flat < IN_COVERAGE).all())
    if tiny:
        inside = np.arange(flat.size) == int(flat.argmax())
    return TokenLabels(inside, (flat <= OUT_COVERAGE) & ~inside, tiny)


def toroidal_shifts(grid: tuple[int, int], n: int, rng: np.random.Generator) -> Int[Array, "s 2"]:
    """Draw ``n`` different (down, right) moves without the zero move; all moves if fewer exist."""
    moves = np.argwhere(np.ones(grid, dtype=bool))[1:]
    return moves if n >= len(moves) else moves[np.sort(rng.choice(len(moves), n, replace=False))]


def shift_labels(
    labels: Shaped[Array, "n"], grid: tuple[int, int], shifts: Int[Array, "s 2"]
) -> Shaped[Array, "s n"]:
    """Move a label map round the grid, what leaves one side entering at the other."""
    rows, cols = grid
    row = (np.arange(rows)[None, :, None] - shifts[:, 0, None, None]) % rows
    col = (np.arange(cols)[None, None, :] - shifts[:, 1, None, None]) % cols
    moved: Array = labels.reshape(grid)[row, col].reshape(len(shifts), rows * cols)
    return moved


def random_blob(grid: tuple[int, int], n: int, rng: np.random.Generator) -> Bool[Array, "tokens"]:
    """Grow a connected region of ``n`` tokens from a random start, one random neighbour at a time.

    Raises:
        ValueError: If ``n`` does not lie between 1 and the number of tokens.
    """
    rows, cols = grid
    if not 1 <= n <= rows * cols:
        raise ValueError(f"a blob has 1 to {rows * cols} tokens on a {rows} x {cols} grid, got {n}")
    blob, frontier = np.zeros(grid, dtype=bool), [divmod(int(rng.integers(rows * cols)), cols)]
    seen = set(frontier)
    for _ in range(n):
        row, col = frontier.pop(int(rng.integers(len(frontier))))
        blob[row, col] = True
        for near in ((row - 1, col), (row + 1, col), (row, col - 1), (row, col + 1)):
            if 0 <= near[0] < rows and 0 <= near[1] < cols and near not in seen:
                seen.add(near)
                frontier.append(near)
    return blob.ravel()


def size_matched(
    n_in: int,
    candidates: Int[Array, "m"],
    allowed: Bool[Array, "m"],
    n: int,
    rng: np.random.Generator,
) -> Int[Array, "k"]:
    """Draw ``n`` different candidates from the allowed quarter nearest in token count.

    The pool holds at least ``n`` candidates. The nearest ones alone would serve every mask of that
    size, and the control would rest on a few candidates. Equal distances are in random order.

    Args:
        n_in: Tokens in the mask to be matched.
        candidates: Tokens in each candidate's mask.
        allowed: Candidates that may be used, such as those of other images.
        n: How many to draw.
        rng: Random numbers of this mask.

    Returns:
        Their indices in the order drawn; all allowed ones if they are fewer than ``n``.
    """
    order = np.lexsort([rng.random(len(candidates)), np.abs(candidates - n_in)])
    nearest = order[allowed[order]]
    nearest = nearest[: max(n, -(-len(nearest) // 4))]
    chosen: Array = rng.choice(nearest, min(n, len(nearest)), replace=False)
    return chosen
