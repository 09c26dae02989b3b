"""Methods that merge: the books of who went where, and one worked example each."""

import math

import pytest
import torch
from pruner_cases import JOINT, all_cues, kept

from litelvlm.pruning import Cues, get_pruner
from litelvlm.pruning.grid import sampling_grid
from tests.method_cases import BEFORE, parametrised

MADE = [case for case in BEFORE if get_pruner(case[0], **case[1]).synthetic]


@parametrised(MADE)
@pytest.mark.parametrize("budget", [1, 5, 12, 30])
def test_source_reproduces_tokens(name, options, budget):
    cues = all_cues()
    selection = get_pruner(name, **options).select(cues, budget)
    if selection.source is None:
        # HoloV found no stretch too short; RESTORE gave every token to its inner method.
        assert "holov" in (name, options.get("of")) or selection.sizes is not None
        return
    mixed = torch.tensor([role != "cls" for role in selection.roles])
    originals = cues.projected if selection.stage == "post_projector" else cues.patch_tokens
    assert (selection.source >= 0).all()
    again = (selection.source @ originals)[mixed]
    if name in ("tome", "nuwa", "restore", "image_downsampling"):
        # Means of means, or another order of the rows: the same sums, added up in another order.
        torch.testing.assert_close(again, selection.tokens[mixed], atol=1e-6, rtol=1e-5)
    else:
        assert torch.equal(again, selection.tokens[mixed])
    assert all(torch.equal(token, cues.cls_token) for token in selection.tokens[~mixed])
    assert not selection.source[~mixed].any()
    plain = torch.tensor([role == "kept" for role in selection.roles])
    assert torch.equal(selection.tokens[plain], originals[selection.indices[plain]])


def test_trim():
    cues = Cues(JOINT | {"patch_tokens": torch.arange(6.0)[:, None]}, (2, 3))
    # Released sign: the two lowest, 2 and 4; mean of 0, 1, 3, 5 is 2.25.
    selection = get_pruner("trim", positions="original").select(cues, 3)
    assert selection.indices.tolist() == [2, 4, -1]
    assert selection.tokens.flatten().tolist() == [2.0, 4.0, 2.25]
    assert selection.positions[0].tolist() == [2, 4, 5]
    assert selection.roles == ("kept", "kept", "merged")
    # Paper sign: 0 and 3; mean of 1, 2, 4, 5 is 3; its median member is 2.
    selection = get_pruner(
        "trim", preset="paper", place="median", order="raster", positions="original"
    ).select(cues, 3)
    assert selection.indices.tolist() == [0, -1, 3]
    assert selection.tokens.flatten().tolist() == [0.0, 3.0, 3.0]
    assert selection.positions[0].tolist() == [0, 2, 3]
    # One token: the mean of all.
    assert get_pruner("trim").select(cues, 1).tokens.tolist() == [[2.5]]


