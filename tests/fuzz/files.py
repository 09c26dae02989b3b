"""Files of strangers with some bytes changed: pictures, Parquet files, archives of weights."""

import io
import os
import pickle
import tempfile
import warnings
import zipfile
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from hypothesis import strategies as st
from PIL import Image

from litelvlm.data.images import open_image
from litelvlm.data.safe.archives import check_archive as check_weights
from litelvlm.data.safe.parquet import open_parquet, read_rows
from litelvlm.data.safe.pickle_gate import check_pickle
from litelvlm.data.safe.weight_files import read_shard
from tests.fuzz.tables import DATA, MOVES, NOISE, check_refusal, mutated

COLUMNS = ("image", "answer", "segmentation")
KINDS = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "PPM", "WEBP")


@cache
def picture(kind: str) -> bytes:
    """A small picture file of one type."""
    buffer = io.BytesIO()
    pixels = np.arange(15 * 11 * 3, dtype=np.uint32).reshape(15, 11, 3) % 251
    Image.fromarray(pixels.astype(np.uint8)).save(buffer, kind)
    return buffer.getvalue()


PICTURES = st.builds(
    lambda kind, moves: mutated(picture(kind), moves).hex(), st.sampled_from(KINDS), MOVES
)


def check_picture(case: str) -> str:
    """Any bytes are an RGB picture or one refusal."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # Pillow's, about odd tags
            found = open_image(bytes.fromhex(case))
    except ValueError as error:
        assert len(str(error)) < 500
        return "refused"
    assert found.mode == "RGB"
    assert min(found.size) > 0
    return "read"


@cache
def table(packing: str) -> bytes:
    """A small Parquet file in the hub's form."""
    row = {
        "image": {"bytes": picture("PNG"), "path": "a.png"},
        "answer": ["the thing", "it"],
        "segmentation": [1.0, 1.0, 4.0, 1.0, 4.0, 4.0],
    }
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist([row] * 5), buffer, compression=packing)
    return buffer.getvalue()


PARQUET = st.builds(
    lambda packing, moves: mutated(table(packing), moves).hex(),
    st.sampled_from(["none", "snappy", "zstd", "gzip"]),
    MOVES,
)


def on_disk(content: bytes, suffix: str) -> Path:
    """The content as a file that is overwritten by the next case of this process."""
    path = Path(tempfile.gettempdir()) / f"litelvlm-fuzz-{os.getpid()}{suffix}"
    path.write_bytes(content)
    return path


def check_parquet(case: str) -> str:
    """Any bytes are rows or one error of the types that a caller catches."""
    path = on_disk(bytes.fromhex(case), ".parquet")
    try:
        file = open_parquet(path)
        columns = [name for name in COLUMNS if name in file.schema_arrow.names]
        rows = list(read_rows(file, columns))
    except (OSError, ValueError, pa.ArrowException):
        return "refused"
    finally:
        path.unlink()
    assert len(rows) < 10_000
    return "read"


WEIGHTS = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.ones(3, dtype=torch.int64)}


@cache
def archive(kind: int) -> bytes:
    """Weights as torch writes them, or packed again."""
    buffer = io.BytesIO()
    torch.save(WEIGHTS, buffer)
    if kind == zipfile.ZIP_STORED:
        return buffer.getvalue()
    again = io.BytesIO()
    with zipfile.ZipFile(buffer) as old, zipfile.ZipFile(again, "w", kind) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    return again.getvalue()


ARCHIVES = st.builds(
    lambda kind, moves: mutated(archive(kind), moves).hex(),
    st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]),
    MOVES,
)


def check_archive(case: str) -> str:
    """Any bytes are a table of tensors or one refusal."""
    path = on_disk(bytes.fromhex(case), ".bin")
    try:
        check_refusal(ValueError, check_weights, path)
        return check_refusal(ValueError, lambda path: [*read_shard(path)], path)
    finally:
        path.unlink()


PLANS = st.builds(lambda data, moves: mutated(pickle.dumps(data, 2), moves).hex(), DATA, MOVES)
PLANS = PLANS | NOISE


def check_plan(case: str) -> str:
    """Any plan of tensors is accepted or refused in words."""
    return check_refusal(ValueError, check_pickle, bytes.fromhex(case), False)
