"""Time to open a data set of RefCOCO's size: ``python benchmarks/tables.py``.

The two tables are made up, with the numbers of references, sentences, images and objects that
RefCOCO has, and outlines of 6 to 45 corners. Every opening is a process of its own. The first one
reads both files and checks them, the others find in the cache folder what came out. Processor time
of one thread, the import of the library left out, three times; medians beside quartiles.
"""

import json
import os
import pickle
import random
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from common import ROOT, run, spread

IMAGES, OBJECTS, REFERENCES = 19_994, 196_771, 50_000
WORDS = ("left", "right", "man", "woman", "red", "blue", "near", "table", "cup", "second")
OPEN = """
import logging, sys, time
from litelvlm import load_refer
logging.disable()
start = time.process_time()
load_refer(sys.argv[1], split=sys.argv[2])
print(time.process_time() - start)
"""
OPENINGS = ("val", "val", "testA", "train")
ROUNDS = 3


def write_tables(folder: Path) -> dict[str, float]:
    """A tree in REFER layout without pictures; sizes of both files in MB."""
    draw = random.Random(0)
    images = [
        {"id": i, "file_name": f"COCO_train2014_{i:012d}.jpg", "height": 480, "width": 640}
        for i in range(IMAGES)
    ]
    objects = [
        {
            "id": number + 1,
            "image_id": draw.randrange(IMAGES),
            "category_id": draw.randrange(1, 91),
            "iscrowd": 0,
            "segmentation": [
                [round(draw.uniform(0, 480), 2) for _ in range(2 * draw.randint(6, 45))]
            ],
        }
        for number in range(OBJECTS)
    ]
    references, n_sentences = [], 0
    for number in range(REFERENCES):
        meant, sentences = draw.choice(objects), []
        for _ in range(draw.choice((2, 3, 3, 3))):
            tokens = draw.choices(WORDS, k=draw.randint(1, 6))
            text = " ".join(tokens)
            sentences.append(
                {"tokens": tokens, "raw": text.title(), "sent_id": n_sentences, "sent": text}
            )
            n_sentences += 1
        references.append(
            {"ref_id": number, "ann_id": meant["id"], "image_id": meant["image_id"]}
            | {"category_id": meant["category_id"], "sentences": sentences}
            | {"sent_ids": [one["sent_id"] for one in sentences]}
            | {"split": draw.choices(("train", "val", "testA", "testB"), (20, 1, 1, 1))[0]}
        )
    place = folder / "Refer_Segm" / "refcoco"
    place.mkdir(parents=True)
    categories = [{"id": number, "name": f"kind {number}"} for number in range(1, 91)]
    table, instances = place / "refs(unc).p", place / "instances.json"
    table.write_bytes(pickle.dumps(references, 0))  # as the published file
    instances.write_text(
        json.dumps({"images": images, "annotations": objects, "categories": categories})
    )
    return {file.name: file.stat().st_size / 1e6 for file in (table, instances)}


def measure() -> dict[str, Any]:
    """Open one split after another, with an empty cache folder in each round."""
    rounds: list[list[float]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sizes = write_tables(folder)
        for number in range(ROUNDS):
            cache = folder / f"cache {number}"
            rounds.append([float(_printed(cache, OPEN, name, split)) for split in OPENINGS])
        kept = sum(file.stat().st_size for file in (cache / "tables").glob("*")) / 1e6
    lines = [
        {"opening": number, "split": split} | spread([one[number - 1] for one in rounds])
        for number, split in enumerate(OPENINGS, start=1)
    ]
    return {"megabytes": sizes, "kept_megabytes": kept, "openings": lines}


def _printed(cache: Path, *arguments: str) -> str:
    """What a program prints in a process of its own."""
    environment = os.environ | {"LITELVLM_CACHE": str(cache), "PYTHONPATH": str(ROOT)}
    return subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-c", *arguments],
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    ).stdout


if __name__ == "__main__":
    run(measure)
