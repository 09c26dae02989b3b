"""Every method: one list of cases, shared invariants, one worked example each."""

import dataclasses
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from litelvlm.pruning import CUES, Cues, Selection, get_pruner, list_pruners
from litelvlm.pruning.cdpruner import greedy_volume
from litelvlm.pruning.holov import stretch_score
from litelvlm.pruning.uniform import evenly_spaced, sampling_grid, uniform_indices

CASES = [
    ("litelvlm", {}),
    ("litelvlm", {"preset": "paper"}),
    ("litelvlm", {"context": "cls_attention", "context_share": 0.5, "order": "raster", "positions": "original"}),
    ("litelvlm", {"context": "value_norm", "direction": "highest", "similarity": "cosine", "overlap": "refill"}),
    ("low_similarity", {}),
    ("high_similarity", {"similarity": "cosine"}),
    ("trim", {}),
    ("trim", {"preset": "paper", "place": "median", "positions": "original"}),
    ("cdpruner", {}),
    ("cdpruner", {"strength": 0.8}),
    ("divprune", {}),
    ("scope", {}),
    ("scope", {"alpha": 0.0}),
    ("fastervlm", {}),
    ("vispruner", {}),
    ("vispruner", {"important_share": 0.0}),
    ("visionzip", {}),
    ("visionzip", {"preset": "paper", "contextual_share": 0.5, "order": "raster", "positions": "original"}),
    ("visionzip", {"contextual_share": 0.0}),
    ("prumerge_plus", {}),
    ("prumerge_plus", {"neighbours": 0, "place": "median", "order": "raster", "positions": "stretch"}),
    ("holov", {}),
    ("holov", {"preset": "fixed", "stretches": 4}),
    ("holov", {"stretches": 100}),
    ("evtp_iv_like", {}),
    ("evtp_iv_like", {"spatial_weight": 0.0}),
    ("avgpool", {}),
    ("avgpool", {"place": "median", "positions": "original"}),
    ("bilinear", {"positions": "original"}),
    ("value_norm", {}),
    ("cls_cosine", {}),
    ("centre_distance", {}),
    ("reverse", {}),
    ("reverse", {"of": "low_similarity"}),
    ("random", {"seed": 3}),
    ("uniform", {"positions": "stretch"}),
    ("mask_oracle", {}),
    ("mask_oracle", {"share": 1.0}),
    ("inverse_mask_oracle", {}),
]
IDS = [f"{name}-{'-'.join(map(str, options.values()))}" for name, options in CASES]
every_case = pytest.mark.parametrize(("name", "options"), CASES, ids=IDS)

# Rules without any index in them: permuting the patches permutes the choice.
EQUIVARIANT = [
    "litelvlm", "low_similarity", "high_similarity", "trim", "cdpruner", "divprune", "scope", "fastervlm",
    "value_norm", "cls_cosine", "reverse",
]  # fmt: skip
MERGING = ["trim", "visionzip", "prumerge_plus", "avgpool", "bilinear"]

GRID = (6, 7)
N = 42


def tensors(seed: int = 0, n_texts: int = 2, dtype: torch.dtype = torch.float32) -> dict[str, torch.Tensor]:
    """Every cue at random; a third of the cells is covered."""
    made = torch.Generator().manual_seed(seed)
    sizes = {"N": N, "D": 8, "P": 6, "T": n_texts, "E": 4, "d": 64}
    found = {name: torch.randn([sizes[a] for a in cue.axes], generator=made) for name, cue in CUES.items()}
    found["cls_attention"] = found["cls_attention"].softmax(0)
    found["coverage"] = (torch.rand(N, generator=made) * 3 - 2).clamp(min=0)
    return {name: tensor.to(dtype) for name, tensor in found.items()}


def same(a: Selection, b: Selection) -> bool:
    """Equal in every field, bit for bit."""
    for entry in dataclasses.fields(a):
        x, y = getattr(a, entry.name), getattr(b, entry.name)
        if not (torch.equal(x, y) if isinstance(x, torch.Tensor) and isinstance(y, torch.Tensor) else x == y):
            return False
    return True


