"""LiteLVLM's rule.

A worked example for every option, and the identities that follow from the published code.
"""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import normalize

from litelvlm.pruning import (
    Cues,
    LiteLVLM,
    context_scores,
    get_pruner,
    stable_order,
    text_similarity,
)

# Six patches in a 2-d joint space; text 0 reads the first coordinate, text 1 the second.
PATCHES = torch.tensor([[3.0, 0.0], [1.0, 5.0], [-2.0, 0.0], [4.0, 9.0], [0.0, 1.0], [2.0, 2.0]])
TEXTS = torch.eye(2)
# Lowest first: text 0 ranks 2 4 1 5 0 3; text 1 ranks 0 2 4 5 1 3 (0 and 2 tie).
# Context: equal keys, so the value norms 1 2 3 6 5 4 decide: 3 4 5 2 1 0.
VALUES = torch.tensor([[1.0], [2.0], [3.0], [6.0], [5.0], [4.0]])


def example(n_texts: int = 2, **changes: torch.Tensor) -> Cues:
    tensors = {
        "patch_embeds": PATCHES,
        "text_embeds": TEXTS[:n_texts],
        "query": torch.ones(1),
        "keys": torch.ones(6, 1),
        "values": VALUES,
    }
    return Cues.from_tensors(layout=(2, 3), **(tensors | changes))


def test_what_it_is_said_to_keep_follows_the_direction():
    about = {way: get_pruner("litelvlm", direction=way).about for way in ("lowest", "highest")}
    assert about["lowest"] == LiteLVLM.summary
    assert "patches most similar to the text" in about["highest"]
    assert get_pruner("value_path").about == get_pruner("value_path").summary
    assert "least resemble" in get_pruner("value_path", direction="lowest").about


def random_cues(seed: int, n_texts: int, grid: tuple[int, int] = (4, 5)) -> Cues:
    made = torch.Generator().manual_seed(seed)
    n = grid[0] * grid[1]
    return Cues.from_tensors(
        layout=grid,
        patch_embeds=torch.randn(n, 6, generator=made),
        text_embeds=torch.randn(n_texts, 6, generator=made),
        query=torch.randn(8, generator=made),
        keys=torch.randn(n, 8, generator=made),
        values=torch.randn(n, 8, generator=made),
        cls_attention=torch.rand(n, generator=made),
    )


@pytest.mark.parametrize(
    ("fields", "n_texts", "budget", "kept", "n_context"),
    [
        # Two texts, budget 4: each names 2, {2, 4} and {0, 2}; the union has 3, context adds its
        # best other, 3.
        ({}, 2, 4, [3, 0, 2, 4], 1),
        # One text: the whole budget is similarity, in raster order.
        ({}, 1, 4, [1, 2, 4, 5], 0),
        # Budget 1 of two texts: floor(1 / 2) = 0 per text, all context.
        ({}, 2, 1, [3], 1),
        # Budget 5: floor(5 / 2) = 2 per text, the odd one is context too.
        ({}, 2, 5, [3, 5, 0, 2, 4], 2),
        # Highest: {0, 3} and {1, 3}; best context outside {0, 1, 3} is 4.
        ({"direction": "highest"}, 2, 4, [4, 0, 1, 3], 1),
        # Cosine of text 0: 1, 0.2, -1, 0.41, 0, 0.71, so its four lowest are 2 4 1 3, not 2 4 1 5.
        ({"similarity": "cosine"}, 1, 4, [1, 2, 3, 4], 0),
        # Refill: turns are 2 (text 0), 0 (text 1), 4 (text 0), [2 again], then text 0's third, 1.
        ({"overlap": "refill"}, 2, 4, [0, 1, 2, 4], 0),
        # A fixed half for context: 2 similarity tokens, one per text: {2} and {0}.
        ({"context_share": 0.5}, 2, 4, [3, 4, 0, 2], 2),
        ({"context_share": 0.5}, 1, 4, [3, 5, 2, 4], 2),
        ({"context_share": 0.0}, 1, 4, [1, 2, 4, 5], 0),
        # Paper, two texts: the four lowest of each, {1, 2, 4, 5} and {0, 2, 4, 5}; three in common.
        ({"budget_rule": "paper"}, 2, 4, [3, 2, 4, 5], 1),
        # Paper, one text: half the budget, rounded down.
        ({"budget_rule": "paper"}, 1, 4, [3, 5, 2, 4], 2),
        ({"budget_rule": "paper"}, 1, 3, [3, 4, 2], 2),
        ({"budget_rule": "paper"}, 1, 1, [3], 1),
        # Paper with a share: each text's 4 - 1 = 3 lowest, {1, 2, 4} and {0, 2, 4}.
        ({"budget_rule": "paper", "context_share": 0.25}, 2, 4, [3, 5, 2, 4], 2),
        ({"order": "raster"}, 2, 4, [0, 2, 3, 4], 1),
    ],
)
def test_worked_example(fields, n_texts, budget, kept, n_context):
    selection = LiteLVLM(**fields).select(example(n_texts), budget)
    assert selection.indices.tolist() == kept
    assert selection.roles.count("context") == n_context
    assert selection.roles.count("similarity") == budget - n_context
    assert (selection.positions[0].tolist(), selection.span) == (list(range(budget)), budget)
    assert selection.tokens is None


