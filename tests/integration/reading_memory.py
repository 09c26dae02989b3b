"""Print the peak of memory while data sets are read, above what the process held before.

It is a process of its own, for a clean heap.

Usage: ``python reading_memory.py FOLDER``, on Linux.
"""

import ctypes
import gc
import io
import json
import os
import pickle
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from litelvlm import load_refer
from litelvlm.data.annotations import RefDataError
from litelvlm.data.safe import json_data, pickle_gate, pickles

REFS, POINTS = 2_000, 40


def peak_above(read: Callable[[], object]) -> int:
    """Bytes by which the peak of this process lies above what it held before the call."""

    def status(name: str) -> int:
        lines = Path("/proc/self/status").read_text().splitlines()
        return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(name))

    gc.collect()
    pa.default_memory_pool().release_unused()
    ctypes.CDLL(None).malloc_trim(0)  # what was freed goes back to the system
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts again from here
    before = status("VmRSS")
    kept = read()
    after = status("VmHWM") - before
    del kept
    return after


def peak_of_objects(read: Callable[[], object]) -> int:
    """Bytes of Python's objects at the peak of a call; exact, whatever was held before."""
    tracemalloc.start()
    kept = read()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    del kept
    return peak


def write_parquet(folder: Path) -> Path:
    """References with an outline of 40 points, four on each picture."""
    rng, rows = np.random.default_rng(0), []
    for image in range(REFS // 4):
        buffer = io.BytesIO()
        noise = rng.integers(0, 256, (40, 60, 3), dtype=np.uint8)
        Image.fromarray(noise).save(buffer, "PNG")
        rows += [
            {
                "image": {"bytes": buffer.getvalue(), "path": "a.png"},
                "answer": ["the second thing from the left", "it", "that one there"],
                "segmentation": rng.uniform(0, 40, 2 * POINTS).round(2).tolist(),
                "file_name": f"COCO_train2014_{image + 1:012d}_{number}.png",
            }
            for number in range(4)
        ]
    folder.mkdir()
    pq.write_table(pa.Table.from_pylist(rows), folder / "val-0.parquet", row_group_size=400)
    return folder


def refused(read: Callable[[], object], error: type[Exception]) -> Callable[[], None]:
    """The same call, which must end in an error of this type."""

    def call() -> None:
        try:
            read()
        except error:
            return
        raise AssertionError("it was read")

    return call


def bombs(folder: Path, base: Path) -> dict[str, Callable[[], None]]:
    """Files of few bytes that ask for much memory."""
    rows = 200
    table = pq.read_table(base / "val-0.parquet").slice(0, rows)
    found = {}
    text = "x" * 2**20
    columns = {
        "text": ("answer", pa.ListArray.from_arrays(
            np.arange(rows + 1, dtype=np.int32) * 1000,
            pa.DictionaryArray.from_arrays(np.zeros(rows * 1000, np.int32), [text]),
        )),
        "outline": ("segmentation", pa.ListArray.from_arrays(
            np.arange(rows + 1, dtype=np.int32) * 90_000,
            np.zeros(rows * 90_000, np.float32),
        )),
        "row": ("segmentation", pa.ListArray.from_arrays(
            [0, 19_000_000, *[19_000_000] * (rows - 1)], np.zeros(19_000_000)
        )),
    }  # fmt: skip
    for name, (column, values) in columns.items():
        place = folder / f"RefCOCO-{name}"
        place.mkdir()
        bomb = table.set_column(table.schema.get_field_index(column), column, values)
        pq.write_table(bomb, place / "val-0.parquet", compression="zstd")
        found[f"parquet {name}"] = refused(lambda place=place: load_refer(place), RefDataError)
    del table, bomb, columns, values
    lists = pickle.PROTO + b"\x02(" + b"]" * 600_000 + b"l."
    found["pickle of lists"] = refused(lambda: pickles.loads_plain(lists), ValueError)
    objects = b"[" + b"[]," * 2_000_000 + b"0]"
    found["json of lists"] = refused(lambda: json_data.read_json(objects), ValueError)
    pickle_gate.MAX_STEPS, json_data.MAX_VALUES = 300_000, 1_000_000
    return found


def main() -> None:
    """Read a data set in both forms, and the bombs."""
    folder = Path(sys.argv[1])
    os.environ["LITELVLM_CACHE"] = str(folder / "cache")
    first, source = (write_parquet(folder / name) for name in ("RefCOCO-first", "RefCOCO"))
    load_refer(first)  # what any first reading loads and keeps
    found = {"parquet": peak_above(lambda: load_refer(source))}
    made = load_refer(source).root
    tables = [path for path in made.rglob("*") if path.suffix in (".p", ".json")]
    for path in tables:
        os.utime(path)  # a changed file is read again; else the tables are still held
    found["refer"] = peak_of_objects(lambda: load_refer(source))
    found["table bytes"] = sum(path.stat().st_size for path in tables)
    found |= {name: peak_above(call) for name, call in bombs(folder, source).items()}
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main()