def test_every_method_has_a_case():
    # Methods inside the language model have tests of their own.
    before = {name for name, method in list_pruners().items() if method.stage != "llm"}
    assert {name for name, _ in CASES} == before - {"none"}


@every_case
@pytest.mark.parametrize("budget", [1, 2, 3, 7, 12, 20, 41])
def test_exact_length_in_range_and_described(name, options, budget):
    pruner = get_pruner(name, **options)
    selection = pruner.select(Cues(tensors(), GRID), budget)
    kept = [i for i in selection.indices.tolist() if i != -1]
    assert len(selection) == len(selection.positions) == budget
    assert len(kept) == len(set(kept))
    assert all(0 <= i < N for i in kept)
    assert selection.roles is None or len(selection.roles) == budget
    assert (selection.tokens is None) == (selection.source is None)
    if selection.tokens is None:
        assert len(kept) == budget
    else:
        assert pruner.synthetic
        assert selection.tokens.shape == (budget, 8)
    assert all(0 <= p < selection.span for p in selection.positions.tolist())
    assert selection.span == (budget if pruner.positions == "contiguous" else N)
    if pruner.order == "raster" and pruner.positions == "original":
        assert selection.positions.tolist() == sorted(selection.positions.tolist())


@every_case
def test_keeping_all_is_the_identity(name, options):
    pruner = get_pruner(name, **{**options, "order": "raster"})
    selection = pruner.select(Cues(tensors(), GRID), N)
    assert selection.indices.tolist() == selection.positions.tolist() == list(range(N))
    assert selection.tokens is None
    native = get_pruner(name, **{**options, "order": "native"}).select(Cues(tensors(), GRID), N)
    assert sorted(native.indices.tolist()) == list(range(N))


def test_unpruned_keeps_all_and_refuses_to_prune():
    selection = get_pruner("none").select(Cues({}, GRID), N)
    assert selection.indices.tolist() == selection.positions.tolist() == list(range(N))
    with pytest.raises(ValueError, match="'none' keeps all 42 tokens, not 12; give budget=42"):
        get_pruner("none").select(Cues({}, GRID), 12)


@every_case
def test_same_input_same_selection(name, options):
    first, second = (get_pruner(name, **options).select(Cues(tensors(), GRID, key=5), 12) for _ in range(2))
    assert same(first, second)


@every_case
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
    assert set(pruner.needs) <= set(CUES)
    assert same(pruner.select(Cues(given, GRID), 12), pruner.select(Cues(tensors(), GRID), 12))


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
    before, after = (get_pruner(name).select(Cues(c, GRID), budget).indices for c in (given_cues, turned))
    assert sorted(before[before >= 0].tolist()) == sorted(turn[after[after >= 0]].tolist())


@pytest.mark.parametrize("name", ["litelvlm", "low_similarity", "high_similarity", "trim", "cdpruner"])
@given(seed=st.integers(0, 10_000), exponent=st.integers(-8, 8))
@settings(deadline=None, max_examples=15)
def test_scaling_all_texts_changes_nothing(name, seed, exponent):
    given_cues = tensors(seed)
    scaled = given_cues | {"text_embeds": given_cues["text_embeds"] * 2.0**exponent}
    before, after = (get_pruner(name).select(Cues(c, GRID), 12).indices for c in (given_cues, scaled))
    assert before.tolist() == after.tolist()


@pytest.mark.parametrize(
    "name", ["fastervlm", "value_norm", "cls_cosine", "centre_distance", "low_similarity", "high_similarity"]
)
@given(seed=st.integers(0, 10_000), budget=st.integers(1, 42))
@settings(deadline=None, max_examples=15)
def test_what_is_kept_has_the_highest_score_and_reverse_the_lowest(name, seed, budget):
    cues = Cues(tensors(seed), GRID)
    pruner = get_pruner(name)
    scores = pruner.score(cues)
    ranked = scores.sort(descending=True).values.tolist()
    assert sorted(scores[pruner.select(cues, budget).indices].tolist(), reverse=True) == ranked[:budget]
    turned = get_pruner("reverse", of=name)
    assert turned.needs == pruner.needs
    assert sorted(scores[turned.select(cues, budget).indices].tolist()) == ranked[::-1][:budget]


