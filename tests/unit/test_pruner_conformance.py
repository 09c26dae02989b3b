"""What every method must do, from one list of cases.

Exact counts, identities, ties, number types, cues and texts.
"""

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pruner_cases import (
    EQUIVARIANT,
    GRID,
    SCALED,
    N,
    all_cues,
    every_case,
    outside_the_tower,
    same,
    tensors,
)  # fmt: skip

from litelvlm.pruning import CUES, Cues, get_pruner, list_pruners
from litelvlm.pruning.greedy import GreedyPruner
from litelvlm.pruning.ranking import cosine_matrix
from tests.method_cases import BEFORE, CASES, parametrised


def test_every_method_has_a_case():
    assert {name for name, _ in CASES} == set(list_pruners())


@every_case
@pytest.mark.parametrize("budget", [1, 2, 3, 7, 12, 20, 41])
def test_exact_length_in_range_and_described(name, options, budget):
    pruner = get_pruner(name, **options)
    selection = pruner.select(all_cues(n_texts=1 + budget % 5), budget)
    kept = [i for i in selection.indices.tolist() if i != -1]
    assert len(selection) == budget
    assert selection.positions.shape == (1, budget)
    assert len(kept) == len(set(kept))
    assert all(0 <= i < N for i in kept)
    assert selection.roles is None or len(selection.roles) == budget
    assert (selection.tokens is None) == (selection.source is None)
    if selection.tokens is None:
        assert len(kept) == budget
    else:
        assert pruner.synthetic
        assert selection.tokens.shape == (budget, 64 if pruner.stage == "post_projector" else 8)
    assert all(0 <= p < selection.span for p in selection.positions[0].tolist())
    assert selection.span == (budget if pruner.positions == "contiguous" else N)
    if pruner.order == "raster" and pruner.positions == "original":
        assert selection.positions[0].tolist() == sorted(selection.positions[0].tolist())


@pytest.mark.parametrize("budget", [192, 128, 64, 32])
@pytest.mark.parametrize(
    ("name", "options"), list({name: (name, options) for name, options in BEFORE[::-1]}.values())
)
def test_published_budgets_of_the_full_grid_are_exact(name, options, budget):
    selection = get_pruner(name, **options).select(all_cues(grid=(24, 24)), budget)
    kept = [i for i in selection.indices.tolist() if i != -1]
    assert len(selection) == budget
    assert len(set(kept)) == len(kept)
    assert all(0 <= i < 576 for i in kept)


@every_case
def test_keeping_all_is_the_identity(name, options):
    pruner = get_pruner(name, **{**options, "order": "raster"})
    selection = pruner.select(all_cues(), N)
    assert selection.indices.tolist() == selection.positions[0].tolist() == list(range(N))
    assert selection.tokens is None
    native = get_pruner(name, **{**options, "order": "native"}).select(all_cues(), N)
    assert sorted(native.indices.tolist()) == list(range(N))


@every_case
@pytest.mark.parametrize("positions", ["contiguous", "original", "stretch"])
@pytest.mark.parametrize("order", ["native", "raster"])
def test_order_and_positions_change_where_tokens_stand_and_not_which(
    name, options, order, positions
):
    cues = all_cues()
    usual = get_pruner(name, **options).select(cues, 9)
    selection = get_pruner(name, **{**options, "order": order, "positions": positions}).select(
        cues, 9
    )
    assert sorted(selection.indices.tolist()) == sorted(usual.indices.tolist())
    assert selection.span == (9 if positions == "contiguous" else N)
    at = selection.positions[0].tolist()
    if positions == "contiguous":
        assert at == list(range(9))
    elif positions == "stretch":
        # 41 / 8 = 5.125: 0, 5.1, 10.25, 15.4, 20.5, 25.6, 30.75, 35.9, 41.
        assert at == [0, 5, 10, 15, 21, 26, 31, 36, 41]
    else:
        assert order == "native" or at == sorted(at)
        # A plain token stands at its own place.
        plain = selection.tokens is None
        assert not plain or at == selection.indices.tolist()


@every_case
def test_same_input_same_selection(name, options):
    first, second = (
        get_pruner(name, **options).select(all_cues(key=5, added=0.3), 12) for _ in range(2)
    )
    assert same(first, second)


@outside_the_tower
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_cues_are_ranked_in_float32(name, options, dtype):
    half = tensors(dtype=dtype)
    full = {cue: tensor.float() for cue, tensor in half.items()}
    pruner = get_pruner(name, **options)
    from_half, from_full = (pruner.select(Cues(given, GRID), 12) for given in (half, full))
    assert from_half.indices.tolist() == from_full.indices.tolist()
    assert from_half.positions.tolist() == from_full.positions.tolist()
    if from_half.tokens is not None:
        assert from_half.tokens.dtype == dtype
        assert torch.equal(from_half.tokens, from_full.tokens.to(dtype))