def test_visionzip():
    # Attention makes 1 dominant. Rest 0 2 3 4 5, stride 2: targets 0 and 3. Keys send 2 and 5 to 0,
    # and 4 to 3.
    cues = Cues(
        {
            "patch_tokens": torch.tensor([[1.0], [2.0], [4.0], [8.0], [16.0], [32.0]]),
            "cls_token": torch.tensor([100.0]),
            "cls_attention": torch.tensor([0.1, 0.6, 0.05, 0.1, 0.05, 0.1]),
            "keys_mean": torch.tensor(
                [[1.0, 0.0], [0.0, 0.0], [2.0, 1.0], [0.0, 1.0], [1.0, 3.0], [3.0, 0.0]]
            ),
        },
        (2, 3),
    )
    selection = get_pruner("visionzip", contextual_share=0.5, positions="original").select(cues, 4)
    assert selection.indices.tolist() == [-1, 1, 0, 3]
    assert selection.roles == ("cls", "kept", "merged", "merged")
    # 1 + (4 + 32) / 2 and 8 + 16.
    assert selection.tokens.flatten().tolist() == [100.0, 2.0, 19.0, 24.0]
    assert selection.positions[0].tolist() == [0, 1, 0, 3]
    # Averages: (1 + 4 + 32) / 3 and (8 + 16) / 2; medians of 0 2 5 and of 3 4; CLS keeps place 0.
    selection = get_pruner(
        "visionzip",
        preset="paper",
        contextual_share=0.5,
        place="median",
        order="raster",
        positions="original",
    ).select(cues, 4)
    assert selection.indices.tolist() == [-1, 1, 0, 3]
    assert selection.positions[0].tolist() == [0, 1, 2, 3]
    assert selection.tokens.flatten().tolist() == pytest.approx([100.0, 2.0, 37 / 3, 12.0])
    # One token is CLS.
    assert get_pruner("visionzip").select(cues, 1).tokens.tolist() == [[100.0]]
    # Without CLS the second most attended patch, 0 before its equals, is dominant too; rest 2 3 4
    # 5, stride 2: targets 2 and 4, and keys send 3 to 4 and 5 to 2.
    selection = get_pruner("visionzip", contextual_share=0.5, cls_state="left_out").select(cues, 4)
    assert selection.indices.tolist() == [0, 1, 2, 4]
    assert selection.roles == ("kept", "kept", "merged", "merged")
    assert selection.tokens.flatten().tolist() == [1.0, 2.0, 4.0 + 32.0, 16.0 + 8.0]
    assert "cls_token" not in get_pruner("visionzip", cls_state="left_out").needs


def test_visionzip_published_splits():
    # 192 = 162 + 30, 128 = 108 + 20, 64 = 54 + 10, 32 = 27 + 5.
    assert [
        math.floor(get_pruner("visionzip").contextual_share * budget)
        for budget in (192, 128, 64, 32)
    ] == [30, 20, 10, 5]


def test_prumerge_plus():
    # q = (sqrt 2, 0), D = 2: logits are the keys' first coordinates, ln of 4 1 2 1 1 1 for patches
    # and ln 6 for CLS; they sum to 16. Budget 4: top token 0; of 1 2 3 4 5 the evenly spaced are 2,
    # 4; the last is (x1 + x3 + x5) / 16. Directions: 0 and 2 point at 45 degrees, 1 and 5 up, 3 and
    # 4 down; so the nearest others are 0-2, 2-0, 4-3.
    weights = torch.tensor([4.0, 1.0, 2.0, 1.0, 1.0, 1.0])
    heights = torch.tensor([math.log(4), 1.0, math.log(2), -1.0, -1.0, 1.0])
    cues = Cues(
        {
            "patch_tokens": torch.tensor(
                [[16.0, 0.0], [32, 0], [64, 0], [128, 0], [256, 0], [512, 0]]
            ),
            "query": torch.tensor([math.sqrt(2), 0.0]),
            "keys": torch.stack([weights.log(), heights], dim=1),
            "cls_key": torch.tensor([math.log(6), 0.0]),
        },
        (2, 3),
    )
    selection = get_pruner("prumerge_plus", neighbours=1, positions="original").select(cues, 4)
    assert selection.indices.tolist() == [0, 2, 4, -1]
    assert selection.roles == ("attended", "spaced", "spaced", "merged")
    # 16 + 64/8, 64 + 16/4, 256 + 128/16, (32 + 128 + 512) / 16.
    assert selection.tokens[:, 0].tolist() == pytest.approx([24.0, 68.0, 264.0, 42.0])
    assert selection.positions[0].tolist() == [0, 2, 4, 5]
    # One token: sum of a_j x_j over all patches, (4 16 + 32 + 2 64 + 128 + 256 + 512) / 16.
    assert get_pruner("prumerge_plus").select(cues, 1).tokens.tolist() == [
        pytest.approx([70.0, 0.0])
    ]


