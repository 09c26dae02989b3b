"""Every method on odd cues: constant, tied, huge, tiny, of one token or of many."""

import torch
from hypothesis import strategies as st
from pruner_cases import Blocks, tensors

from litelvlm.pruning import Cues, get_pruner
from tests.method_cases import BEFORE

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
