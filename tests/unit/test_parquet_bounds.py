"""Parquet files that would take far more memory, disk or time than they state are refused."""

import io
import re
import struct

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from refer_tree import SQUARE as POLYGONS
from refer_tree import RefDataError, picture

from litelvlm import load_refer
from litelvlm.data import hub_tables
from litelvlm.data.safe import parquet
from litelvlm.data.safe.parquet import open_parquet, read_rows

SQUARE = list(map(float, POLYGONS[0]))


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LITELVLM_CACHE", str(tmp_path / "cache"))


def table(n=1, image=None, answer=("it",), segmentation=SQUARE, name="COCO_x_{:012d}.jpg"):
    return pa.table(
        {
            "image": pa.array([{"bytes": image or picture(), "path": "a.png"}] * n),
            "answer": pa.array([list(answer)] * n),
            "segmentation": pa.array([segmentation] * n),
            "file_name": [name.format(i + 1) for i in range(n)],
        }
    )


def write(folder, content, **options):
    path = folder / "RefCOCO" / "val-0.parquet"
    path.parent.mkdir(exist_ok=True)
    pq.write_table(content, path, compression="zstd", **options)
    return path


def refusal(path):
    """What is said of a file that is refused, of which nothing is kept."""
    with pytest.raises(RefDataError) as refused:
        load_refer(path.parent)
    cache = path.parents[1] / "cache"
    assert not cache.exists() or not list(cache.iterdir())
    return str(refused.value)


def test_one_text_in_many_rows_stays_one_in_memory(tmp_path):
    # 2,000 rows of a text of 1 MiB: 2 GB for a reader that unfolds them, and 2 kB on disk.
    n, text = 2_000, "x" * 2**20
    column = pa.DictionaryArray.from_arrays(np.zeros(n, np.int32), [text])
    path = tmp_path / "long.parquet"
    pq.write_table(pa.table({"text": column}), path, compression="zstd")
    assert path.stat().st_size < 10_000
    before = pa.default_memory_pool().max_memory()
    file = open_parquet(path)
    assert sum(len(row["text"]) for row in read_rows(file, ["text"])) == n * len(text)
    assert pa.default_memory_pool().max_memory() - before < 64 * 2**20


def test_a_row_that_unfolds_to_gigabytes_is_refused(tmp_path):
    # One row with 900 times one text of 1 MiB.
    texts = pa.DictionaryArray.from_arrays(np.zeros(900, np.int32), ["x" * 2**20])
    column = pa.ListArray.from_arrays([0, 900], texts)
    bomb = table().set_column(1, "answer", column)
    path = write(tmp_path, bomb)
    assert path.stat().st_size < 20_000
    assert re.search(
        "row 0 has 9.. values of 943,7.* bytes; at most 1,000,000 and 67,108,864", refusal(path)
    )


def test_a_list_without_end_is_refused(tmp_path):
    few = pa.ListArray.from_arrays([0, 1_000_001], np.zeros(1_000_001, np.float32))
    path = write(tmp_path, table().set_column(2, "segmentation", few), write_statistics=False)
    assert path.stat().st_size < 10_000
    assert "row 0 has 1,000," in refusal(path)


def test_footers_are_bounded(tmp_path, monkeypatch):
    path = write(tmp_path, table(3))
    content = path.read_bytes()
    path.write_bytes(content[:-8] + struct.pack("<I", 2**31) + b"PAR1")
    assert re.search("not a readable Parquet file .*footer", refusal(path))
    path.write_bytes(content[:-1])
    assert re.search("not a readable Parquet file .*fetch it again", refusal(path))
    path.write_bytes(b"")
    assert re.search("not a readable Parquet file .*fetch it again", refusal(path))
    path.write_bytes(content)
    monkeypatch.setattr(parquet, "MAX_ROWS", 2)
    assert "it has 3 rows and 5 columns; at most 2 and 1,000 are read" in refusal(path)


def test_pictures_are_bounded(tmp_path):
    assert "row 0: the image is not read" in refusal(
        write(tmp_path, table(image=picture((10_000, 10_000))))
    )
    assert "40000 x 1 pixels; a side has at" in refusal(
        write(tmp_path, table(image=picture((40_000, 1))))
    )
    eps = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n"
    assert "row 0: the image is not readable" in refusal(write(tmp_path, table(image=eps)))


def test_pictures_fill_no_disk(tmp_path, monkeypatch):
    # One picture under 4,000 names, written once in the file.
    noise = np.random.default_rng(0).integers(0, 256, (60, 60, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, "PNG")
    path = write(tmp_path, table(4000, image=buffer.getvalue()))
    assert path.stat().st_size < 100_000
    assert "the pictures are more than 20 times as large as the files they come from" in refusal(
        path
    )


def test_all_rows_together_are_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(hub_tables, "MAX_SENTENCES", 5)
    assert "row 2: the split has 6 sentences" in refusal(
        write(tmp_path, table(4, answer=("a", "b")))
    )
    monkeypatch.setattr(hub_tables, "MAX_SENTENCES", 50)
    monkeypatch.setattr(hub_tables, "MAX_NUMBERS", 20)
    assert "row 2: the split has 3 sentences and outlines of 24 numb" in refusal(
        write(tmp_path, table(4))
    )


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"segmentation": [float("nan"), 1.0, 2.0, 3.0]}, "row 0: segmentation holds nan"),
        ({"answer": [None]}, r"row 0: answer is \[None\]"),
    ],
)
def test_values_that_no_table_can_hold_name_their_row(tmp_path, change, match):
    assert re.search(match, refusal(write(tmp_path, table(**change))))


def test_odd_file_names_become_digests(tmp_path):
    for name in ("../../x_{:012d}.jpg", "a\x00b_{:012d}.jpg", "x" * 400 + "_{:012d}.jpg"):
        (sample,) = load_refer(write(tmp_path, table(name=name)).parent)
        assert sample.image().size == (8, 6)
        assert sample.file_name.endswith(".img") or sample.file_name == "x_000000000001.jpg"
