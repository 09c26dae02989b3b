"""Methods that share tokens among regions, and the wrapper that reserves some.

There is one worked example each.
"""

import pytest
import torch
from pruner_cases import JOINT, kept

from litelvlm.pruning import Cues, LayerPlan, get_pruner
from litelvlm.pruning.grid import box_cells
from litelvlm.pruning.methods.altp_like import superpixels
from litelvlm.pruning.methods.nuwa import cell_anchors

# Two rows of four: the cells are 0 1 4 5 and 2 3 6 7.
ATTENTION = torch.tensor([0.1, 0.4, 0.05, 0.05, 0.2, 0.1, 0.06, 0.04])


def test_nuwa_anchors():
    # One per cell: 1 and 6. Three need two per cell (1 4, and 6 with 2 before its equal 3): the
    # best are 1, 4, 6.
    assert cell_anchors(ATTENTION, (2, 4), 2).tolist() == [1, 6]
    assert cell_anchors(ATTENTION, (2, 4), 3).tolist() == [1, 4, 6]
    assert cell_anchors(ATTENTION, (2, 4), 8).tolist() == list(range(8))
    # 3 x 3: cells 0 1 3 4, 2 5, 6 7 and 8; one each is 4, 5, 7 and 8.
    assert cell_anchors(torch.arange(9.0), (3, 3), 4).tolist() == [4, 5, 7, 8]


def test_nuwa_gathers():
    # Anchors 1 (.4) and 6 (.06): their 0.55 quantile is .06 + .55 x .34 = .247, so 6 gathers. Like
    # it are 2 and 5, one step away each; the reach is sqrt(280) / 24 x 4 = 2.789, so they weigh 1 -
    # 1 / 2.789 = .6414 against its own 1.
    states = torch.zeros(8, 2)
    states[:, 1] = 1.0
    states[[2, 5, 6]] = torch.tensor([3.0, 0.0])
    tokens = 2.0 ** torch.arange(8.0)[:, None].expand(8, 2)
    cues = Cues({"patch_tokens": tokens, "cls_attention": ATTENTION, "late_states": states}, (2, 4))
    share = 0.6414 / 2.2829
    selection = get_pruner("nuwa", stage1_only=True).select(cues, 2)
    assert selection.indices.tolist() == selection.positions[0].tolist() == [1, 6]
    assert selection.roles == ("kept", "merged")
    assert selection.tokens[:, 0].tolist() == pytest.approx([2.0, 64 + share * (4 + 32)], rel=1e-4)
    # As an average: the row divided by its sum.
    fixed = get_pruner("nuwa", preset="fixed", stage1_only=True).select(cues, 2)
    assert fixed.tokens[:, 0].tolist() == pytest.approx(
        [2.0, (64 + share * 36) / (1 + 2 * share)], rel=1e-4
    )


def test_nuwa_names_anchors_by_attention_times_the_norm_of_the_keys():
    # Attention names 1 in the left cell; four times as long a key makes it 0.
    keys = torch.ones(8)
    keys[0] = 5.0
    cues = Cues(
        {
            "patch_tokens": torch.eye(8),
            "cls_attention": ATTENTION,
            "late_states": torch.eye(8),
            "key_norm": keys,
        },
        (2, 4),
    )
    released = get_pruner("nuwa", preset="stage1")
    paper = get_pruner("nuwa", preset="stage1", salience="attention_key_norm")
    assert released.select(cues, 2).indices.tolist() == [1, 6]
    assert paper.select(cues, 2).indices.tolist() == [0, 6]
    assert paper.needs - released.needs == {"key_norm"}


@pytest.mark.parametrize(
    ("budget", "n_tokens", "n_layers", "first", "second"),
    [
        # As released for 576 tokens and 32 layers, 16 + 16 of them; 32 by the same shares.
        (192, 576, 32, 336, 48),
        (32, 576, 32, 56, 8),
        # The miniature: 2 + 2 layers.
        (48, 144, 4, 84, 12),
        (8, 144, 4, 14, 2),
        # 7 / 4 of 100 are more than there are: all of them, and 4 * 100 - 2 * 144 = 112 in the last
        # two layers.
        (100, 144, 4, 144, 56),
    ],
)
def test_nuwa_schedules(budget, n_tokens, n_layers, first, second):
    half = n_layers // 2
    assert (
        get_pruner("nuwa").schedule(budget, n_tokens, n_layers)
        == (first,) * half + (second,) * half
    )
    assert (
        get_pruner("nuwa", preset="stage1").schedule(budget, n_tokens, n_layers)
        == (budget,) * n_layers
    )


def test_nuwa_lets_the_anchors_of_its_first_stage_in():
    tokens = torch.arange(16.0).reshape(8, 2)
    cues = Cues({"patch_tokens": tokens, "cls_attention": ATTENTION, "late_states": tokens}, (2, 4))
    # round(7 / 4 * 2) = 4 anchors, which are what the first stage alone makes of 4.
    plan, first = (
        get_pruner("nuwa").select(cues, 2),
        get_pruner("nuwa", stage1_only=True).select(cues, 4),
    )
    assert isinstance(plan, LayerPlan)
    assert not isinstance(first, LayerPlan)
    assert plan.indices.tolist() == plan.places.tolist() == first.indices.tolist() == [1, 2, 4, 6]
    assert (plan.budget, plan.span) == (2, 8)
    assert torch.equal(plan.tokens, first.tokens)
    assert torch.equal(plan.source, first.source)
    assert (get_pruner("nuwa").text_guided, get_pruner("nuwa", stage1_only=True).text_guided) == (
        True,
        False,
    )


