"""Methods that keep tokens: one worked example each."""

import math

import pytest
import torch
from pruner_cases import JOINT, kept

from litelvlm.pruning import Cues, get_pruner
from litelvlm.pruning.greedy import farthest_points
from litelvlm.pruning.methods.cdpruner import greedy_volume


@pytest.mark.parametrize(
    ("name", "similarity", "budget", "indices"),
    [
        ("high_similarity", "dot", 2, [0, 3]),
        ("high_similarity", "cosine", 2, [0, 5]),
        ("low_similarity", "dot", 4, [1, 2, 4, 5]),
        ("low_similarity", "cosine", 4, [1, 2, 3, 4]),
    ],
)
def test_similarity(name, similarity, budget, indices):
    assert kept(name, budget, options={"similarity": similarity}, **JOINT) == indices


def test_similarity_averages_texts():
    # With e2 as second text the sums of coordinates count: 3 6 -2 13 1 4.
    texts = {"text_embeds": torch.eye(2)}
    assert kept("high_similarity", 2, **(JOINT | texts)) == [1, 3]
    assert kept("low_similarity", 2, **(JOINT | texts)) == [2, 4]


def test_cdpruner():
    # Cosines with the text 0, 1/2, 1, 1/2; negated and scaled: relevance 1, 1/2, 0, 1/2. Projected:
    # 0 and 1 point one way, 2 and 3 the other. 0 first (1); it explains 1 fully, so 3 (1/4) is
    # next; without diversity it would be 1.
    cues = {
        "patch_embeds": torch.tensor(
            [[0.0, 1.0], [2.0, 2 * math.sqrt(3)], [5.0, 0.0], [1.0, math.sqrt(3)]]
        ),
        "text_embeds": torch.tensor([[3.0, 0.0]]),
        "projected": torch.tensor([[1.0, 0.0], [7.0, 0.0], [0.0, 1.0], [0.0, 4.0]]),
    }
    assert kept("cdpruner", 1, (1, 4), **cues) == [0]
    assert kept("cdpruner", 2, (1, 4), **cues) == [0, 3]
    # The kernel has rank 2: what follows are the lower indices.
    assert kept("cdpruner", 3, (1, 4), **cues) == [0, 1, 3]
    assert get_pruner("cdpruner").relevance(Cues(cues, (1, 4))).tolist() == pytest.approx(
        [1, 0.5, 0, 0.5], abs=2e-6
    )
    # With the paper's sign relevance is 0, 1/2, 1, 1/2: 2 first; it explains 3, so 1 is next.
    assert kept("cdpruner", 2, (1, 4), options={"direction": "highest"}, **cues) == [1, 2]
    # Strength 1/2: exp(r / 2).
    strong = get_pruner("cdpruner", strength=0.5).relevance(Cues(cues, (1, 4)))
    assert strong.tolist() == pytest.approx(
        [math.exp(0.5), math.exp(0.25), 1, math.exp(0.25)], abs=1e-5
    )