@pytest.mark.parametrize(("name", "options"), [case for case in CASES if case[0] in [*MERGING, "holov"]])
@pytest.mark.parametrize("budget", [1, 5, 12, 30])
def test_source_reproduces_tokens(name, options, budget):
    cues = Cues(tensors(), GRID)
    selection = get_pruner(name, **options).select(cues, budget)
    if selection.source is None:
        assert name == "holov"
        return
    mixed = torch.tensor([role != "cls" for role in selection.roles])
    assert (selection.source >= 0).all()
    assert torch.equal((selection.source @ cues.patch_tokens)[mixed], selection.tokens[mixed])
    assert torch.equal(selection.tokens[~mixed], cues.cls_token.expand(int((~mixed).sum()), -1))
    assert not selection.source[~mixed].any()
    plain = torch.tensor([role == "kept" for role in selection.roles])
    assert torch.equal(selection.tokens[plain], cues.patch_tokens[selection.indices[plain]])


def test_row_sums_of_merges():
    cues = Cues(tensors(), GRID)
    for name in ("trim", "avgpool", "bilinear"):
        sums = get_pruner(name).select(cues, 12).source.sum(dim=1)
        assert torch.allclose(sums, torch.ones(12), atol=1e-6)
    # CLS 0, kept 1, contextual 2 as released and 1 as an average.
    for preset, contextual in (("faithful", 2.0), ("paper", 1.0)):
        selection = get_pruner("visionzip", preset=preset, contextual_share=0.25).select(cues, 12)
        wanted = [{"cls": 0.0, "kept": 1.0, "merged": contextual}[role] for role in selection.roles]
        assert torch.allclose(selection.source.sum(dim=1), torch.tensor(wanted), atol=1e-6)
    sums = get_pruner("prumerge_plus").select(cues, 12).source.sum(dim=1)
    assert (sums[:-1] > 1).all()
    assert 0 < sums[-1] < 1


# Text e1 reads the first coordinate: dots 3 1 -2 4 0 2; cosines 1, 0.20, -1, 0.41, 0, 0.71.
JOINT = {
    "patch_embeds": torch.tensor([[3.0, 0.0], [1.0, 5.0], [-2.0, 0.0], [4.0, 9.0], [0.0, 1.0], [2.0, 2.0]]),
    "text_embeds": torch.tensor([[1.0, 0.0]]),
}


def kept(name: str, budget: int, grid: tuple[int, int] = (2, 3), key: int = 0, options=None, **cues) -> list[int]:
    """Indices chosen from a few given cues."""
    return get_pruner(name, **(options or {})).select(Cues(cues, grid, key), budget).indices.tolist()


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


def test_trim():
    cues = Cues(JOINT | {"patch_tokens": torch.arange(6.0)[:, None]}, (2, 3))
    # Released sign: the two lowest, 2 and 4; mean of 0, 1, 3, 5 is 2.25.
    selection = get_pruner("trim", positions="original").select(cues, 3)
    assert selection.indices.tolist() == [2, 4, -1]
    assert selection.tokens.flatten().tolist() == [2.0, 4.0, 2.25]
    assert selection.positions.tolist() == [2, 4, 5]
    assert selection.roles == ("kept", "kept", "merged")
    # Paper sign: 0 and 3; mean of 1, 2, 4, 5 is 3; its median member is 2.
    selection = get_pruner("trim", preset="paper", place="median", order="raster", positions="original").select(cues, 3)
    assert selection.indices.tolist() == [0, -1, 3]
    assert selection.tokens.flatten().tolist() == [0.0, 3.0, 3.0]
    assert selection.positions.tolist() == [0, 2, 3]
    # One token: the mean of all.
    assert get_pruner("trim").select(cues, 1).tokens.tolist() == [[2.5]]


