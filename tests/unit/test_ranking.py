"""Order of scores: known answers, ties, number types."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from litelvlm.pruning.ranking import ascending, complement, highest, lowest, stable_order


def test_equal_scores_keep_index_order():
    for descending in (True, False):
        assert stable_order(torch.zeros(576), descending).tolist() == list(range(576))


def test_known_order_with_ties():
    scores = torch.tensor([2.0, 5.0, 2.0, -1.0, 5.0])
    assert stable_order(scores, descending=True).tolist() == [1, 4, 0, 2, 3]
    assert stable_order(scores, descending=False).tolist() == [3, 0, 2, 1, 4]
    assert highest(scores, 3).tolist() == [1, 4, 0]
    assert lowest(scores, 2).tolist() == [3, 0]


def test_rows_are_ranked_apart():
    scores = torch.tensor([[1.0, 2.0, 3.0], [3.0, 3.0, 1.0]])
    assert highest(scores, 2).tolist() == [[2, 1], [0, 1]]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.int64, torch.bool])
def test_any_number_type_is_ranked_as_float32(dtype):
    scores = torch.tensor([1, 0, 1, 0]).to(dtype)
    assert stable_order(scores, descending=True).tolist() == [0, 2, 1, 3]


def test_infinite_scores_have_a_rank_and_nan_has_none():
    scores = torch.tensor([0.0, float("-inf"), float("inf")])
    assert stable_order(scores, descending=True).tolist() == [2, 0, 1]
    with pytest.raises(ValueError, match="1 of 3 scores are NaN"):
        stable_order(torch.tensor([0.0, float("nan"), 1.0]), descending=True)


@given(st.lists(st.integers(-3, 3), min_size=1, max_size=40))
def test_order_is_score_then_index(values):
    order = stable_order(torch.tensor(values, dtype=torch.float32), descending=True).tolist()
    assert order == sorted(range(len(values)), key=lambda i: (-values[i], i))


@given(st.sets(st.integers(0, 19)))
def test_complement_and_ascending(kept):
    indices = torch.tensor(sorted(kept, reverse=True), dtype=torch.long)
    assert ascending(indices).tolist() == sorted(kept)
    assert complement(indices, 20).tolist() == [i for i in range(20) if i not in kept]
