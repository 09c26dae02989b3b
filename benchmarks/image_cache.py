"""What a cache of encoded images saves: ``python benchmarks/image_cache.py [--images N]``.

Each image of the miniature is encoded and read back in turn, and then swept with one method at one
budget from both. Rows are compared. The images are read once before, so the disk's own cache is
warm; a cold disk adds the time of reading the file.
"""

import tempfile
from collections.abc import Callable
from time import process_time
from typing import Any, TypeVar

import numpy as np
from common import run, spread

from litelvlm import load_model, load_refer
from litelvlm.analysis.inputs.image_cache import with_image_cache
from litelvlm.analysis.inputs.methods import Method
from litelvlm.analysis.studies.sweep.config import Config
from litelvlm.analysis.studies.sweep.passes import SweepContext
from litelvlm.analysis.studies.sweep.rows import image_rows, load

Found = TypeVar("Found")


def clock(call: Callable[[], Found]) -> tuple[Found, float]:
    """What a call gives, and its processor time in milliseconds."""
    start = process_time()
    found = call()
    return found, 1e3 * (process_time() - start)


def measure(images: int = 16) -> dict[str, Any]:
    """Time both."""
    plain, data = load_model("embedded", device="cpu"), load_refer("embedded", split="val")
    config = Config(methods=(Method.parse("litelvlm"),), budgets=(48,))
    times: dict[str, list[float]] = {
        name: [] for name in ("encode", "read", "rows, encoded", "rows, read")
    }
    with tempfile.TemporaryDirectory() as folder:
        cached = with_image_cache(plain, folder)
        contexts = {model: SweepContext(model, data, config, (48,)) for model in (plain, cached)}
        apart = 0
        for index in range(images):
            picture, loaded = data[index].image(), load(contexts[plain], index)
            cached.encode_image(picture)
            for context in contexts.values():  # the first sweep also fills what runs share
                image_rows(context, loaded)
            times["encode"].append(clock(lambda p=picture: plain.encode_image(p))[1])
            times["read"].append(clock(lambda p=picture: cached.encode_image(p))[1])
            first, took = clock(lambda given=loaded: image_rows(contexts[plain], given))
            times["rows, encoded"].append(took)
            second, took = clock(lambda given=loaded: image_rows(contexts[cached], given))
            times["rows, read"].append(took)
            apart += first.rows != second.rows
        kept = cached.image_cache
        size = sum(path.stat().st_size for path in kept.folder.rglob("*.safetensors"))
    return {
        "images": images,
        "bytes_per_image": size / images,
        "processor_milliseconds": {name: spread(values) for name, values in times.items()},
        "encode_over_read": spread(list(np.divide(times["encode"], times["read"]))),
        "rows_encoded_over_read": spread(
            list(np.divide(times["rows, encoded"], times["rows, read"]))
        ),
        "images_with_different_rows": apart,
    }


if __name__ == "__main__":
    run(measure)
