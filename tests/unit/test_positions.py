"""Output order and position policies: known answers."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from litelvlm.models.vlm_base.positions import closed_up
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


def clip_positions(step, times, behind):
    """Positions of frames of 2 x 3 tokens so many steps apart, with three tokens of text behind."""
    frames = torch.arange(times * 6) // 6
    places = torch.arange(times * 6) % 6
    block = torch.stack([frames * step, places // 3, places % 3]) + 3
    text = (torch.arange(3) + behind)[None].expand(3, -1)
    return torch.cat([torch.arange(3)[None].expand(3, -1), block, text], dim=1)


@pytest.mark.parametrize(("step", "behind"), [(4, 6), (4, 3 + 4 * 4 + 1), (1, 3 + 5), (2, 6)])
def test_times_keep_their_distance_where_no_frame_is_lost(step, behind):
    full, run = clip_positions(step, 5, behind), torch.arange(3, 33)
    kept = torch.cat([run[:10], run[11:]])
    moved = closed_up(full, [(run, kept)])
    left = torch.cat([torch.arange(3), kept, torch.arange(33, 36)])
    assert torch.equal(moved[:, left], full[:, left])


def test_times_without_a_token_vanish_with_their_step_and_text_moves_as_it_was_placed():
    run = torch.arange(3, 33)
    kept = torch.cat([run[:6], run[12:]])  # the second of five frames goes
    for behind, moved_by in ((6, 0), (3 + 4 * 4 + 1, 4)):  # rows and columns place the text, or all
        moved = closed_up(clip_positions(4, 5, behind), [(run, kept)])
        assert moved[0, kept].unique().tolist() == [3, 7, 11, 15]
        assert moved[:, 33].tolist() == [behind - moved_by] * 3
    rows = run[(run - 3) % 6 >= 3]  # the first row of each frame goes
    moved = closed_up(clip_positions(4, 5, 6), [(run, rows)])
    assert moved[1, rows].unique().tolist() == [3]
    assert moved[0, rows].unique().tolist() == [3, 7, 11, 15, 19]
    assert moved[0, 33].item() == 6  # columns, which placed it, are as wide as before


def test_a_block_without_tokens_takes_no_place():
    run = torch.arange(3, 33)
    for step, behind in ((4, 6), (1, 8)):
        assert closed_up(clip_positions(step, 5, behind), [(run, run[:0])])[0, 33] == 3