def test_cdpruner():
    # Cosines with the text 0, 1/2, 1, 1/2; negated and scaled: relevance 1, 1/2, 0, 1/2. Projected: 0 and 1 point one
    # way, 2 and 3 the other. 0 first (1); it explains 1 fully, so 3 (1/4) is next; without diversity it would be 1.
    cues = {
        "patch_embeds": torch.tensor([[0.0, 1.0], [2.0, 2 * math.sqrt(3)], [5.0, 0.0], [1.0, math.sqrt(3)]]),
        "text_embeds": torch.tensor([[3.0, 0.0]]),
        "projected": torch.tensor([[1.0, 0.0], [7.0, 0.0], [0.0, 1.0], [0.0, 4.0]]),
    }
    assert kept("cdpruner", 1, (1, 4), **cues) == [0]
    assert kept("cdpruner", 2, (1, 4), **cues) == [0, 3]
    # The kernel has rank 2: what follows are the lower indices.
    assert kept("cdpruner", 3, (1, 4), **cues) == [0, 1, 3]
    assert get_pruner("cdpruner").relevance(Cues(cues, (1, 4))).tolist() == pytest.approx([1, 0.5, 0, 0.5], abs=2e-6)
    # Strength 1/2: exp(r / 2).
    strong = get_pruner("cdpruner", strength=0.5).relevance(Cues(cues, (1, 4)))
    assert strong.tolist() == pytest.approx([math.exp(0.5), math.exp(0.25), 1, math.exp(0.25)], abs=1e-5)


def test_greedy_volume_finds_the_largest_determinant():
    # Three vectors: a = (2, 0), b = (1.9, 0.1), c = (0, 1). a first (norm 2), then c (residual 1) before b (0.1).
    projected = torch.tensor([[2.0, 0.0], [1.9, 0.1], [0.0, 1.0]])
    assert greedy_volume(projected @ projected.T, 3).tolist() == [0, 2, 1]


def test_divprune():
    # Directions 0, 10, 90, 180 and 100 degrees. 180 is farthest from its nearest (80); then 0 (180 away);
    # then 90 (90 from both), not 100 (80 from the first).
    angles = torch.deg2rad(torch.tensor([0.0, 10.0, 90.0, 180.0, 100.0]))
    cues = {"projected": torch.stack([angles.cos(), angles.sin()], dim=1) * torch.tensor([[1.0], [2], [3], [4], [5]])}
    assert kept("divprune", 1, (1, 5), **cues) == [3]
    assert kept("divprune", 2, (1, 5), **cues) == [0, 3]
    assert kept("divprune", 3, (1, 5), **cues) == [0, 2, 3]


def test_scope():
    # Three tokens along e1, two along e2, one along e3; attention .1 .2 .1 .25 .2 .15. Gains 3 x .2 (token 1), then
    # 2 x .25 (token 3), then 1 x .15 (token 5), since 4 is covered although its attention is higher.
    features = torch.eye(3)[[0, 0, 0, 1, 1, 2]] * torch.tensor([[1.0], [2], [3], [4], [5], [6]])
    cues = {"patch_tokens": features, "cls_attention": torch.tensor([0.1, 0.2, 0.1, 0.25, 0.2, 0.15])}
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
    # Budget 5: 0 and 2 by attention; of 5 3 4 1 one must go: the even places are 5 and 4, and 5 has a twin.
    assert kept("vispruner", 5, **cues) == [0, 1, 2, 3, 4]
    # Budget 4: two must go, both even places.
    assert kept("vispruner", 4, **cues) == [0, 1, 2, 3]
    # Budget 2: of 2 5 3 4 1 the even places 2 3 1 go, then of 5 4 the even place 5.
    assert kept("vispruner", 2, **cues) == [0, 4]
    # Budget 1: none by attention; of all six the even places 0 5 4 go, then of 2 3 1 the even places 2 and 1.
    assert kept("vispruner", 1, **cues) == [3]


