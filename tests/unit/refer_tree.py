"""Small trees in REFER layout, made of plain records, and the error that damaged ones raise."""

import io
import json
import pickle
from pathlib import Path

from PIL import Image

from litelvlm.data.annotations import RefDataError
from litelvlm.data.layout import REF_FAMILIES

__all__ = ["FIXTURE", "SQUARE", "RefDataError", "annotation", "make_tree", "picture", "ref"]
FIXTURE = Path(__file__).parents[1] / "fixtures" / "parity" / "refer"
SQUARE = [[1, 1, 4, 1, 4, 4, 1, 4]]


def make_tree(
    root,
    refs,
    annotations=None,
    dataset="refcoco",
    table="refs(unc).p",
    images=({"id": 7, "height": 6, "width": 8},),
):
    """A small tree; annotations default to one square of id 1 on image 7."""
    base = root / "Refer_Segm"
    (base / dataset).mkdir(parents=True, exist_ok=True)
    folder = base / REF_FAMILIES[dataset].images
    folder.mkdir(parents=True, exist_ok=True)
    images = [{"file_name": f"{image['id']}.png", **image} for image in images]
    for image in images:
        Image.new("L", (image["width"], image["height"]), 90).save(
            folder / Path(image["file_name"]).name
        )
    if annotations is None:
        annotations = [annotation(1, SQUARE)]
    instances = {
        "images": images,
        "annotations": annotations,
        "categories": [{"id": 3, "name": "thing"}],
    }
    (base / dataset / "instances.json").write_text(json.dumps(instances))
    content = json.dumps(refs).encode() if table.endswith(".json") else pickle.dumps(refs, 2)
    (base / dataset / table).write_bytes(content)
    return root


def picture(size=(8, 6)):
    """The bytes of a PNG of one colour."""
    buffer = io.BytesIO()
    Image.new("RGB", size, (90, 0, 0)).save(buffer, "PNG")
    return buffer.getvalue()


def annotation(ann_id, segmentation, image_id=7):
    return {"id": ann_id, "image_id": image_id, "category_id": 3, "segmentation": segmentation}


def ref(ref_id=1, ann_id=1, image_id=7, split="val", sents=("the thing",), **extra):
    sentences = [
        {"sent_id": 10 * ref_id + i, "sent": sent, "raw": sent} for i, sent in enumerate(sents)
    ]
    return {
        "ref_id": ref_id, "ann_id": ann_id, "image_id": image_id, "split": split, "category_id": 3,
        "sentences": sentences, **extra,
    }  # fmt: skip
