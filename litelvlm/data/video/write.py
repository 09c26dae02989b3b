"""Write rendered clips in the layout of MeViS, so that they are read like a user's data."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Bool
from PIL import Image
from pycocotools import mask as coco_mask

from litelvlm.arrays import NDArray
from litelvlm.data.worlds.base import Kind
from litelvlm.data.worlds.moving.clips import MovingScene

KINDS_OF_SPLIT: Mapping[str, tuple[Kind, ...]] = {
    "testA": ("looks",),
    "testB": ("motion", "order"),
}
"""Splits that take some kinds of expressions only; the others take all."""


def fill_mevis(base: Path, splits: Mapping[str, Iterable[MovingScene]]) -> None:
    """Write clips as MeViS has them, with one extra key: "kind" of every expression.

    Args:
        base: Folder of the data set; it must exist.
        splits: Clips of each split.
    """
    for split, clips in splits.items():
        _fill_split(base / split, clips, KINDS_OF_SPLIT.get(split))


def _fill_split(folder: Path, clips: Iterable[MovingScene], kinds: tuple[Kind, ...] | None) -> None:
    videos: dict[str, object] = {}
    masks: dict[str, list[object]] = {}
    for clip in clips:
        name, names = f"clip_{clip.seed:06d}", [f"{i:05d}" for i in range(len(clip.frames))]
        frames = folder / "JPEGImages" / name
        frames.mkdir(parents=True)
        for frame, pixels in zip(names, clip.frames, strict=True):
            Image.fromarray(pixels).save(frames / f"{frame}.png", compress_level=1)
        first = len(masks)
        for number, mask in enumerate(clip.masks, start=first):
            masks[str(number)] = [_run_lengths(one) for one in mask]
        said = [e for e in clip.expressions if kinds is None or e.kind in kinds]
        videos[name] = {
            "frames": names,
            "expressions": {
                str(key): {
                    "exp": one.sent,
                    "obj_id": [one.target],
                    "anno_id": [first + one.target],
                    "kind": one.kind,
                }
                for key, one in enumerate(said)
            },
        }
    tables = {"meta_expressions.json": {"videos": videos}, "mask_dict.json": masks}
    for file, table in tables.items():
        (folder / file).write_text(json.dumps(table, separators=(",", ":")))


def _run_lengths(mask: Bool[NDArray[np.bool_], "height width"]) -> dict[str, object] | None:
    """COCO's run lengths; nothing where the object is not seen."""
    if not mask.any():
        return None
    packed = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {"size": list(map(int, packed["size"])), "counts": packed["counts"].decode("ascii")}