def test_prumerge_plus_ranks_by_the_tower_s_own_attention_as_its_paper():
    cues = Cues(
        {
            "patch_tokens": torch.tensor([[16.0], [32], [64], [128], [256], [512]]),
            "keys": torch.arange(6.0)[:, None],
            "cls_attention": torch.tensor([0.0, 0.5, 0.125, 0.125, 0.0, 0.25]),
        },
        (2, 3),
    )
    paper = get_pruner("prumerge_plus", attention="tower", neighbours=0)
    selection = paper.select(cues, 4)
    # Top token 1; of 0 2 3 4 5 the evenly spaced are 2 and 4; the rest weighs 128/8 + 512/4.
    assert selection.indices.tolist() == [1, 2, 4, -1]
    assert selection.tokens.flatten().tolist() == [32.0, 64.0, 256.0, 144.0]
    assert paper.needs == {"patch_tokens", "keys", "cls_attention"}


def test_holov():
    # Two stretches of three equal tokens each: the variance term is the same share everywhere, so
    # attention sums .6 and .3 weigh 2/3 and 1/3. Budget 3: two and one, each stretch's best by
    # attention, descending.
    cues = {
        "projected": torch.ones(6, 2),
        "cls_attention": torch.tensor([0.1, 0.3, 0.2, 0.05, 0.15, 0.1]),
    }
    assert kept("holov", 3, options={"stretches": 2}, **cues) == [1, 2, 4]
    assert kept("holov", 3, options={"stretches": 2, "preset": "fixed"}, **cues) == [1, 2, 4]
    assert kept("holov", 1, options={"stretches": 2}, **cues) == [1]


def test_holov_shortfall():
    # Weights .94 and .06 give the first stretch all five; it has three.
    cues = Cues(
        {
            "projected": torch.arange(6.0)[:, None] + 1,
            "cls_attention": torch.tensor([0.3, 0.2, 0.4, 0.01, 0.03, 0.02]),
        },
        (2, 3),
    )
    padded = get_pruner("holov", stretches=2).select(cues, 5)
    assert padded.indices.tolist() == [0, 1, 2, -1, -1]
    assert padded.tokens.flatten().tolist() == [1.0, 2.0, 3.0, 0.0, 0.0]
    assert padded.roles == ("kept", "kept", "kept", "padding", "padding")
    fixed = get_pruner("holov", preset="fixed", stretches=2).select(cues, 5)
    assert fixed.indices.tolist() == [0, 1, 2, 4, 5]
    assert fixed.tokens is None


def test_holov_variance_term():
    # Two stretches of two tokens, equal attention 1. First: cosine 1, so rows (0, 1), mean 1,
    # variance (1 + 0) / 1 = 1. Second: cosine 0: mean 0, variance 0. Scores 1000 + 0.09 * 1 * (1000
    # / 1) = 1090 and 1000.
    ones, holov = torch.ones(2), get_pruner("holov")
    for features, expected in ((torch.ones(2, 3), 1090), (torch.eye(2), 1000)):
        assert holov.token_scores(ones, features).mean().item() == pytest.approx(expected, abs=0.01)
    assert holov.token_scores(ones[:1], torch.eye(2)[:1]).tolist() == [1.0]
    # Without the diagonal both tokens of the first stretch have variance 0; at weight 1 the
    # variance counts as much as attention.
    left_out = get_pruner("holov", diagonal="left_out").token_scores(ones, torch.ones(2, 3))
    assert left_out.tolist() == pytest.approx([1000, 1000])
    whole = get_pruner("holov", variance_weight=1.0).token_scores(ones, torch.ones(2, 3))
    assert whole.tolist() == pytest.approx([2000, 2000], abs=0.01)