@every_case
def test_declared_cues_suffice(name, options):
    pruner = get_pruner(name, **options)
    given = {cue: tensor for cue, tensor in tensors().items() if cue in pruner.needs}
    vit = (lambda: all_cues().vit) if pruner.stage == "vit" else None
    assert set(pruner.needs) <= set(CUES)
    assert same(pruner.select(Cues(given, GRID, vit=vit), 12), pruner.select(all_cues(), 12))


def test_smaller_budgets_of_greedy_methods_take_the_first_steps_of_larger_ones():
    nested = [
        name
        for name, method in list_pruners().items()
        if issubclass(method, GreedyPruner) and method.nested
    ]
    assert {"cdpruner", "divprune", "scope", "evtp_iv_like"} <= set(nested)
    for name in nested:
        pruner, shared = get_pruner(name), Cues(tensors(), GRID)
        for budget in (20, 7, 1, 30, 12):
            alone = pruner.select(Cues(tensors(), GRID), budget)
            assert torch.equal(pruner.select(shared, budget).indices, alone.indices)
            assert len(alone) == budget
    # Another setting of the same method shares nothing.
    strong = get_pruner("cdpruner", strength=0.9)
    mixed = Cues(tensors(), GRID)
    get_pruner("cdpruner").select(mixed, 20)
    expected = strong.select(Cues(tensors(), GRID), 20).indices
    assert torch.equal(strong.select(mixed, 20).indices, expected)


@pytest.mark.parametrize("name", EQUIVARIANT)
def test_equal_tokens_are_kept_from_the_first(name):
    flat = {cue: torch.ones_like(tensor) for cue, tensor in tensors().items()}
    kept = get_pruner(name, order="raster").select(Cues(flat, GRID), 9).indices
    assert [i for i in kept.tolist() if i != -1] == list(range(8 if name == "trim" else 9))


@pytest.mark.parametrize("name", EQUIVARIANT)
@given(seed=st.integers(0, 10_000), budget=st.integers(1, 41))
@settings(deadline=None, max_examples=15)
def test_permuting_patches_permutes_the_choice(name, seed, budget):
    given_cues = tensors(seed)
    turn = torch.randperm(N, generator=torch.Generator().manual_seed(seed))
    turned = {cue: t[turn] if CUES[cue].axes[0] == "N" else t for cue, t in given_cues.items()}
    if name == "divprune":
        # Two tokens that are each other's nearest and farther from all others than any are from
        # theirs: a tie.
        distances = (1 - cosine_matrix(given_cues["projected"])).fill_diagonal_(2.0)
        first, second = distances.amin(dim=1).sort(descending=True).values[:2]
        assume(first - second > 1e-6)
    before, after = (
        get_pruner(name).select(Cues(c, GRID), budget).indices for c in (given_cues, turned)
    )
    assert sorted(before[before >= 0].tolist()) == sorted(turn[after[after >= 0]].tolist())


@pytest.mark.parametrize("name", SCALED)
@given(seed=st.integers(0, 10_000), exponent=st.integers(-8, 8))
@settings(deadline=None, max_examples=10)
def test_scaling_a_cue_changes_nothing(name, seed, exponent):
    given_cues = tensors(seed)
    scaled = given_cues | {cue: given_cues[cue] * 2.0**exponent for cue in SCALED[name]}
    pruner = get_pruner(name, **({"stage1_only": True} if name == "nuwa" else {}))
    before, after = (pruner.select(Cues(c, GRID), 12).indices for c in (given_cues, scaled))
    assert before.tolist() == after.tolist()


@pytest.mark.parametrize(
    "name",
    [
        "fastervlm",
        "value_norm",
        "cls_cosine",
        "centre_distance",
        "low_similarity",
        "high_similarity",
    ],
)
@given(seed=st.integers(0, 10_000), budget=st.integers(1, 42))
@settings(deadline=None, max_examples=15)
def test_what_is_kept_has_the_highest_score_and_reverse_the_lowest(name, seed, budget):
    cues = Cues(tensors(seed), GRID)
    pruner = get_pruner(name)
    scores = pruner.score(cues)
    ranked = scores.sort(descending=True).values.tolist()
    assert (
        sorted(scores[pruner.select(cues, budget).indices].tolist(), reverse=True)
        == ranked[:budget]
    )
    turned = get_pruner("reverse", of=name)
    assert turned.needs == pruner.needs
    assert sorted(scores[turned.select(cues, budget).indices].tolist()) == ranked[::-1][:budget]


@parametrised(CASES)
def test_config_rebuilds_an_equal_method(name, options):
    pruner = get_pruner(name, **options)
    assert get_pruner(**pruner.config()) == pruner
    assert hash(get_pruner(**pruner.config())) == hash(pruner)