def test_one_and_three_texts():
    # Cosines of three patches with e1: 1, 0, .707; with e2: 0, 1, .707; with -e1: -1, 0, -.707.
    patches = torch.tensor([[2.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    texts = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
    one, three = (
        Cues({"patch_embeds": patches, "text_embeds": t}, (1, 3)) for t in (texts[:1], texts)
    )
    # CDPruner averages: 1, 0, .707, and 0, 1, .707 over three; negated and scaled 0 to 1.
    relevance = [get_pruner("cdpruner").relevance(cues).tolist() for cues in (one, three)]
    assert relevance[0] == pytest.approx([0, 1, 1 - math.sqrt(0.5)], abs=1e-5)
    assert relevance[1] == pytest.approx([1, 0, 1 - math.sqrt(0.5)], abs=1e-5)
    # TRIM averages products: 2 0 1, and 0 1 1 over three; the lowest first, equal ones by index.
    # One token is the mean.
    tokens = {"patch_tokens": torch.zeros(3, 1), "patch_embeds": patches}
    assert kept("trim", 2, (1, 3), text_embeds=texts[:1], **tokens) == [1, -1]
    assert kept("trim", 2, (1, 3), text_embeds=texts, **tokens) == [0, -1]
    # LiteLVLM unites: of three tokens each text names one, its lowest product: e1 patch 1, e2 patch
    # 0, -e1 patch 0.
    found = get_pruner("litelvlm", context="cls_attention").select(
        three.replaced(cls_attention=torch.tensor([0.0, 1.0, 2.0])), 2
    )
    # Two tokens for three texts are none each: context alone, the best first.
    assert found.indices.tolist() == [2, 1]
    assert get_pruner("litelvlm").similarity_tokens(texts @ patches.T, 3).tolist() == [0, 1]


def test_greedy_volume_finds_the_largest_determinant():
    # Three vectors: a = (2, 0), b = (1.9, 0.1), c = (0, 1). a first (norm 2), then c (residual 1)
    # before b (0.1).
    projected = torch.tensor([[2.0, 0.0], [1.9, 0.1], [0.0, 1.0]])
    assert greedy_volume(projected @ projected.T, 3).tolist() == [0, 2, 1]


def test_no_greedy_step_waits_for_the_host():
    # A tensor on the meta device has no value that could be read.
    square = torch.empty(9, 9, device="meta")
    assert greedy_volume(square, 4).shape == (4,)
    assert farthest_points(square, square[0].argmax(), 4).shape == (4,)


def test_divprune():
    # Directions 0, 10, 90, 180 and 100 degrees. 180 is farthest from its nearest (80); then 0 (180
    # away); then 90 (90 from both), not 100 (80 from the first).
    angles = torch.deg2rad(torch.tensor([0.0, 10.0, 90.0, 180.0, 100.0]))
    cues = {
        "projected": torch.stack([angles.cos(), angles.sin()], dim=1)
        * torch.tensor([[1.0], [2], [3], [4], [5]])
    }
    assert kept("divprune", 1, (1, 5), **cues) == [3]
    assert kept("divprune", 2, (1, 5), **cues) == [0, 3]
    assert kept("divprune", 3, (1, 5), **cues) == [0, 2, 3]


def test_scope():
    # Three tokens along e1, two along e2, one along e3; attention .1 .2 .1 .25 .2 .15. Gains 3 x .2
    # (token 1), then 2 x .25 (token 3), then 1 x .15 (token 5), since 4 is covered although its
    # attention is higher.
    features = torch.eye(3)[[0, 0, 0, 1, 1, 2]] * torch.tensor([[1.0], [2], [3], [4], [5], [6]])
    cues = {
        "patch_tokens": features,
        "cls_attention": torch.tensor([0.1, 0.2, 0.1, 0.25, 0.2, 0.15]),
    }
    assert kept("scope", 1, **cues) == [1]
    assert kept("scope", 3, **cues) == [1, 3, 5]
    # Coverage alone takes the first of each direction.
    assert kept("scope", 3, options={"alpha": 0.0}, **cues) == [0, 3, 5]


def test_fastervlm_and_its_reverse():
    cues = {"cls_attention": torch.tensor([0.1, 0.2, 0.1, 0.25, 0.2, 0.15])}
    assert kept("fastervlm", 3, **cues) == [1, 3, 4]
    assert kept("reverse", 3, **cues) == [0, 2, 5]


def test_vispruner():
    # By attention: 0 2 5 3 4 1. Token 5 equals token 3, all others differ.
    features = torch.eye(6)
    features[5] = features[3]
    cues = {"patch_tokens": features, "cls_attention": torch.tensor([0.9, 0.1, 0.5, 0.3, 0.2, 0.4])}
    # Budget 5: 0 and 2 by attention; of 5 3 4 1 one must go: the even places are 5 and 4, and 5 has
    # a twin.
    assert kept("vispruner", 5, **cues) == [0, 1, 2, 3, 4]
    # Budget 4: two must go, both even places.
    assert kept("vispruner", 4, **cues) == [0, 1, 2, 3]
    # Budget 2: of 2 5 3 4 1 the even places 2 3 1 go, then of 5 4 the even place 5.
    assert kept("vispruner", 2, **cues) == [0, 4]
    # Budget 1: none by attention; of all six the even places 0 5 4 go, then of 2 3 1 the even
    # places 2 and 1.
    assert kept("vispruner", 1, **cues) == [3]


def test_evtp_iv_like():
    # Features only: three tokens at 0 degrees, one at 90, one at 180. The mean (.4, .2) is nearest
    # to the first; then the opposite one (2 away), then the upright one.
    features = torch.tensor([[1.0, 0.0], [2.0, 0.0], [3.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
    assert kept(
        "evtp_iv_like", 3, (1, 5), options={"spatial_weight": 0.0}, patch_tokens=features
    ) == [0, 3, 4]
    # Places only (equal features): 0, 1/4, 1/2, 3/4, mean 3/8: start at 1 (2 ties), then 3, then 0
    # (2 ties).
    assert kept("evtp_iv_like", 2, (1, 4), patch_tokens=torch.ones(4, 2)) == [1, 3]
    assert kept("evtp_iv_like", 3, (1, 4), patch_tokens=torch.ones(4, 2)) == [0, 1, 3]


def test_value_norm_and_cls_cosine_and_centre():
    values = torch.tensor([[3.0, 4.0], [0.0, 6.0], [1.0, 1.0], [-4.0, 4.0], [0.0, 0.0], [5.0, 0.0]])
    # Norms 5, 6, 1.4, 5.7, 0, 5: token 0 before 5.
    assert kept("value_norm", 3, values=values) == [0, 1, 3]
    # Directions against (1, 1): .99, .71, 1, 0, 0 (a zero row), .71: 1 before 5.
    assert kept("cls_cosine", 3, patch_tokens=values, cls_token=torch.tensor([2.0, 2.0])) == [
        0,
        1,
        2,
    ]
    # 3 x 3: the centre, then its four neighbours; of the corners the first.
    assert kept("centre_distance", 5, (3, 3)) == [1, 3, 4, 5, 7]
    assert kept("centre_distance", 6, (3, 3)) == [0, 1, 3, 4, 5, 7]
    assert kept("reverse", 4, (3, 3), options={"of": "centre_distance"}) == [0, 2, 6, 8]
