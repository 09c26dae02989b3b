"""Image downsampling: a smaller image of as many patches as the budget, in any tower."""

import pytest
import torch
from pruner_cases import GRID, Blocks, all_cues

from litelvlm.pruning import Cues, get_pruner
from litelvlm.pruning.methods.downsample import balanced_grid


class Watched(Blocks):
    """Blocks that note the sizes they are given."""

    asked: tuple[tuple[int, int], ...] = ()

    def embed_at(self, shape):
        self.asked = (*self.asked, shape)
        return super().embed_at(shape)


@pytest.mark.parametrize(
    ("budget", "grid", "shape"),
    [
        (192, (24, 24), (12, 16)),
        (64, (24, 24), (8, 8)),
        (47, (12, 12), (6, 8)),
        (5, (6, 7), (2, 3)),
        (1, (12, 12), (1, 1)),
        (143, (12, 12), (12, 12)),
    ],
)
def test_the_smaller_image_has_the_smallest_balanced_grid_that_holds_the_budget(
    budget, grid, shape
):
    assert balanced_grid(budget, grid) == shape


def test_a_token_shows_the_mean_of_its_cell_where_blocks_change_nothing():
    states = torch.arange(17.0)[:, None] * torch.ones(1, 4)
    tower = Watched(states, grid=(4, 4))
    cues = Cues({"patch_tokens": states[1:]}, (4, 4), vit=lambda: tower)
    chosen = get_pruner("image_downsampling").select(cues, 4)
    assert tower.asked == ((2, 2),)
    # Patches 1 2 5 6, 3 4 7 8, 9 10 13 14 and 11 12 15 16.
    assert chosen.tokens[:, 0].tolist() == [3.5, 5.5, 11.5, 13.5]
    assert chosen.indices.tolist() == [-1] * 4
    assert (chosen.source[0] > 0).nonzero().flatten().tolist() == [0, 1, 4, 5]
    assert torch.allclose(chosen.source.sum(1), torch.ones(4))
    original = get_pruner("image_downsampling", positions="original").select(cues, 4)
    assert original.positions.tolist() == [[5, 7, 13, 15]]  # centres of the cells


def test_a_count_without_a_grid_leaves_out_tokens_of_the_next_larger_one():
    cues = all_cues()
    five, six = (get_pruner("image_downsampling").select(cues, budget) for budget in (5, 6))
    assert len(five) == 5
    kept = [row.tolist() for row in six.tokens]
    assert all(row.tolist() in kept for row in five.tokens)


def test_all_tokens_are_the_image_as_it_is():
    chosen = get_pruner("image_downsampling").select(all_cues(), GRID[0] * GRID[1])
    assert chosen.tokens is None
    assert chosen.indices.tolist() == list(range(42))


def test_it_is_blind_to_the_text_and_deployable():
    method = get_pruner("image_downsampling")
    assert method.deployable
    one, two = (method.select(all_cues(n_texts=n), 12) for n in (1, 3))
    assert torch.equal(one.tokens, two.tokens)


def test_a_tower_of_one_size_is_refused_with_what_to_take():
    class Fixed(Blocks):
        embed_at = Blocks.__mro__[1].embed_at

    cues = Cues(
        {"patch_tokens": torch.ones(4, 3)}, (2, 2), vit=lambda: Fixed(torch.ones(5, 3), grid=(2, 2))
    )
    with pytest.raises(ValueError, match="one size only, not 1 x 2 patches; take avgpool"):
        get_pruner("image_downsampling").select(cues, 2)
