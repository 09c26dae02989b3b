"""Outline of a binary mask as polygons along pixel borders."""

import numpy as np
from jaxtyping import Bool

from litelvlm.arrays import NDArray

Point = tuple[int, int]


def outline_polygons(mask: Bool[NDArray[np.bool_], "height width"]) -> list[list[int]] | None:
    """Trace the borders of a mask's 4-connected parts.

    None if a part has a hole, which polygons cannot express.

    Returns:
        One polygon [x0, y0, x1, y1, ...] per part, corners only, in pixel-corner coordinates
        (0..width, 0..height).

    Example:
        >>> outline_polygons(np.ones((2, 3), dtype=bool))
        [[0, 0, 3, 0, 3, 2, 0, 2]]
    """
    follows = _border_steps(mask)
    polygons = []
    while follows:
        start = min(follows, key=lambda point: (point[1], point[0]))
        loop = _trace(follows, start)
        corners = _corners(loop)
        if _doubled_area(corners) < 0:
            return None
        polygons.append([value for corner in corners for value in corner])
    return polygons


def _border_steps(mask: NDArray[np.bool_]) -> dict[Point, list[Point]]:
    """Unit steps along the border, the inside on the right hand: from each corner to the next."""
    padded = np.pad(mask, 1)
    here, above, left = padded[1:, 1:], padded[:-1, 1:], padded[1:, :-1]
    follows: dict[Point, list[Point]] = {}
    for y, x in np.argwhere(here & ~above).tolist():
        follows.setdefault((x, y), []).append((x + 1, y))
    for y, x in np.argwhere(~here & above).tolist():
        follows.setdefault((x + 1, y), []).append((x, y))
    for y, x in np.argwhere(here & ~left).tolist():
        follows.setdefault((x, y + 1), []).append((x, y))
    for y, x in np.argwhere(~here & left).tolist():
        follows.setdefault((x, y), []).append((x, y + 1))
    return follows


def _trace(follows: dict[Point, list[Point]], start: Point) -> list[Point]:
    """Remove one closed loop from the steps and return its points."""
    loop, previous, point = [start], start, start
    while True:
        options = follows[point]
        if len(options) == 1:
            following = options[0]
        else:
            # Two pixels touch at this corner only: turn right to stay on the same one.
            dx, dy = point[0] - previous[0], point[1] - previous[1]
            right = (point[0] - dy, point[1] + dx)
            following = right if right in options else options[0]
        options.remove(following)
        if not options:
            del follows[point]
        if following == start:
            return loop
        loop.append(following)
        previous, point = point, following


def _corners(loop: list[Point]) -> list[Point]:
    """Points of the loop where the direction changes."""
    return [
        (x, y)
        for (px, py), (x, y), (nx, ny) in zip(
            loop[-1:] + loop[:-1], loop, loop[1:] + loop[:1], strict=True
        )
        if (x - px, y - py) != (nx - x, ny - y)
    ]


def _doubled_area(points: list[Point]) -> int:
    """Twice the signed area; positive for outer borders, negative for holes."""
    return sum(
        x * ny - nx * y for (x, y), (nx, ny) in zip(points, points[1:] + points[:1], strict=True)
    )