def test_visionzip():
    # Attention makes 1 dominant. Rest 0 2 3 4 5, stride 2: targets 0 and 3. Keys send 2 and 5 to 0, and 4 to 3.
    cues = Cues(
        {
            "patch_tokens": torch.tensor([[1.0], [2.0], [4.0], [8.0], [16.0], [32.0]]),
            "cls_token": torch.tensor([100.0]),
            "cls_attention": torch.tensor([0.1, 0.6, 0.05, 0.1, 0.05, 0.1]),
            "keys_mean": torch.tensor([[1.0, 0.0], [0.0, 0.0], [2.0, 1.0], [0.0, 1.0], [1.0, 3.0], [3.0, 0.0]]),
        },
        (2, 3),
    )
    selection = get_pruner("visionzip", contextual_share=0.5, positions="original").select(cues, 4)
    assert selection.indices.tolist() == [-1, 1, 0, 3]
    assert selection.roles == ("cls", "kept", "merged", "merged")
    # 1 + (4 + 32) / 2 and 8 + 16.
    assert selection.tokens.flatten().tolist() == [100.0, 2.0, 19.0, 24.0]
    assert selection.positions.tolist() == [0, 1, 0, 3]
    # Averages: (1 + 4 + 32) / 3 and (8 + 16) / 2; medians of 0 2 5 and of 3 4; CLS keeps place 0.
    selection = get_pruner(
        "visionzip", preset="paper", contextual_share=0.5, place="median", order="raster", positions="original"
    ).select(cues, 4)
    assert selection.indices.tolist() == [-1, 1, 0, 3]
    assert selection.positions.tolist() == [0, 1, 2, 3]
    assert selection.tokens.flatten().tolist() == pytest.approx([100.0, 2.0, 37 / 3, 12.0])
    # One token is CLS.
    assert get_pruner("visionzip").select(cues, 1).tokens.tolist() == [[100.0]]


def test_visionzip_published_splits():
    # 192 = 162 + 30, 128 = 108 + 20, 64 = 54 + 10, 32 = 27 + 5.
    assert [math.floor(get_pruner("visionzip").contextual_share * budget) for budget in (192, 128, 64, 32)] == [
        30, 20, 10, 5,
    ]  # fmt: skip


