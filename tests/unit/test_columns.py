"""Columns made from buffers are those that pyarrow makes of lists."""

import pyarrow as pa
import pytest

from litelvlm.data.safe import columns
from litelvlm.data.safe.columns import count_signs, texts, truths, whole_numbers


@pytest.mark.parametrize("length", [0, 1, 7, 8, 9, 100])
def test_columns_equal_those_of_pyarrow(length):
    numbers = [(-1) ** n * (2**63 - 1 - n) for n in range(length)]
    found = whole_numbers(numbers), truths([n % 3 == 0 for n in numbers])
    words = ["größer" * (n % 3) for n in range(length)]
    found += (texts([word.encode() for word in words]),)
    wanted = (
        pa.array(numbers, pa.int64()),
        pa.array([n % 3 == 0 for n in numbers], pa.bool_()),
        pa.array(words, pa.large_string()),
    )
    for one, other in zip(found, wanted, strict=True):
        one.validate(full=True)
        assert one.equals(other)


def test_a_number_of_more_bits_is_refused():
    with pytest.raises(OverflowError):
        whole_numbers([2**63])


def test_signs_are_counted_over_pieces(monkeypatch):
    content = b"a,[b{,,\x00]" * 50
    wanted = sum(map(content.count, (b",", b"[", b"{")))
    for size in (1, 2, 7, 1000):
        monkeypatch.setattr(columns, "_PIECE", size)
        assert count_signs(content, b",[{") == wanted
    assert count_signs(b"", b",") == 0
