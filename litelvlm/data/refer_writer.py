"""Write procedural scenes in REFER layout, so that they are read like annotated photographs."""

import hashlib
import io
import json
import pickle
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from pycocotools import mask as coco_mask

from litelvlm.arrays import NDArray
from litelvlm.data.layout import REF_FAMILIES
from litelvlm.data.outlines import outline_polygons
from litelvlm.data.safe.rasterise import decode_mask
from litelvlm.data.worlds.base import Kind, Scene

DATASET = "refcoco"
"""Member of the family whose layout the scenes are written in."""
KINDS_OF_SPLIT: Mapping[str, tuple[Kind, ...]] = {
    "testA": ("category", "attribute"),
    "testB": ("relation",),
}
"""Splits that take some kinds of expressions only; the others take all."""


def fill_refer(
    base: Path, splits: Mapping[str, Iterable[Scene]], categories: Mapping[str, str]
) -> None:
    """Write scenes as `refcoco` below a new `Refer_Segm` folder, with images beside it.

    Every second object is stored as polygons along pixel borders where those give back the exact
    mask, the others as compressed run lengths. Each sentence record has an extra key "kind". The
    SHA-256 of all pixels stands in the info block of `instances.json`, so that a digest of the
    tables covers the images too.

    Args:
        base: The `Refer_Segm` folder.
        splits: Scenes of each split ("train", "val", "testA", "testB"); no scene may be in two.
        categories: Every category of the world with its supercategory, in the order of ids.

    Raises:
        ValueError: If a scene is in two splits.
    """
    (base / DATASET).mkdir(parents=True)
    images_folder = base / REF_FAMILIES[DATASET].images
    images_folder.mkdir(parents=True)
    tables = _Tables(categories)
    pixels = hashlib.sha256()
    for split, scenes in splits.items():
        for scene in scenes:
            file_name = tables.add(scene, split)
            pixels.update(scene.image.tobytes())
            buffer = io.BytesIO()
            Image.fromarray(scene.image).save(buffer, "PNG", compress_level=1)
            (images_folder / file_name).write_bytes(buffer.getvalue())
    # Protocol 2, as the published files have; plain containers, strings and numbers only.
    refs = pickle.dumps(tables.refs, protocol=2)
    instances = json.dumps(tables.instances(pixels.hexdigest()), separators=(",", ":")).encode()
    (base / DATASET / REF_FAMILIES[DATASET].tables["unc"][0]).write_bytes(refs)
    (base / DATASET / "instances.json").write_bytes(instances)


class _Tables:
    """Growing lists of images, annotations and references with running ids."""

    def __init__(self, categories: Mapping[str, str]) -> None:
        self.categories = categories
        self.category_ids = {name: i for i, name in enumerate(categories, start=1)}
        self.images: dict[int, dict[str, object]] = {}
        self.annotations: list[dict[str, object]] = []
        self.refs: list[dict[str, object]] = []
        self.n_sentences = 0

    def add(self, scene: Scene, split: str) -> str:
        """Enter one scene; returns its file name."""
        image_id = scene.seed
        if image_id in self.images:
            raise ValueError(
                f"the scene of seed {image_id} is there twice; splits must not share images"
            )
        height, width = scene.image.shape[:2]
        file_name = f"SCENE_train2014_{image_id:012d}.png"
        self.images[image_id] = {
            "id": image_id,
            "file_name": file_name,
            "height": height,
            "width": width,
        }
        kinds = KINDS_OF_SPLIT.get(split)
        for i, (category, mask) in enumerate(zip(scene.categories, scene.masks, strict=True)):
            ann_id, category_id = len(self.annotations) + 1, self.category_ids[category]
            self.annotations.append(
                {
                    "id": ann_id,
                    "image_id": image_id,
                    "category_id": category_id,
                    "segmentation": _outline(mask, prefer_polygons=ann_id % 2 == 0),
                    "bbox": _box(mask),
                    "area": int(mask.sum()),
                    "iscrowd": 0,
                }
            )
            sentences = [
                self._sentence(expression.sent, expression.kind)
                for expression in scene.expressions
                if expression.target == i and (kinds is None or expression.kind in kinds)
            ]
            if sentences:
                self.refs.append(
                    {
                        "ref_id": len(self.refs) + 1,
                        "ann_id": ann_id,
                        "image_id": image_id,
                        "category_id": category_id,
                        "split": split,
                        "file_name": f"SCENE_train2014_{image_id:012d}_{ann_id}.png",
                        "sent_ids": [sentence["sent_id"] for sentence in sentences],
                        "sentences": sentences,
                    }
                )
        return file_name

    def _sentence(self, sent: str, kind: str) -> dict[str, object]:
        self.n_sentences += 1
        return {
            "sent_id": self.n_sentences,
            "sent": sent,
            "raw": sent,
            "tokens": sent.split(),
            "kind": kind,
        }

    def instances(self, pixel_digest: str) -> dict[str, object]:
        """The content of `instances.json`."""
        return {
            "info": {"description": "procedural referring scenes", "pixels_sha256": pixel_digest},
            "licenses": [],
            "images": list(self.images.values()),
            "annotations": self.annotations,
            "categories": [
                {"id": self.category_ids[name], "name": name, "supercategory": supercategory}
                for name, supercategory in self.categories.items()
            ],
        }


def _outline(mask: NDArray[np.bool_], prefer_polygons: bool) -> Sequence[object]:
    """An outline in COCO form that decodes to exactly this mask."""
    if prefer_polygons:
        polygons = outline_polygons(mask)
        if polygons and np.array_equal(decode_mask(polygons, *mask.shape), mask.astype(np.uint8)):
            return polygons
    packed = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
    return [
        {"size": [int(side) for side in packed["size"]], "counts": packed["counts"].decode("ascii")}
    ]


def _box(mask: NDArray[np.bool_]) -> list[int]:
    """[x, y, width, height] in pixels."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return [
        int(columns[0]),
        int(rows[0]),
        int(columns[-1] - columns[0] + 1),
        int(rows[-1] - rows[0] + 1),
    ]
