"""Controls and oracles: one worked example each."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pruner_cases import GRID, N, kept

from litelvlm.pruning import Cues, get_pruner
from litelvlm.pruning.grid import evenly_spaced, sampling_grid, uniform_indices


def test_unpruned_keeps_all_and_refuses_to_prune():
    selection = get_pruner("none").select(Cues({}, GRID), N)
    assert selection.indices.tolist() == selection.positions[0].tolist() == list(range(N))
    with pytest.raises(ValueError, match="'none' keeps all 42 tokens, not 12; give budget=42"):
        get_pruner("none").select(Cues({}, GRID), 12)


@pytest.mark.parametrize(
    ("side", "budget", "rows", "columns"),
    [
        (24, 128, range(1, 24, 3), [0, 2, 3, 5, 6, 8, 9, 11, 12, 14, 15, 17, 18, 20, 21, 23]),
        (24, 64, range(1, 24, 3), range(1, 24, 3)),
        (24, 32, [3, 9, 15, 21], range(1, 24, 3)),
        (12, 48, range(1, 12, 2), [0, 2, 3, 5, 6, 8, 9, 11]),
        (12, 16, [1, 4, 7, 10], [1, 4, 7, 10]),
        (12, 8, [3, 9], [1, 4, 7, 10]),
    ],
)
def test_uniform_tables(side, budget, rows, columns):
    wanted = [r * side + c for r in rows for c in columns]
    assert kept("uniform", budget, (side, side)) == wanted
    assert len(wanted) == budget


def test_uniform_without_a_grid():
    assert sampling_grid(7, (24, 24)) is None
    # 576 / 7 = 82.3; centres 41.1, 123.4, 205.7, 288, 370.3, 452.6, 534.9.
    assert kept("uniform", 7, (24, 24)) == [41, 123, 205, 288, 370, 452, 534]
    # 100 = 10 x 10 has square cells on a square grid; on 2 x 50 it needs every token.
    assert sampling_grid(100, (24, 24)) == (10, 10)
    assert sampling_grid(100, (2, 50)) == (2, 50)


@given(st.integers(1, 30), st.integers(1, 30), st.data())
@settings(deadline=None)
def test_uniform_indices_are_different_and_in_order(rows, columns, data):
    budget = data.draw(st.integers(1, rows * columns))
    indices = uniform_indices(budget, (rows, columns)).tolist()
    assert indices == sorted(set(indices))
    assert (len(indices), indices[0] >= 0, indices[-1] < rows * columns) == (budget, True, True)
    assert len(set(evenly_spaced(rows * columns, budget).tolist())) == budget


def test_random_is_the_same_everywhere():
    # Drawn once; NumPy promises that Philox's raw stream never changes.
    assert kept("random", 4, (3, 3)) == [0, 3, 7, 8]
    assert kept("random", 4, (3, 3), options={"seed": 1}) == [0, 1, 2, 4]
    assert kept("random", 4, (3, 3), key=1) == [2, 3, 4, 7]


def test_random_nests_and_is_unbiased():
    small, large = (set(kept("random", budget, (12, 12), key=9)) for budget in (8, 48))
    assert small < large
    # 400 images, 3 of 9 tokens: every token is expected 133 times, standard deviation 9.4.
    counts = torch.zeros(9)
    for key in range(400):
        counts[kept("random", 3, (3, 3), key=key)] += 1
    assert counts.sum() == 1200
    assert (counts - 400 / 3).abs().max() < 4 * 9.4


def test_mask_oracle():
    coverage = torch.tensor([0.0, 0.2, 0.0, 0.0, 1.0, 0.6, 0.0, 0.0, 0.0])

    def both(budget: int, **options) -> tuple[list[int], list[int]]:
        selection = get_pruner("mask_oracle", **options).select(
            Cues({"coverage": coverage}, (3, 3)), budget
        )
        indices = selection.indices.tolist()
        return indices, [
            i for i, role in zip(indices, selection.roles, strict=True) if role == "target"
        ]

    # Half of 4: cells 4 and 5; of 0 1 2 3 6 7 8 the evenly spaced are 1 and 7.
    assert both(4) == ([1, 4, 5, 7], [4, 5])
    # All of 4: only three cells are touched; of 0 2 3 6 7 8 the middle one is 6.
    assert both(4, share=1.0) == ([1, 4, 5, 6], [1, 4, 5])
    # Half of 1 rounds up.
    assert both(1) == ([4], [4])


def test_mask_oracle_without_a_visible_target_is_uniform():
    selection = get_pruner("mask_oracle").select(Cues({"coverage": torch.zeros(9)}, (3, 3)), 3)
    # Centres of three runs of three.
    assert selection.indices.tolist() == [1, 4, 7]
    assert selection.roles == ("uniform",) * 3


def test_inverse_mask_oracle(caplog):
    coverage = torch.tensor([0.0, 0.2, 0.0, 0.0, 1.0, 0.6, 0.0, 0.0, 0.0])
    cues = Cues({"coverage": coverage}, (3, 3))
    # Background 0 2 3 6 7 8; four evenly spaced: places 0 2 3 5 of it.
    selection = get_pruner("inverse_mask_oracle").select(cues, 4)
    assert selection.indices.tolist() == [0, 3, 6, 8]
    assert selection.roles == ("background",) * 4
    with caplog.at_level("INFO", logger="litelvlm"):
        selection = get_pruner("inverse_mask_oracle").select(cues, 8)
    # All background, then 1 (covered .2) and 5 (.6).
    assert selection.indices.tolist() == [0, 1, 2, 3, 5, 6, 7, 8]
    assert [i for i, role in enumerate(selection.roles) if role == "spill"] == [1, 4]
    assert "only 6 background tokens for a budget of 8" in caplog.text