def test_superpixels_find_the_halves():
    # Two rows of six, the left half black, the right half white; the centres start in columns 1 and
    # 4.
    colours = torch.tensor([0.0, 0, 0, 1, 1, 1] * 2)[:, None].expand(12, 3)
    assert superpixels(colours, (2, 6), 2, compactness=10.0).tolist() == [0, 0, 0, 1, 1, 1] * 2
    # One colour: places alone decide.
    assert (
        superpixels(torch.zeros(12, 3), (2, 6), 2, compactness=10.0).tolist()
        == [0, 0, 0, 1, 1, 1] * 2
    )


@pytest.mark.parametrize(
    ("left", "indices"),
    [
        # As many squared distances on both sides: one token each and three more; by attention the
        # last of each.
        ([1.0, -1, 0, 0, 0, 0], [2, 5, 6, 7, 8, 9, 10, 11]),
        # None on the left: one token each and six more for the right, which has six: one comes
        # back.
        ([0.0] * 6, [3, 4, 5, 7, 8, 9, 10, 11]),
    ],
)
def test_altp_like(left, indices):
    halves = torch.tensor([0.0, 0, 0, 1, 1, 1] * 2)
    features = torch.zeros(12)
    features[halves == 0] = torch.tensor(left)
    features[halves == 1] = torch.tensor([1.0, -1, 0, 0, 0, 0])
    cues = {
        "patch_tokens": features[:, None],
        "cls_attention": torch.arange(12.0),
        "colours": halves[:, None].expand(12, 3),
    }
    assert kept("altp_like", 8, (2, 6), **cues) == indices


def test_a_box_around_what_is_touched():
    inside = torch.zeros(4, 4)
    inside[1, 0] = inside[2, 1] = 0.1
    assert box_cells(inside.flatten(), (4, 4)).reshape(4, 4).tolist() == [
        [0, 0, 0, 0], [1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0],
    ]  # fmt: skip
    assert (
        box_cells(inside.flatten(), (4, 4), margin=1).reshape(4, 4).tolist() == [[1, 1, 1, 0]] * 4
    )
    assert not box_cells(torch.zeros(16), (4, 4), margin=1).any()


def test_box_oracle():
    box = torch.zeros(16)
    box[0] = 1.0
    # Widened: 0 1 4 5. Half of four: places 1 and 3 of it; of the fourteen others places 3 and 10,
    # tokens 4 and 12.
    selection = get_pruner("box_oracle").select(Cues({"box": box}, (4, 4)), 4)
    assert selection.indices.tolist() == [1, 4, 5, 12]
    assert selection.roles == ("target", "uniform", "target", "uniform")
    # All of two, the box as it is: one cell, and of 1 to 15 the middle one.
    narrow = get_pruner("box_oracle", share=1.0, margin=0).select(Cues({"box": box}, (4, 4)), 2)
    assert (narrow.indices.tolist(), narrow.roles) == ([0, 8], ("target", "uniform"))
    # No visible target: even spacing.
    assert get_pruner("box_oracle").select(Cues({"box": box * 0}, (4, 4)), 2).indices.tolist() == [
        4,
        12,
    ]


def test_with_uniform():
    cues = {"cls_attention": torch.tensor([0.1, 0.2, 0.1, 0.25, 0.2, 0.15])}
    selection = get_pruner("with_uniform", share=0.5).select(Cues(cues, (2, 3)), 4)
    # By attention 3 and 1; of 0 2 4 5 places 1 and 3.
    assert selection.indices.tolist() == [1, 2, 3, 5]
    assert selection.roles == ("chosen", "uniform", "chosen", "uniform")
    # One token is the method's, whatever the share.
    assert kept("with_uniform", 1, options={"share": 0.9}, **cues) == [3]
    assert kept("with_uniform", 3, options={"share": 0.0}, **cues) == kept("fastervlm", 3, **cues)


def test_a_wrapper_takes_over_needs_and_refuses_what_it_cannot_hold():
    pruner = get_pruner("with_uniform", of="litelvlm")
    assert pruner.needs == get_pruner("litelvlm").needs
    assert pruner.text_guided
    assert pruner.config()["of"]["name"] == "litelvlm"
    for inner in ("fastv", "tome", "restore"):
        with pytest.raises(ValueError, match="with_uniform cannot take of="):
            get_pruner("with_uniform", of=inner)


def test_with_uniform_keeps_what_a_merging_method_makes():
    # The paper's TRIM keeps 3 of six by similarity 3 1 -2 4 0 2 and appends the mean of the others,
    # 0 1 2 4 5: 12 / 5.
    cues = Cues(JOINT | {"patch_tokens": torch.arange(6.0)[:, None]}, (2, 3))
    pruner = get_pruner("with_uniform", of=get_pruner("trim", preset="paper"), share=0.5)
    selection = pruner.select(cues, 4)
    # Of 0 1 2 4 5 places 1 and 3: 1 and 4. The mean stands at the end.
    assert selection.indices.tolist() == [1, 3, 4, -1]
    assert selection.roles == ("uniform", "kept", "uniform", "merged")
    assert selection.tokens.flatten().tolist() == pytest.approx([1.0, 3.0, 4.0, 2.4])
    assert pruner.select(cues, 6).tokens is None
