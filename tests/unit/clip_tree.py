"""Data sets of clips in their published layouts, drawn small; objects are boxes that move."""

import json
import pickle

import numpy as np
from PIL import Image
from pycocotools import mask as coco_mask

HEIGHT, WIDTH = 20, 30
FRAMES = ("00000", "00005", "00010")
CLIPS = {"bear": (1,), "two-dogs": (1, 2)}
"""Objects of each clip."""


def labels(clip, frame, size=(HEIGHT, WIDTH)):
    """Numbers of objects: object 2 is gone in the last frame."""
    found = np.zeros(size, np.uint8)
    for label in CLIPS[clip]:
        if (label, frame) != (2, len(FRAMES) - 1):
            found[2 + 8 * (label - 1) :, 3 + frame :][:6, :9] = label
    return found


def write_frames(folder, size=(HEIGHT, WIDTH)):
    for clip in CLIPS:
        (folder / clip).mkdir(parents=True)
        for place, name in enumerate(FRAMES):
            pixels = np.repeat(labels(clip, place, size)[..., None] * 90, 3, axis=2)
            Image.fromarray(pixels).save(folder / clip / f"{name}.jpg", quality=95)


def write_labels(folder):
    for clip in CLIPS:
        (folder / clip).mkdir(parents=True)
        for place, name in enumerate(FRAMES):
            picture = Image.fromarray(labels(clip, place)).convert("L")
            picture.putpalette([value for one in range(256) for value in (one, 0, 255 - one)])
            assert picture.mode == "P"
            picture.save(folder / clip / f"{name}.png")


def write_json(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def record(expressions):
    return {"frames": list(FRAMES), "expressions": expressions}


def davis_expressions():
    """Four expressions per object, as two annotators wrote them."""
    return {
        "videos": {
            clip: record(
                {
                    str(4 * place + kind): {
                        "exp": f"object {label} of {clip}",
                        "obj_id": str(label),
                    }
                    for place, label in enumerate(objects)
                    for kind in range(4)
                }
            )
            for clip, objects in CLIPS.items()
        }
    }


def davis(root, split="valid"):
    """Ref-DAVIS17 as ReferFormer's conversion leaves it."""
    write_json(root / f"meta_expressions/{split}/meta_expressions.json", davis_expressions())
    write_frames(root / split / "JPEGImages")
    write_labels(root / split / "Annotations")
    return root


def run_lengths(clip, label):
    """One record per frame, nothing where the object is not there."""
    masks = [labels(clip, frame) == label for frame in range(len(FRAMES))]
    records = [coco_mask.encode(np.asfortranarray(mask.astype(np.uint8))) for mask in masks]
    return [
        {"size": one["size"], "counts": one["counts"].decode()} if mask.any() else None
        for one, mask in zip(records, masks, strict=True)
    ]


def mask_table():
    """Entries of all objects of all clips, numbered through."""
    objects = [(clip, label) for clip, owned in CLIPS.items() for label in owned]
    return {str(7 + place): run_lengths(*one) for place, one in enumerate(objects)}


def mevis_expressions():
    """The last expression means two objects, and another one nothing."""
    return {
        "videos": {
            "bear": record({"0": {"exp": "the bear", "obj_id": [0], "anno_id": [7]}}),
            "two-dogs": record(
                {
                    "0": {"exp": "left dog", "obj_id": [0], "anno_id": [8]},
                    "1": {"exp": "the cat", "obj_id": [], "anno_id": []},
                    "2": {"exp": "dogs that run", "obj_id": [0, 1], "anno_id": [8, 9]},
                }
            ),
        }
    }


def mevis(root, split="valid_u"):
    write_json(root / split / "meta_expressions.json", mevis_expressions())
    write_json(root / split / "mask_dict.json", mask_table())
    write_frames(root / split / "JPEGImages")
    return root


def revos(root):
    """One table of masks and one folder of frames for both splits."""
    for split in ("train", "valid"):
        write_json(root / f"meta_expressions_{split}_.json", mevis_expressions())
    write_json(root / "mask_dict.json", mask_table())
    write_frames(root)
    return root


def davis_with_pickle(root):
    """UniPixel's copy: a pickle with an entry per expression."""
    expressions = davis_expressions()
    entries = [
        run_lengths(clip, int(one["obj_id"]))
        for clip, of_clip in expressions["videos"].items()
        for one in of_clip["expressions"].values()
    ]
    write_json(root / "meta_expressions/valid/meta_expressions.json", expressions)
    write_frames(root / "DAVIS/JPEGImages/480p")
    (root / "valid").mkdir()
    table = {str(place): entry for place, entry in enumerate(entries)}
    (root / "valid/mask_dict.pkl").write_bytes(pickle.dumps(table, protocol=4))
    return root
