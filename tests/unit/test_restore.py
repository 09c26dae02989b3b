"""RESTORE: groups, books and bias, by hand."""

import math

import pytest
import torch

from litelvlm.models.glamm.language.decoding import distance_bias
from litelvlm.pruning import Cues, get_pruner
from litelvlm.pruning.methods.restore import density_groups

# Directions of four tokens: two near 0 degrees, two near 90.
ANGLES = torch.deg2rad(torch.tensor([0.0, 20.0, 90.0, 100.0]))
DIRECTIONS = torch.stack([ANGLES.cos(), ANGLES.sin()], dim=1)


def test_density_peaks():
    # Sums of cosines 1.77, 2.46, 2.33, 1.98. Token 1 is the densest: its lowest cosine is .17, so
    # 2.46 x .83 = 2.03. The denser neighbours of 2, 3 and 0 are at .34, .98 and .94: 1.53, .03,
    # .11.
    anchors, group = density_groups(DIRECTIONS @ DIRECTIONS.T, 2)
    assert anchors.tolist() == [1, 2]
    assert group.tolist() == [0, 0, 1, 1]
    assert density_groups(DIRECTIONS @ DIRECTIONS.T, 3)[0].tolist() == [0, 1, 2]


def test_equal_tokens_make_the_first_an_anchor():
    anchors, group = density_groups(torch.ones(3, 3), 2)
    assert (anchors.tolist(), group.tolist()) == ([0, 1], [0, 1, 0])


def test_restore_by_hand():
    tokens = torch.zeros(6, 2)
    tokens[[0, 2, 3, 5]] = DIRECTIONS
    attention = torch.tensor([0.1, 0.4, 0.1, 0.1, 0.2, 0.1])
    cues = Cues({"patch_tokens": tokens, "cls_attention": attention}, (1, 6))
    selection = get_pruner("restore").select(cues, 4)
    # Kept are 1 and 4. Groups 0 2 around 2 and 3 5 around 3 stand at their lower medians, 0 and 3.
    assert selection.indices.tolist() == [2, 1, 3, 4]
    assert selection.positions[0].tolist() == [0, 1, 3, 4]
    assert selection.roles == ("merged", "kept", "merged", "kept")
    assert selection.sizes.tolist() == [2, 1, 2, 1]
    torch.testing.assert_close(selection.tokens[0], (DIRECTIONS[0] + DIRECTIONS[1]) / 2)
    torch.testing.assert_close(selection.tokens[2], (DIRECTIONS[2] + DIRECTIONS[3]) / 2)
    # Nothing merged: every token counts 6 / 4.
    plain = get_pruner("restore", share=1.0).select(cues, 4)
    assert plain.indices.tolist() == get_pruner("fastervlm").select(cues, 4).indices.tolist()
    assert (plain.tokens, plain.sizes.tolist()) == (None, [1.5] * 4)
    # Nothing pruned: nothing calibrated.
    assert get_pruner("restore").select(cues, 6).sizes is None


@pytest.mark.parametrize("of", ["uniform", "random", "centre_distance"])
def test_controls_choose_where_the_tokens_are(of):
    # Stands in for a GPU: these methods read no cue and choose on the CPU.
    cues = Cues({"patch_tokens": torch.empty(16, 4, device="meta")}, (4, 4))
    assert get_pruner("restore", of=of).kept(cues, 4).device.type == "meta"


@pytest.mark.parametrize("budget", [1, 2, 3, 5, 9, 15])
def test_every_token_is_counted_once(budget):
    made = torch.Generator().manual_seed(budget)
    cues = Cues(
        {"patch_tokens": torch.randn(16, 4, generator=made), "cls_attention": torch.rand(16)},
        (4, 4),
    )
    selection = get_pruner("restore").select(cues, budget)
    assert len(selection) == budget
    assert selection.positions[0].tolist() == sorted(selection.positions[0].tolist())
    if selection.source is None:
        assert selection.sizes.tolist() == [16.0]
        return
    assert ((selection.source > 0).sum(dim=0) == 1).all()
    assert selection.sizes.tolist() == (selection.source > 0).sum(dim=1).tolist()
    assert torch.allclose(selection.source.sum(dim=1), torch.ones(budget))


def test_distance_bias_has_the_published_magnitudes():
    # 128 channels and base 10,000: .03 one step away, .29 at 10, .42 at 100 and .58 at 600.
    angles = torch.tensor([0.0, 1.0, 10.0, 100.0, 600.0])[:, None] * 10_000.0 ** (
        -torch.arange(64) / 64
    )
    angles = torch.cat([angles, angles], dim=1)
    bias = distance_bias(angles.cos(), angles.sin())
    assert bias[0].tolist() == pytest.approx([0.0, 0.03, 0.29, 0.42, 0.58], abs=0.006)
    assert torch.allclose(bias, bias.T, atol=1e-6)
    # One channel pair turning by half a circle: m = -1.
    assert distance_bias(torch.tensor([[1.0], [-1.0]]), torch.zeros(2, 1))[
        0, 1
    ].item() == pytest.approx(math.log(3))