def test_holov_square_crops():
    # A grid of 2 x 5 in four crops: rows 0 and 1, columns 0 to 2 and 3 to 4.
    holov = get_pruner("holov", stretches=4, crop="square")
    assert [part.tolist() for part in holov.parts((2, 5))] == [[0, 1, 2], [3, 4], [5, 6, 7], [8, 9]]
    # Stretches of the same grid run over the end of a row.
    stretches = get_pruner("holov", stretches=4).parts((2, 5))
    assert [part.tolist() for part in stretches] == [[0, 1, 2], [3, 4, 5], [6, 7], [8, 9]]
    # Column 0 has 0.15 in each of four rows, column 2 has 0.1. Eight tokens: the rows are equally
    # heavy and get two each. The left crops get 2.4 and the right ones 1.6, so 2 and 1, and the
    # left ones the two that are left over.
    attention = torch.tensor([0.15, 0.0, 0.1, 0.0]).repeat(4)
    cues = {"projected": torch.ones(16, 2), "cls_attention": attention}
    rows = kept("holov", 8, (4, 4), options={"stretches": 4}, **cues)
    assert rows == [0, 2, 4, 6, 8, 10, 12, 14]
    crops = kept("holov", 8, (4, 4), options={"stretches": 4, "crop": "square"}, **cues)
    assert crops == [0, 4, 1, 2, 8, 12, 9, 10]


@pytest.mark.parametrize("options", [{"variance_weight": 1.0}, {"diagonal": "left_out"}])
def test_holov_variance_decides_nothing_while_attention_ranks(options):
    draw = torch.Generator().manual_seed(3)
    cues = {
        "projected": torch.randn(64, 8, generator=draw),
        "cls_attention": torch.rand(64, generator=draw),
    }
    released = kept("holov", 24, (8, 8), **cues)
    assert kept("holov", 24, (8, 8), options=options, **cues) == released
    by_score = {"inside": "score", "variance_weight": 0.5}
    ranked = kept("holov", 24, (8, 8), options=by_score, **cues)
    assert ranked != kept("holov", 24, (8, 8), options={**by_score, **options}, **cues)


def test_holov_by_score_takes_the_varied_token():
    # One part of three tokens: 0 and 1 point one way, 2 across. Cosines with the zeroed diagonal
    # are (0 1 0), (1 0 0) and (0 0 0): means 1/2 1/2 0, variances 3/8 3/8 0. At weight 1 the
    # variance adds 1.5 times the mean attention to 0 and 1, which outweighs the attention of 2.
    cues = {
        "projected": torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]),
        "cls_attention": torch.tensor([0.3, 0.3, 0.4]),
    }
    one = {"stretches": 1, "variance_weight": 1.0}
    assert kept("holov", 1, (1, 3), options=one, **cues) == [2]
    assert kept("holov", 1, (1, 3), options={**one, "inside": "score"}, **cues) == [0]


def test_pooling_on_the_grid():
    # 2 x 4 tokens 0..7 to 1 x 2 cells: means of 0 1 4 5 and of 2 3 6 7; centres are row 1, columns
    # 1 and 3.
    cues = Cues({"patch_tokens": torch.arange(8.0)[:, None]}, (2, 4))
    for name in ("avgpool", "bilinear"):
        selection = get_pruner(name, positions="original").select(cues, 2)
        assert selection.tokens.flatten().tolist() == [2.5, 4.5]
        assert selection.indices.tolist() == [-1, -1]
        assert selection.positions[0].tolist() == [5, 7]
    # Members of the first cell are 0 1 4 5: the lower median is 1.
    median = get_pruner("avgpool", place="median", positions="original").select(cues, 2)
    assert median.positions[0].tolist() == [1, 3]


@pytest.mark.parametrize("budget", [192, 128, 64, 32])
def test_pooling_equals_torch_on_the_full_grid(budget):
    tokens = torch.randn(576, 5, generator=torch.Generator().manual_seed(0))
    image = tokens.T.reshape(1, 5, 24, 24)
    shape = sampling_grid(budget, (24, 24))
    wanted = {
        "avgpool": torch.nn.functional.adaptive_avg_pool2d(image, shape),
        "bilinear": torch.nn.functional.interpolate(image, size=shape, mode="bilinear"),
    }
    for name, pooled in wanted.items():
        ours = get_pruner(name).select(Cues.from_tensors(patch_tokens=tokens), budget).tokens
        assert torch.allclose(ours, pooled.flatten(2)[0].T, atol=1e-5)
