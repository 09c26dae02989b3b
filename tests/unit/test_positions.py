"""Output order and position policies: known answers."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from litelvlm.pruning import RawSelection, Selection
from litelvlm.pruning.positions import median_places, output_order, sequence_positions

# Method order: 7 and 2 are kept tokens, a CLS token (place 0), token 0 itself, a left-over token
# (place 8 of 9).
PLACES = torch.tensor([7, 2, 0, 0, 8])


def test_order():
    assert output_order(PLACES, "native").tolist() == [0, 1, 2, 3, 4]
    # By place; CLS and token 0 share a place and stay in the method's order.
    assert output_order(PLACES, "raster").tolist() == [2, 3, 1, 0, 4]


def test_contiguous_and_original():
    positions, span = sequence_positions(PLACES, 9, "contiguous")
    assert (positions.tolist(), span) == ([[0, 1, 2, 3, 4]], 5)
    positions, span = sequence_positions(PLACES, 9, "original")
    assert (positions.tolist(), span) == ([[7, 2, 0, 0, 8]], 9)


def test_stretch():
    # Five tokens over 0..8: steps of 2. Four tokens over 0..8: 0, 2.67, 5.33, 8. Three over 0..9:
    # 0, 4.5, 9.
    assert sequence_positions(PLACES, 9, "stretch")[0][0].tolist() == [0, 2, 4, 6, 8]
    assert sequence_positions(PLACES[:4], 9, "stretch")[0][0].tolist() == [0, 3, 5, 8]
    assert sequence_positions(PLACES[:3], 10, "stretch")[0][0].tolist() == [0, 5, 9]
    # A single token goes to the middle of 0..8.
    assert sequence_positions(PLACES[:1], 9, "stretch") == (torch.tensor([[4]]), 9)


@given(st.integers(1, 60), st.data())
def test_stretch_is_monotone_and_fills_the_range(n_tokens, data):
    n_kept = data.draw(st.integers(1, n_tokens))
    positions = sequence_positions(torch.arange(n_kept), n_tokens, "stretch")[0][0].tolist()
    assert positions == sorted(set(positions))
    if n_kept > 1:
        assert (positions[0], positions[-1]) == (0, n_tokens - 1)


def test_keeping_all_gives_the_same_positions_under_every_policy():
    places = torch.arange(12)
    for policy in ("contiguous", "original", "stretch"):
        positions, span = sequence_positions(places, 12, policy)
        assert (positions.tolist(), span) == ([list(range(12))], 12)


def test_median_of_members():
    source = torch.tensor(
        [
            [0.5, 0.0, 0.5, 0.0, 0.0],  # members 0 and 2: the lower median is 0
            [0.1, 0.0, 0.1, 0.9, 0.0],  # members 0, 2, 3: 2, whatever the weights
            [0.0, 0.0, 0.0, 0.0, 0.0],  # none: stays where it was
            [0.0, 0.0, 0.0, 0.0, 1.0],  # one: 4
        ]
    )
    assert median_places(source, torch.tensor([9, 9, 3, 9])).tolist() == [0, 2, 3, 4]


def test_selection_carries_everything_through_the_order():
    raw = RawSelection(
        indices=torch.tensor([5, -1, 3]),
        places=torch.tensor([5, 0, 3]),
        tokens=torch.tensor([[50.0], [-1.0], [30.0]]),
        source=torch.eye(6)[[5, 0, 3]],
        roles=("a", "cls", "b"),
    )
    selection = Selection.from_raw(raw, 6, order="raster", positions="original")
    assert selection.indices.tolist() == [-1, 3, 5]
    assert selection.positions[0].tolist() == [0, 3, 5]
    assert selection.tokens.flatten().tolist() == [-1.0, 30.0, 50.0]
    assert selection.source.argmax(dim=1).tolist() == [0, 3, 5]
    assert selection.roles == ("cls", "b", "a")
    assert (selection.span, selection.n_tokens, len(selection)) == (6, 6, 3)


def test_selection_from_given_indices():
    selection = Selection.from_indices(torch.tensor([7, 2]), 9, order="raster", positions="stretch")
    assert (selection.indices.tolist(), selection.positions[0].tolist(), selection.span) == (
        [2, 7],
        [0, 8],
        9,
    )


@pytest.mark.parametrize("indices", [[1, 1], [0, 9], [-1, 2]])
def test_selection_from_bad_indices(indices):
    with pytest.raises(ValueError, match="different whole numbers from 0 to 8"):
        Selection.from_indices(torch.tensor(indices), 9)


def test_selection_of_nothing():
    with pytest.raises(ValueError, match="budget 0"):
        Selection.from_indices(torch.tensor([], dtype=torch.long), 9)