# q = 2, width 1. Cosines are the signs of the keys; with |V| = 1 2 3 6 5 4:
#   code: e for +, 1/e for -, times |V|;
#         e^2 = 7.39 times 1 2 3 6 5 4 for + against 1 2 3 6 5 4 for -:
#         7.4  2  22.2  6  36.9  29.6
#   attention_only: the signs, ties by index
#   paper: exp(q k) = e^2 e^-6 e^10 e^-2 e^4 e^8, times |V|: 7.4  0.005  66079  0.8  273  11924
@pytest.mark.parametrize(
    ("kind", "order"),
    [
        ("code", [4, 5, 2, 0, 3, 1]),
        ("paper", [2, 5, 4, 0, 3, 1]),
        ("attention_only", [0, 2, 4, 5, 1, 3]),
        ("value_norm", [3, 4, 5, 2, 1, 0]),
        ("cls_attention", [1, 0, 2, 3, 4, 5]),
    ],
)
def test_context_scores(kind, order):
    keys = torch.tensor([[1.0], [-3.0], [5.0], [-1.0], [2.0], [4.0]])
    attention = torch.tensor([0.2, 0.3, 0.1, 0.1, 0.1, 0.1])
    cues = example(query=torch.tensor([2.0]), keys=keys, cls_attention=attention)
    assert stable_order(context_scores(cues, kind), descending=True).tolist() == order
    # Budget 1 of two texts is context alone.
    assert LiteLVLM(context=kind).select(cues, 1).indices.tolist() == order[:1]


@given(seed=st.integers(0, 10_000), n_texts=st.integers(1, 4), budget=st.integers(1, 20))
@settings(deadline=None, max_examples=60)
def test_identities(seed, n_texts, budget):
    cues = random_cues(seed, n_texts)
    selection = LiteLVLM().select(cues, budget)
    kept = selection.indices.tolist()
    n_context = selection.roles.count("context")
    context, similar = kept[:n_context], kept[n_context:]
    assert selection.roles == ("context",) * n_context + ("similarity",) * len(similar)
    assert len(kept) == len(set(kept)) == budget
    assert similar == sorted(similar)
    assert set(context).isdisjoint(similar)
    scores = context_scores(cues)[context].tolist()
    assert scores == sorted(scores, reverse=True)
    k = budget // n_texts
    assert k <= len(similar) <= min(20, n_texts * k)
    lowest = {
        i for row in text_similarity(cues) for i in stable_order(row, descending=False)[:k].tolist()
    }
    assert set(similar) == lowest
    if n_texts == 1:
        assert n_context == 0
        assert budget < 20 or kept == list(range(20))
    if n_texts > budget:
        assert n_context == budget
    if budget == 20 and n_context:
        assert sorted(kept) == list(range(20))
        assert kept != list(range(20))


