"""Outlines of objects as pixels: polygons and run lengths, checked before they are drawn."""

import warnings

import numpy as np
from jaxtyping import UInt8
from pycocotools import mask as coco_mask

from litelvlm.arrays import NDArray
from litelvlm.data.safe.shown import shown

MAX_PARTS = 10_000
"""Polygons or run lengths of one object."""
MAX_TURNS = 1_000
"""Longest border of an object, in times the height and width of its image."""
MAX_PIXELS = 2**26
"""Pixels of the planes that are decoded at once."""


class RefDataError(ValueError):
    """A file of the RefCOCO layout does not hold what the layout requires."""


def decode_mask(
    segmentation: object, height: int, width: int
) -> UInt8[NDArray[np.uint8], "height width"]:
    """Rasterise one object's outline as the official code does: one plane per part, planes summed.

    Where polygons of one object overlap the value is 2 or more, at most 254; the official score
    treats such pixels apart. An empty outline is an empty mask. Unlike the official code a bare
    run-length dict (COCO's crowd form) is read too.

    Args:
        segmentation: List of polygons [x0, y0, x1, y1, ...] in pixels, list of run-length dicts,
            one run-length dict, or an empty list. Run lengths may be a compressed string, bytes or
            a plain list of counts.
        height: Image height in pixels.
        width: Image width in pixels.

    Raises:
        RefDataError: If the outline has another form or another size than the image, or is so large
            that reading it would take unreasonable time or memory.
    """
    if not isinstance(segmentation, dict | list):
        raise RefDataError(
            f"an outline is a {type(segmentation).__name__}, expected polygons or run lengths"
        )
    if segmentation == []:
        return np.zeros((height, width), dtype=np.uint8)
    parts = [segmentation] if isinstance(segmentation, dict) else segmentation
    if len(parts) > MAX_PARTS:
        raise RefDataError(f"an outline has {len(parts)} parts; at most {MAX_PARTS} are read")
    if isinstance(parts[0], dict):
        planes = [_run_lengths(part, height, width) for part in parts]
    else:
        border = sum(_polygon_length(part, height, width) for part in parts)
        if border > MAX_TURNS * (height + width):
            raise RefDataError(
                f"the borders of an outline are {border:.0f} pixels long; an outline in an image "
                f"of {height} x {width} has at most {MAX_TURNS * (height + width)}"
            )
        # pycocotools takes a list whose first element has four numbers for boxes, so a point that
        # covers nothing leads.
        planes = coco_mask.frPyObjects([[0.0] * 6, *parts], height, width)[1:]
    total = np.zeros((height, width), dtype=np.int32)
    at_once = max(1, MAX_PIXELS // (height * width))
    for start in range(0, len(planes), at_once):
        total += _decode(planes[start : start + at_once]).sum(axis=2, dtype=np.int32)
    counted: NDArray[np.uint8] = total.clip(max=254).astype(np.uint8)
    return counted


def _decode(planes: list[dict[str, object]]) -> NDArray[np.uint8]:
    """Run lengths to pixels, [height, width, planes]."""
    with warnings.catch_warnings():
        # pycocotools 2.0.11 hands its arrays over by a protocol that NumPy 2 still takes, but
        # deprecates.
        warnings.filterwarnings("ignore", "__array__ implementation", DeprecationWarning)
        pixels: NDArray[np.uint8] = coco_mask.decode(planes)
    return pixels


def _polygon_length(part: object, height: int, width: int) -> float:
    """Length of a polygon's border in pixels; the polygon is checked."""
    if not isinstance(part, list) or len(part) < 4 or len(part) % 2:
        raise RefDataError("a polygon is not a list of at least two points x, y")
    # Far-off points would make the rasteriser claim memory without bound, and so would many long
    # edges: it walks along each.
    limit = 10 * max(height, width)
    if not all(
        isinstance(value, int | float)
        and not isinstance(value, bool)  # Python counts True as 1
        and -limit <= value <= limit
        for value in part
    ):
        raise RefDataError(
            "a polygon has a point that is not a number, or lies far outside the image "
            f"of {height} x {width}"
        )
    points = np.array(part, dtype=np.float64).reshape(-1, 2)
    return float(np.hypot(*(points - np.roll(points, 1, axis=0)).T).sum())


def _run_lengths(part: object, height: int, width: int) -> dict[str, object]:
    """One run-length record in the form pycocotools decodes."""
    if not isinstance(part, dict) or not isinstance(part.get("counts"), str | bytes | list):
        raise RefDataError("a run-length outline lacks its counts")
    size = part.get("size")
    if not isinstance(size, list) or size != [height, width]:
        raise RefDataError(
            f"a run-length outline has size {shown(size)}, the image {[height, width]}"
        )
    counts = part["counts"]
    if isinstance(counts, str) and not counts.isascii():
        raise RefDataError("packed run lengths hold signs that are not ASCII")
    if len(counts) > 12 * (height * width + 2):  # twelve signs are the longest number
        raise RefDataError(f"run lengths are longer than an image of {height} x {width} can need")
    if not isinstance(counts, list):
        counts = _unpack(counts.encode() if isinstance(counts, str) else counts)
    # pycocotools leaves pixels that no run reaches uninitialised, so the runs must fill the image.
    if (
        not all(type(count) is int and count >= 0 for count in counts)
        or sum(counts) != height * width
    ):
        raise RefDataError(
            f"run lengths are not whole numbers that add up to {height * width} pixels"
        )
    packed: dict[str, object] = coco_mask.frPyObjects(
        {"size": [height, width], "counts": counts}, height, width
    )
    return packed


def _unpack(packed: bytes) -> list[int]:
    """Run lengths of COCO's compressed form.

    Numbers are written in groups of five bits, low groups first, bit 5 saying that another group
    follows and bit 4 of the last group being the sign; from the fourth on, each is the difference
    to the number two places before.
    """
    counts: list[int] = []
    value = shift = 0
    for byte in packed:
        group = byte - 48
        value |= (group & 31) << shift
        shift += 5
        if group & 32 and shift < 60:
            continue
        if group & 16:
            value -= 1 << shift
        counts.append(value + counts[-2] if len(counts) > 2 else value)
        value = shift = 0
    if shift:
        raise RefDataError("a run-length outline is cut off")
    return counts
