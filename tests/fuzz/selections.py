"""Every method on odd cues: constant, tied, huge, tiny, of one token or of many."""

import torch
from hypothesis import strategies as st
from layer_views import View
from pruner_cases import Blocks, tensors

from litelvlm.pruning import Cues, get_pruner, list_pruners
from tests.method_cases import BEFORE, INSIDE

SHAPES = ("random", "constant", "zero", "tied", "huge", "tiny", "one_hot")
SIDES = st.integers(1, 7)
BEFORE_CASES = st.tuples(
    st.integers(0, len(BEFORE) - 1),
    SIDES,
    SIDES,
    st.integers(1, 49),
    st.integers(1, 3),
    st.integers(0, 999),
    st.sampled_from(SHAPES),
).map(list)
PROBABILITIES = ("cls_attention", "coverage", "colours", "box")
LAYER_TOKENS = 20
INSIDE_CASES = st.tuples(
    st.integers(0, len(INSIDE) - 1),
    st.integers(1, LAYER_TOKENS),
    st.integers(0, 999),
    st.sampled_from(SHAPES),
).map(list)


def shaped(values: torch.Tensor, shape: str, positive: bool) -> torch.Tensor:
    """Random values made odd; what is a probability stays between 0 and 1."""
    if shape == "constant":
        return torch.full_like(values, 0.25)
    if shape == "zero":
        return torch.zeros_like(values)
    if shape == "tied":
        return (values * 2).round() / 2 if not positive else (values * 8).round() / 8
    if shape in ("huge", "tiny") and not positive:
        return values * (1e18 if shape == "huge" else 1e-18)
    if shape == "one_hot":
        found = torch.zeros_like(values)
        found.view(-1)[0] = 1.0
        return found
    return values


def check_before(case: list) -> None:
    """The exact count, each token once, the same choice twice, in any case a refusal in words."""
    which, rows, columns, budget, n_texts, key, shape = case
    name, options = BEFORE[which % len(BEFORE)]
    n = rows * columns
    budget = 1 + (budget - 1) % n
    found = tensors(key, n_texts, grid=(7, 7))
    found = {what: shaped(values, shape, what in PROBABILITIES) for what, values in found.items()}
    found = {
        what: values[:n] if values.shape[0] == 49 else values for what, values in found.items()
    }
    embeds = torch.cat([found["cls_token"][None], found["patch_tokens"]])
    pruner = get_pruner(name, **options)

    def chosen():
        cues = Cues(found, (rows, columns), key, vit=lambda: Blocks(embeds, grid=(rows, columns)))
        try:
            return pruner.select(cues, budget)
        except ValueError as error:
            assert len(str(error)) < 500
            return None

    one, two = chosen(), chosen()
    assert (one is None) == (two is None)
    if one is None:
        return
    kept = [i for i in one.indices.tolist() if i != -1]
    assert len(one) == budget, (name, options)
    assert len(kept) == len(set(kept))
    assert all(0 <= i < n for i in kept)
    assert torch.equal(one.indices, two.indices)
    assert torch.equal(one.positions, two.positions)
    assert all(0 <= p < one.span for p in one.positions[0].tolist())
    if one.tokens is None:
        assert len(kept) == budget
    elif shape != "huge":
        assert torch.isfinite(one.tokens).all(), (name, options)
        assert torch.equal(one.tokens, two.tokens)


def check_inside(case: list) -> None:
    """A drop inside the language model keeps some tokens, each once, the same ones twice."""
    which, left, key, shape = case
    name, options = INSIDE[which % len(INSIDE)]
    made = torch.Generator().manual_seed(key)
    length = LAYER_TOKENS + 7
    attention = torch.rand(3, 6, length, generator=made).softmax(-1)
    angles = torch.rand(length, 4, generator=made)
    plain = {
        "keys": torch.randn(length, 8, generator=made),
        "values": torch.randn(length, 2, 4, generator=made),
        "states": torch.randn(length, 8, generator=made),
        "hidden_states": torch.randn(length, 8, generator=made),
    }
    given = {what: shaped(values, shape, False) for what, values in plain.items()}
    given |= {
        "attention": shaped(attention, shape, True),
        "rotary": (angles.cos(), angles.sin()),
    }
    queries = (LAYER_TOKENS + 2, LAYER_TOKENS + 5)
    view = View(queries=queries, n_visual=LAYER_TOKENS, **given)
    pruner = get_pruner(name, **options)
    left = max(pruner.min_kept(LAYER_TOKENS), min(left, LAYER_TOKENS - 1))  # as every plan has it
    places = [pruner.reduce(view, view, left).places.tolist() for _ in range(2)]
    assert places[0] == places[1]
    kept = [place for place in places[0] if place != -1]
    assert len(kept) == len(set(kept)) <= left
    assert all(0 <= place < LAYER_TOKENS for place in kept)


def covered() -> set[str]:
    """Names of the methods that the two tables of cases hold."""
    return {name for name, _ in (*BEFORE, *INSIDE)} & set(list_pruners())