@given(seed=st.integers(0, 10_000), exponents=st.lists(st.integers(-8, 8), min_size=3, max_size=3))
@settings(deadline=None, max_examples=40)
def test_scaling_texts_changes_nothing(seed, exponents):
    cues = random_cues(seed, 3)
    # Powers of two scale without rounding, each text by its own.
    scale = torch.tensor([2.0**e for e in exponents])[:, None]
    scaled = Cues.from_tensors(
        layout=cues.grid,
        text_embeds=cues.text_embeds * scale,
        **{name: cues.get(name) for name in ("patch_embeds", "query", "keys", "values")},
    )
    for fields in ({}, {"budget_rule": "paper"}, {"direction": "highest"}, {"overlap": "refill"}):
        before, after = (LiteLVLM(**fields).select(c, 9).indices for c in (cues, scaled))
        assert before.tolist() == after.tolist()


def test_scaling_image_rows_changes_dot_but_not_cosine():
    # Row 5 has similarity 2 to text 0; ten times shorter it has 0.2 and comes before row 1
    # (similarity 1).
    shorter = PATCHES.clone()
    shorter[5] /= 10
    for similarity, before, after in (
        ("dot", [1, 2, 4], [2, 4, 5]),
        ("cosine", [1, 2, 4], [1, 2, 4]),
    ):
        pruner = LiteLVLM(similarity=similarity)
        assert pruner.select(example(1), 3).indices.tolist() == before
        assert pruner.select(example(1, patch_embeds=shorter), 3).indices.tolist() == after


@given(seed=st.integers(0, 10_000), n_texts=st.integers(1, 3), budget=st.integers(1, 20))
@settings(deadline=None, max_examples=40)
def test_refill_spends_the_whole_similarity_budget(seed, n_texts, budget):
    roles = (
        LiteLVLM(overlap="refill", context_share=0.25)
        .select(random_cues(seed, n_texts), budget)
        .roles
    )
    # A quarter of the budget, halves upwards, is context; nothing more, however much the texts
    # overlap.
    assert roles.count("context") == (budget + 2) // 4


def test_bfloat16_ties_go_to_the_lower_index():
    # bfloat16 knows 1 and 1.0078125 and nothing between: 1.003 and 1.001 are both 1 there.
    rows = torch.tensor([[1.003, 0.0], [1.001, 0.0], [1.0, 0.0], [2.0, 0.0]])
    cues = Cues.from_tensors(patch_embeds=rows, text_embeds=torch.tensor([[1.0, 0.0]]), values=rows)
    assert LiteLVLM().select(cues, 2).indices.tolist() == [1, 2]
    assert LiteLVLM(precision="bfloat16").select(cues, 2).indices.tolist() == [0, 1]
    assert stable_order(context_scores(cues, "value_norm"), descending=True).tolist() == [
        3,
        0,
        1,
        2,
    ]
    assert context_scores(cues, "value_norm", "bfloat16").tolist() == [1.0, 1.0, 1.0, 2.0]


@given(seed=st.integers(0, 10_000))
@settings(deadline=None, max_examples=20)
def test_bfloat16_scores_are_those_of_bfloat16_arithmetic(seed):
    cues = random_cues(seed, 2)
    query, keys, values, texts, patches = (
        cues.get(name).bfloat16()
        for name in ("query", "keys", "values", "text_embeds", "patch_embeds")
    )
    logits = normalize(keys, dim=-1) @ normalize(query, dim=-1) / query.shape[-1] ** 0.5
    expected = (torch.softmax(logits, dim=0)[:, None] * values).norm(dim=-1)
    # One step of bfloat16 apart at most, where sums run in another order.
    torch.testing.assert_close(
        context_scores(cues, precision="bfloat16"), expected.float(), rtol=2**-7, atol=0
    )
    similar = text_similarity(cues, precision="bfloat16")
    torch.testing.assert_close(similar, (texts @ patches.T).float(), rtol=2**-7, atol=1e-3)
    assert torch.equal(similar, similar.bfloat16().float())


def test_paper_preset():
    assert get_pruner("litelvlm", preset="paper") == LiteLVLM(budget_rule="paper", context="paper")
    assert get_pruner("litelvlm", preset="paper", context="code") == LiteLVLM(budget_rule="paper")
    assert get_pruner("litelvlm") == LiteLVLM(
        order="native", positions="contiguous", budget_rule="code"
    )
