"""Counts of a pruned model are those of its last call."""

import pytest
import torch

from litelvlm import prune

TEXT, WORD = {"input_ids": torch.tensor([[1, 3, 4, 5]])}, {"input_ids": torch.tensor([[7]])}


def stop(ids, scores):
    """A processor that fails half way."""
    raise RuntimeError("stopped")


CALLS = {
    "text": lambda pruned, one: pruned.forward(**TEXT),
    "generated text": lambda pruned, one: pruned.generate(**TEXT, max_new_tokens=2),
}
FAILURES = {
    "placeholders": (ValueError, lambda pruned, one: pruned.forward(**{**one, **TEXT})),
    "an argument twice": (TypeError, lambda pruned, one: pruned.forward(one["input_ids"], **one)),
    "an unknown argument": (ValueError, lambda pruned, one: pruned.generate(**one, max_token=2)),
    "half way": (
        RuntimeError,
        lambda pruned, one: pruned.generate(**one, max_new_tokens=2, logits_processor=[stop]),
    ),
}


@pytest.fixture
def pruned(llava, one):
    """A pruned model whose last call read one image."""
    made = prune(llava, "divprune", 9)
    made.forward(**one)
    assert (made.token_counts, made.layer_counts) == ([9], [[9] * 3])
    return made


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_call_without_images_counts_nothing(pruned, one, call):
    call(pruned, one)
    assert (pruned.token_counts, pruned.layer_counts, pruned.last) == ([], [], None)


@pytest.mark.parametrize(("kind", "call"), FAILURES.values(), ids=FAILURES)
def test_a_call_that_fails_counts_nothing(pruned, one, kind, call):
    with pytest.raises(kind):
        call(pruned, one)
    assert (pruned.token_counts, pruned.layer_counts, pruned.last) == ([], [], None)


def test_a_pass_behind_a_pruned_prompt_counts_the_tokens_of_its_cache(pruned, one):
    cache = pruned.forward(**one, use_cache=True).past_key_values
    pruned.forward(**TEXT)
    pruned.forward(**WORD, past_key_values=cache)
    assert pruned.token_counts == [9]


def test_counts_between_layers_are_those_of_the_last_call(llava, one):
    pruned = prune(llava, "fastv", 20)
    with pruned:
        llava.generate(**one, max_new_tokens=2)
        assert pruned.layer_counts == [pruned.layers.images[0].counts]
        llava(**TEXT)
    assert (pruned.token_counts, pruned.layer_counts, pruned.layers) == ([], [], None)
