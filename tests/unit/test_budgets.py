"""Budgets are refused before any tensor is touched, with the value, the range and the way out."""

import numpy as np
import pytest
import torch

from litelvlm.pruning import Cues, check_budget, get_pruner, tokens_from_ratio


@pytest.mark.parametrize("budget", [1, 48, 144, np.int64(48), np.array(48), torch.tensor(48)])
def test_allowed(budget):
    assert check_budget(budget, 144) == int(budget)
    assert type(check_budget(budget, 144)) is int


@pytest.mark.parametrize(
    ("budget", "words"),
    [
        (0, ["budget 0", "1 to 144", "at least one"]),
        (-3, ["budget -3", "1 to 144", "at least one"]),
        (145, ["budget 145", "1 to 144", "budget=144"]),
        (48.0, ["budget 48.0", "1 to 144", "share of them between 0 and 1"]),
        (1.0, ["budget 1.0", "1 to 144", "share of them between 0 and 1"]),
        (0.0, ["budget 0.0", "between 0 and 1"]),
        (-0.5, ["budget -0.5", "between 0 and 1"]),
        (0.003, ["ratio 0.003 of 144 tokens keeps none"]),
        (True, ["budget True"]),
        ("48", ["budget '48'"]),
        (None, ["budget None"]),
        (float("nan"), ["budget nan"]),
        (torch.tensor([0.25, 0.5]), ["budget [0.25, 0.5] is neither"]),
    ],
)
def test_refused(budget, words):
    with pytest.raises(ValueError, match=r"budget|ratio") as error:
        check_budget(budget, 144)
    assert all(word in str(error.value) for word in words)


def test_shares_are_budgets_wherever_a_budget_is_taken():
    # A third of 9 tokens is 3; .4 of them is 3.6, rounded 4.
    cues = Cues({"cls_attention": torch.rand(9), "projected": torch.rand(9, 2)}, layout=(3, 3))
    assert check_budget(1 / 3, 9) == check_budget(np.float32(1 / 3), 9) == 3
    assert check_budget(torch.tensor(0.25), 144) == 36
    for name in ("fastervlm", "divprune", "random"):
        pruner = get_pruner(name)
        assert len(pruner.select(cues, 0.4)) == 4
        assert len(pruner.select(cues, 1 / 3)) == 3
    assert get_pruner("fastv").select(cues, 0.4).budget == 4
    assert get_pruner("fastv").schedule(1 / 3, 144, 4) == (144, 16, 16, 16)


# The official code's recorded failures on 36 tokens: an index error for 37 tokens and one text, a
# failed assertion for 39 and three texts, an empty image for 0.
@pytest.mark.parametrize(("n_texts", "budget"), [(1, 37), (3, 39), (1, 0)])
def test_official_failures_are_value_errors_before_any_cue_is_read(n_texts, budget):
    def explode() -> torch.Tensor:
        raise AssertionError(f"{n_texts} texts were read although the budget is wrong")

    cues = Cues({"text_embeds": explode, "patch_embeds": explode}, layout=(6, 6))
    with pytest.raises(
        ValueError, match=f"budget {budget} is not a whole number of tokens from 1 to 36"
    ):
        get_pruner("litelvlm").select(cues, budget)


def test_ratio():
    # DivPrune's published ratios of 576 tokens, and a half rounding upwards: 2.5 -> 3.
    assert [tokens_from_ratio(r, 576) for r in (0.333, 0.222, 0.111, 0.056, 1.0)] == [
        192,
        128,
        64,
        32,
        576,
    ]
    assert tokens_from_ratio(0.25, 10) == 3


@pytest.mark.parametrize("ratio", [0.0, -0.1, 1.5, float("nan"), float("inf")])
def test_ratio_outside(ratio):
    with pytest.raises(ValueError, match=r"not in \(0, 1\]"):
        tokens_from_ratio(ratio, 576)


def test_ratio_that_keeps_nothing():
    with pytest.raises(ValueError, match="keeps none"):
        tokens_from_ratio(0.0001, 576)
