"""ToMe: schedules, one worked example, and the books of its merges."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pruner_cases import GRID, Blocks, N, all_cues

from litelvlm.pruning import Cues, ModelSizes, get_pruner
from litelvlm.pruning.methods.tome import merge_counts

# CLS and four patches; keys are the states themselves.
STATES = torch.tensor([[9.0, 9.0], [1.0, 0.0], [0.0, 2.0], [0.0, 4.0], [3.0, 1.0]])


class Still(Blocks):
    """Blocks that add nothing and remember the biases they were given."""

    def __init__(self, n_blocks: int) -> None:
        super().__init__(STATES)
        self.n_blocks, self.biases = n_blocks, []

    def attend(self, block, states, bias):
        self.biases.append(bias.tolist())
        return states, states


def merged(n_blocks: int, budget: int, **options):
    view = Still(n_blocks)
    return get_pruner("tome", **options).select(
        Cues({}, (1, 4), vit=lambda: view), budget
    ), view.biases


def test_one_merge():
    # Even places hold CLS, patches 1 and 3; odd ones patches 0 and 2. Patch 1 points where 2 does
    # (cosine 1), patch 3 nearly where 0 does (3 / sqrt 10 = .95). One merge: 1 into 2. Left of the
    # even places: 3; then 0 and 2.
    selection, _ = merged(1, 3)
    assert selection.indices.tolist() == [3, 0, 2]
    assert selection.tokens.tolist() == [[3.0, 1.0], [1.0, 0.0], [0.0, 3.0]]
    assert selection.roles == ("kept", "kept", "merged")
    assert selection.source.tolist() == [[0, 0, 0, 1], [1, 0, 0, 0], [0, 0.5, 0.5, 0]]
    fixed, _ = merged(1, 3, preset="fixed", positions="original")
    assert (fixed.indices.tolist(), fixed.positions[0].tolist()) == ([0, 2, 3], [0, 2, 3])


def test_sizes_add_up_over_blocks_and_bias_the_attention():
    # After the first block the sequence is CLS, 3, 0, 2: now 0 is even and goes into 3, the token
    # of patches 0 and 3.
    selection, biases = merged(2, 2)
    assert selection.indices.tolist() == [3, 2]
    assert selection.tokens.tolist() == [[2.0, 0.5], [0.0, 3.0]]
    assert biases == [[0.0] * 5, [0.0, 0.0, 0.0, pytest.approx(math.log(2))]]
    # A third block merges two tokens of two patches each: the mean of all four.
    selection, _ = merged(3, 1)
    assert selection.tokens.tolist() == [[1.0, 1.75]]
    assert selection.source.tolist() == [[0.25] * 4]


@pytest.mark.parametrize(
    ("budget", "counts"),
    [
        # 384, 448, 512 and 544 merges over 23 blocks.
        (192, [17] * 16 + [16] * 7),
        (128, [20] * 11 + [19] * 12),
        (64, [23] * 6 + [22] * 17),
        (32, [24] * 15 + [23] * 8),
    ],
)
def test_full_size_schedules(budget, counts):
    assert list(merge_counts(576, budget, 23)) == counts


def test_a_shallow_tower_merges_earlier_or_refuses():
    assert merge_counts(144, 48, 4) == (24, 24, 24, 24)
    # 128 of 145 places must go. After 39 and 39 at most 33 of 67 and 16 of 34 can: 127. After 40
    # and 40, 32 and 16.
    assert merge_counts(144, 16, 4) == (40, 40, 32, 16)
    # At best 72, 36, 18 and 9 go: 144 - 135.
    assert merge_counts(144, 9, 4) == (72, 36, 18, 9)
    with pytest.raises(
        ValueError, match=r"cannot leave 8 of 144 tokens in 4 blocks.* the smallest budget is 9"
    ):
        merge_counts(144, 8, 4)


def test_a_sweep_excludes_what_the_tower_cannot_leave():
    sizes = ModelSizes(n_tokens=144, n_blocks=4, n_layers=4)
    assert get_pruner("tome").average_tokens(9, sizes) == 9.0
    with pytest.raises(ValueError, match="smallest budget is 9"):
        get_pruner("tome").average_tokens(8, sizes)


@given(n_tokens=st.integers(2, 200), n_blocks=st.integers(1, 24), data=st.data())
@settings(deadline=None, max_examples=60)
def test_schedules_are_exact_and_possible(n_tokens, n_blocks, data):
    budget = data.draw(st.integers(1, n_tokens))
    smallest = n_tokens + 1
    for _ in range(n_blocks):
        smallest -= (smallest - 1) // 2
    if budget < smallest - 1:
        with pytest.raises(ValueError, match=f"smallest budget is {smallest - 1}$"):
            merge_counts(n_tokens, budget, n_blocks)
        return
    places = n_tokens + 1
    counts = merge_counts(n_tokens, budget, n_blocks)
    assert sum(counts) == n_tokens - budget
    for count in counts:
        assert 0 <= count <= (places - 1) // 2
        places -= count


@given(seed=st.integers(0, 1000), budget=st.integers(1, N - 1), added=st.sampled_from([0.0, 0.3]))
@settings(deadline=None, max_examples=20)
def test_every_patch_is_in_exactly_one_token(seed, budget, added):
    selection = get_pruner("tome").select(all_cues(seed, added=added), budget)
    members = selection.source > 0
    assert members.sum(dim=0).tolist() == [1] * N
    assert torch.allclose(selection.source.sum(dim=1), torch.ones(budget))
    assert all(members[row, index] for row, index in enumerate(selection.indices.tolist()))
    assert [role == "merged" for role in selection.roles] == (members.sum(dim=1) > 1).tolist()


def test_the_tower_is_needed():
    with pytest.raises(ValueError, match="needs the tower itself; pass vit="):
        get_pruner("tome").select(Cues({}, GRID), 12)