def test_prumerge_plus():
    # q = (sqrt 2, 0), D = 2: logits are the keys' first coordinates, ln of 4 1 2 1 1 1 for patches and ln 6 for CLS;
    # they sum to 16. Budget 4: top token 0; of 1 2 3 4 5 the evenly spaced are 2, 4; the last is (x1 + x3 + x5) / 16.
    # Directions: 0 and 2 point at 45 degrees, 1 and 5 up, 3 and 4 down; so the nearest others are 0-2, 2-0, 4-3.
    weights = torch.tensor([4.0, 1.0, 2.0, 1.0, 1.0, 1.0])
    heights = torch.tensor([math.log(4), 1.0, math.log(2), -1.0, -1.0, 1.0])
    cues = Cues(
        {
            "patch_tokens": torch.tensor([[16.0, 0.0], [32, 0], [64, 0], [128, 0], [256, 0], [512, 0]]),
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
    assert selection.positions.tolist() == [0, 2, 4, 5]
    # One token: sum of a_j x_j over all patches, (4 16 + 32 + 2 64 + 128 + 256 + 512) / 16.
    assert get_pruner("prumerge_plus").select(cues, 1).tokens.tolist() == [pytest.approx([70.0, 0.0])]


def test_holov():
    # Two stretches of three equal tokens each: the variance term is the same share everywhere, so attention sums .6 and
    # .3 weigh 2/3 and 1/3. Budget 3: two and one, each stretch's best by attention, descending.
    cues = {
        "projected": torch.ones(6, 2),
        "patch_tokens": torch.arange(6.0)[:, None],
        "cls_attention": torch.tensor([0.1, 0.3, 0.2, 0.05, 0.15, 0.1]),
    }
    assert kept("holov", 3, options={"stretches": 2}, **cues) == [1, 2, 4]
    assert kept("holov", 3, options={"stretches": 2, "preset": "fixed"}, **cues) == [1, 2, 4]
    assert kept("holov", 1, options={"stretches": 2}, **cues) == [1]


def test_holov_shortfall():
    # Weights .94 and .06 give the first stretch all five; it has three.
    cues = Cues(
        {
            "projected": torch.ones(6, 2),
            "patch_tokens": torch.arange(6.0)[:, None] + 1,
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
    # Two stretches of two tokens, equal attention 1. First: cosine 1, so rows (0, 1), mean 1, variance (1 + 0) / 1 = 1.
    # Second: cosine 0: mean 0, variance 0. Scores 1000 + 0.09 * 1 * (1000 / 1) = 1090 and 1000.
    ones = torch.ones(2)
    assert stretch_score(ones, torch.ones(2, 3)).item() == pytest.approx(1090, abs=0.01)
    assert stretch_score(ones, torch.eye(2)).item() == pytest.approx(1000, abs=0.01)
    assert stretch_score(ones[:1], torch.eye(2)[:1]).item() == 1.0


def test_evtp_iv_like():
    # Features only: three tokens at 0 degrees, one at 90, one at 180. The mean (.4, .2) is nearest to the first; then
    # the opposite one (2 away), then the upright one.
    features = torch.tensor([[1.0, 0.0], [2.0, 0.0], [3.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
    assert kept("evtp_iv_like", 3, (1, 5), options={"spatial_weight": 0.0}, patch_tokens=features) == [0, 3, 4]
    # Places only (equal features): 0, 1/4, 1/2, 3/4, mean 3/8: start at 1 (2 ties), then 3, then 0 (2 ties).
    assert kept("evtp_iv_like", 2, (1, 4), patch_tokens=torch.ones(4, 2)) == [1, 3]
    assert kept("evtp_iv_like", 3, (1, 4), patch_tokens=torch.ones(4, 2)) == [0, 1, 3]


def test_pooling_on_the_grid():
    # 2 x 4 tokens 0..7 to 1 x 2 cells: means of 0 1 4 5 and of 2 3 6 7; centres are row 1, columns 1 and 3.
    cues = Cues({"patch_tokens": torch.arange(8.0)[:, None]}, (2, 4))
    for name in ("avgpool", "bilinear"):
        selection = get_pruner(name, positions="original").select(cues, 2)
        assert selection.tokens.flatten().tolist() == [2.5, 4.5]
        assert selection.indices.tolist() == [-1, -1]
        assert selection.positions.tolist() == [5, 7]
    # Members of the first cell are 0 1 4 5: the lower median is 1.
    median = get_pruner("avgpool", place="median", positions="original").select(cues, 2)
    assert median.positions.tolist() == [1, 3]


def test_pooling_along_the_raster():
    # 1 x 6 tokens to 2: means of 0 1 4 and 9 16 25; bilinear reads the middle ones, 1 and 16.
    cues = Cues({"patch_tokens": (torch.arange(6.0) ** 2)[:, None]}, (1, 6))
    assert get_pruner("avgpool").select(cues, 2).tokens.flatten().tolist() == pytest.approx([5 / 3, 50 / 3])
    assert get_pruner("bilinear").select(cues, 2).tokens.flatten().tolist() == pytest.approx([1.0, 16.0])


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


def test_value_norm_and_cls_cosine_and_centre():
    values = torch.tensor([[3.0, 4.0], [0.0, 6.0], [1.0, 1.0], [-4.0, 4.0], [0.0, 0.0], [5.0, 0.0]])
    # Norms 5, 6, 1.4, 5.7, 0, 5: token 0 before 5.
    assert kept("value_norm", 3, values=values) == [0, 1, 3]
    # Directions against (1, 1): .99, .71, 1, 0, 0 (a zero row), .71: 1 before 5.
    assert kept("cls_cosine", 3, patch_tokens=values, cls_token=torch.tensor([2.0, 2.0])) == [0, 1, 2]
    # 3 x 3: the centre, then its four neighbours; of the corners the first.
    assert kept("centre_distance", 5, (3, 3)) == [1, 3, 4, 5, 7]
    assert kept("centre_distance", 6, (3, 3)) == [0, 1, 3, 4, 5, 7]
    assert kept("reverse", 4, (3, 3), options={"of": "centre_distance"}) == [0, 2, 6, 8]


@pytest.mark.parametrize(
    ("side", "budget", "rows", "columns"),
    [
        (24, 192, range(1, 24, 2), [0, 2, 3, 5, 6, 8, 9, 11, 12, 14, 15, 17, 18, 20, 21, 23]),
        (24, 128, range(1, 24, 3), [0, 2, 3, 5, 6, 8, 9, 11, 12, 14, 15, 17, 18, 20, 21, 23]),
        (24, 64, range(1, 24, 3), range(1, 24, 3)),
        (24, 32, [3, 9, 15, 21], range(1, 24, 3)),
        (12, 48, range(1, 12, 2), [0, 2, 3, 5, 6, 8, 9, 11]),
        (12, 32, [1, 4, 7, 10], [0, 2, 3, 5, 6, 8, 9, 11]),
        (12, 16, [1, 4, 7, 10], [1, 4, 7, 10]),
        (12, 8, [3, 9], [1, 4, 7, 10]),
    ],
)
def test_uniform_tables(side, budget, rows, columns):
    wanted = [r * side + c for r in rows for c in columns]
    assert kept("uniform", budget, (side, side)) == wanted
    assert len(wanted) == budget


def test_uniform_without_a_grid():
    assert sampling_grid(7, (24, 24)) is None
    # 576 / 7 = 82.3; centres 41.1, 123.4, 205.7, 288, 370.3, 452.6, 534.9.
    assert kept("uniform", 7, (24, 24)) == [41, 123, 205, 288, 370, 452, 534]
    # 100 = 10 x 10 has square cells on a square grid; on 2 x 50 it needs every token.
    assert sampling_grid(100, (24, 24)) == (10, 10)
    assert sampling_grid(100, (2, 50)) == (2, 50)


@given(st.integers(1, 30), st.integers(1, 30), st.data())
@settings(deadline=None)
def test_uniform_indices_are_different_and_in_order(rows, columns, data):
    budget = data.draw(st.integers(1, rows * columns))
    indices = uniform_indices(budget, (rows, columns)).tolist()
    assert indices == sorted(set(indices))
    assert (len(indices), indices[0] >= 0, indices[-1] < rows * columns) == (budget, True, True)
    assert len(set(evenly_spaced(rows * columns, budget).tolist())) == budget


def test_random_is_the_same_everywhere():
    # Drawn once; NumPy promises that Philox's raw stream never changes.
    assert kept("random", 4, (3, 3)) == [0, 3, 7, 8]
    assert kept("random", 4, (3, 3), options={"seed": 1}) == [0, 1, 2, 4]
    assert kept("random", 4, (3, 3), key=1) == [2, 3, 4, 7]


def test_random_nests_and_is_unbiased():
    small, large = (set(kept("random", budget, (12, 12), key=9)) for budget in (8, 48))
    assert small < large
    # 400 images, 3 of 9 tokens: every token is expected 133 times, standard deviation 9.4.
    counts = torch.zeros(9)
    for key in range(400):
        counts[kept("random", 3, (3, 3), key=key)] += 1
    assert counts.sum() == 1200
    assert (counts - 400 / 3).abs().max() < 4 * 9.4


def test_mask_oracle():
    coverage = torch.tensor([0.0, 0.2, 0.0, 0.0, 1.0, 0.6, 0.0, 0.0, 0.0])

    def both(budget: int, **options) -> tuple[list[int], list[int]]:
        selection = get_pruner("mask_oracle", **options).select(Cues({"coverage": coverage}, (3, 3)), budget)
        indices = selection.indices.tolist()
        return indices, [i for i, role in zip(indices, selection.roles, strict=True) if role == "target"]

    # Half of 4: cells 4 and 5; of 0 1 2 3 6 7 8 the evenly spaced are 1 and 7.
    assert both(4) == ([1, 4, 5, 7], [4, 5])
    # All of 4: only three cells are touched; of 0 2 3 6 7 8 the middle one is 6.
    assert both(4, share=1.0) == ([1, 4, 5, 6], [1, 4, 5])
    # Half of 1 rounds up.
    assert both(1) == ([4], [4])


def test_mask_oracle_without_a_visible_target_is_uniform():
    selection = get_pruner("mask_oracle").select(Cues({"coverage": torch.zeros(9)}, (3, 3)), 3)
    # Centres of three runs of three.
    assert selection.indices.tolist() == [1, 4, 7]
    assert selection.roles == ("uniform",) * 3


def test_inverse_mask_oracle(caplog):
    coverage = torch.tensor([0.0, 0.2, 0.0, 0.0, 1.0, 0.6, 0.0, 0.0, 0.0])
    cues = Cues({"coverage": coverage}, (3, 3))
    # Background 0 2 3 6 7 8; four evenly spaced: places 0 2 3 5 of it.
    selection = get_pruner("inverse_mask_oracle").select(cues, 4)
    assert selection.indices.tolist() == [0, 3, 6, 8]
    assert selection.roles == ("background",) * 4
    with caplog.at_level("INFO"):
        selection = get_pruner("inverse_mask_oracle").select(cues, 8)
    # All background, then 1 (covered .2) and 5 (.6).
    assert selection.indices.tolist() == [0, 1, 2, 3, 5, 6, 7, 8]
    assert [i for i, role in enumerate(selection.roles) if role == "spill"] == [1, 4]
    assert "only 6 background tokens for a budget of 8" in caplog.text


@every_case
def test_config_rebuilds_an_equal_method(name, options):
    pruner = get_pruner(name, **options)
    assert get_pruner(**pruner.config()) == pruner
    assert hash(get_pruner(**pruner.config())) == hash(pruner)


def test_every_class_describes_itself():
    for name, cls in list_pruners().items():
        assert cls.name == name
        assert cls.summary
        assert cls.stage in ("pre_projector", "llm")
        assert cls.needs <= set(CUES)
        for preset in cls.presets:
            assert get_pruner(name, preset=preset) != get_pruner(name)
        with pytest.raises(dataclasses.FrozenInstanceError):
            get_pruner(name).order = "raster"


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("litelvm", {}, "unknown pruner 'litelvm'; did you mean 'litelvlm'"),
        ("trim", {"preset": "papers"}, "unknown trim preset 'papers'; did you mean 'paper'"),
        ("random", {"sed": 1}, "unknown random field 'sed'; did you mean 'seed'"),
        ("random", {"seed": -1}, "seed -1 is negative"),
        ("random", {"seed": "one"}, "seed 'one' is not allowed; give a whole number"),
        ("random", {"seed": True}, "seed True is not allowed"),
        ("uniform", {"order": "rastr"}, "unknown order 'rastr'; did you mean 'raster'"),
        ("uniform", {"positions": "gap"}, "unknown positions 'gap'"),
        ("trim", {"sign": 0}, "sign 0 is not allowed; choose from -1, 1"),
        ("litelvlm", {"context_share": "half"}, "context_share 'half' is not allowed; give a number or None"),
        ("mask_oracle", {"share": 0.0}, r"share 0.0 is not in \(0, 1\]"),
        ("cdpruner", {"strength": 1.0}, r"strength 1.0 is not in \[0, 1\)"),
        ("visionzip", {"contextual_share": 1.0}, "contextual_share 1.0"),
        ("vispruner", {"important_share": -0.1}, "important_share -0.1"),
        ("scope", {"alpha": -1.0}, "alpha -1.0"),
        ("evtp_iv_like", {"spatial_weight": float("inf")}, "spatial_weight inf"),
        ("holov", {"stretches": 0}, "stretches 0"),
        ("prumerge_plus", {"neighbours": -1}, "neighbours -1"),
        ("reverse", {"of": "litelvlm"}, "reverse needs a method that ranks by one score"),
        ("reverse", {"of": "value_nrm"}, "unknown pruner 'value_nrm'; did you mean 'value_norm'"),
    ],
)
def test_wrong_names_and_values(name, options, words):
    with pytest.raises(ValueError, match=words):
        get_pruner(name, **options)


def test_provenance_is_in_the_name():
    assert str(get_pruner("random", seed=4)) == "Random(order='native', positions='contiguous', seed=4)"
    assert get_pruner("reverse", of="value_norm").config() == {
        "name": "reverse",
        "order": "native",
        "positions": "contiguous",
        "of": {"name": "value_norm", "order": "native", "positions": "contiguous"},
    }
