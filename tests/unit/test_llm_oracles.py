"""Oracles that ask the language model first: scores by hand from given signals."""

import pytest
import torch

from litelvlm.pruning import Cues, get_pruner
from litelvlm.pruning.methods.llm_attention import layer_slice

# Four tokens, four layers.
SEEN = torch.tensor(
    [[0.4, 0.0, 0.0, 0.0], [0.0, 0.3, 0.1, 0.0], [0.0, 0.1, 0.2, 0.9], [0.2, 0.1, 0.1, 0.3]]
)


@pytest.mark.parametrize(
    ("layers", "scores", "kept"),
    [
        # Layers 1 and 2 of four: (.3 + .1) / 2, (.1 + .2) / 2, (.1 + .1) / 2.
        ("middle", [0.0, 0.2, 0.15, 0.1], [1, 2]),
        # Sums .4, .4, 1.2, .7, divided by four.
        ("mean", [0.1, 0.1, 0.3, 0.175], [2, 3]),
        (0, [0.4, 0.0, 0.0, 0.2], [0, 3]),
        (3, [0.0, 0.0, 0.9, 0.3], [2, 3]),
        # A share of the depth: .8 of four layers is layer 3.
        (0.8, [0.0, 0.0, 0.9, 0.3], [2, 3]),
    ],
)
def test_attention_by_hand(layers, scores, kept):
    cues = Cues.from_tensors(llm_attention=SEEN)
    pruner = get_pruner("llm_attention", layers=layers)
    assert pruner.score(cues).tolist() == pytest.approx(scores)
    assert pruner.select(cues, 2).indices.tolist() == kept


def test_the_query_token_chooses_the_rows():
    cues = Cues.from_tensors(llm_attention=SEEN, llm_prompt_attention=SEEN.flip(0))
    kept = [
        get_pruner("llm_attention", layers=0, query_token=token).select(cues, 1).indices.tolist()
        for token in ("seg", "last_prompt")
    ]
    assert kept == [[0], [3]]


def test_middle_layers_are_10_to_20_of_32_and_never_none():
    assert layer_slice("middle", 32) == slice(10, 21)
    # 10 / 32 and 21 / 32 of 24 layers are 7.5 and 15.75, of 40 are 12.5 and 26.25; layers that are
    # cut count.
    assert [layer_slice("middle", n) for n in (24, 40)] == [slice(7, 16), slice(12, 27)]
    assert [layer_slice("middle", n) for n in (1, 2, 3)] == [slice(0, 1), slice(0, 2), slice(0, 2)]


def test_gradient_times_input_by_hand():
    # |1 * 2| + |-1 * 3| = 5, |2 * 1| + 0 = 2, 0 (a large gradient of a zero token), |-4 * 1| + |4 *
    # -1| = 8.
    cues = Cues.from_tensors(
        llm_gradient=torch.tensor([[1.0, -1.0], [2.0, 5.0], [9.0, 9.0], [-4.0, 4.0]]),
        projected=torch.tensor([[2.0, 3.0], [1.0, 0.0], [0.0, 0.0], [1.0, -1.0]]),
    )
    pruner = get_pruner("llm_gradient")
    assert pruner.score(cues).tolist() == [5.0, 2.0, 0.0, 8.0]
    assert pruner.select(cues, 3).indices.tolist() == [0, 1, 3]


def test_blocks_are_kept_whole_until_the_budget_cuts_one():
    # Two blocks of two columns each: the right one (2, 3, 6, 7) matters more.
    cues = Cues(
        {"block_importance": torch.tensor([0.1, 0.1, 0.5, 0.5, 0.1, 0.1, 0.5, 0.5])}, (2, 4)
    )
    pruner = get_pruner("block_loo")
    assert [pruner.select(cues, n).indices.tolist() for n in (2, 4, 5)] == [
        [2, 3],
        [2, 3, 6, 7],
        [0, 2, 3, 6, 7],
    ]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"layers": "late"}, "unknown layers 'late'"),
        (
            {"layers": -1},
            "layers -1 is not allowed; give a layer from 0, a share of the depth below 1, 'middle'",
        ),
        ({"layers": 1.0}, "layers 1.0 is not allowed"),
        ({"layers": True}, "layers True is not allowed"),
        ({"query_token": "last"}, "unknown query_token 'last'"),
    ],
)
def test_wrong_fields_are_refused(options, words):
    with pytest.raises(ValueError, match=words):
        get_pruner("llm_attention", **options)


def test_layers_that_the_model_lacks_are_refused():
    with pytest.raises(ValueError, match="layers 4 does not exist; the language model has 0 to 3"):
        get_pruner("llm_attention", layers=4).score(Cues.from_tensors(llm_attention=SEEN))


@pytest.mark.parametrize("name", ["llm_attention", "llm_gradient", "block_loo"])
def test_signals_have_to_be_given(name):
    with pytest.raises(
        ValueError, match=r"cue '(llm_attention|llm_gradient|block_importance)' .* was not given"
    ):
        get_pruner(name).select(Cues({}, (2, 2)), 2)
