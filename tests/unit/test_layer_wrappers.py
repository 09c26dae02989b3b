"""Methods inside the language model that hold another one: worked examples."""

import pytest
import torch
from layer_views import ATTENTION, View

from litelvlm.pruning import get_pruner


def test_layer_reverse_by_hand():
    # Token 5, mean of the heads: .15 .15 .15 .3. Of the three that tie the first two are the worst.
    view = View(ATTENTION)
    for inner in ("fastv", "pyramiddrop", "lvlm_csp_like"):
        assert get_pruner(inner).reduce(view, view, 1).places.tolist() == [3]
        assert get_pruner("layer_reverse", of=inner).reduce(view, view, 2).places.tolist() == [0, 1]
    # FastV looks at the layer before, PyramidDrop at its own, where token 6 sees .35 .05 .3 .0.
    own = View(ATTENTION, queries=(6,))
    assert get_pruner("layer_reverse", of="fastv").reduce(view, own, 3).places.tolist() == [0, 1, 2]
    reverse = get_pruner("layer_reverse", of="pyramiddrop")
    assert reverse.reduce(view, own, 2).places.tolist() == [1, 3]


def test_a_reversed_sparsevlm_recycles_the_worst_of_what_it_drops():
    # Scores of six tokens .1 .3 .05 .2 .25 .1, worst first 2 0 5 3 4 1. Of two tokens one is kept,
    # place 2, and of the other five floor(1.5) + 1 = 2 are averaged: 0 and 5.
    attention = torch.tensor([[[0.0, 0.1, 0.3, 0.05, 0.2, 0.25, 0.1, 0.0]]])
    view = View(attention, queries=(7,), n_visual=6, hidden_states=torch.arange(8.0)[:, None])
    kept = get_pruner("layer_reverse", of="sparsevlm").reduce(view, view, 2)
    assert kept.places.tolist() == [2]
    assert kept.weights.tolist() == [[0.5, 0, 0, 0, 0, 0.5]]
    assert kept.stand_for.tolist() == [0]


def test_the_add_on_keeps_what_sparsevlm_recycles():
    # As above, best first: 1 kept, 4 and 3 averaged. A third of three tokens is for coordinates.
    attention = torch.tensor([[[0.0, 0.1, 0.3, 0.05, 0.2, 0.25, 0.1, 0.0]]])
    cosine = torch.tensor([0.0, 0.1, 0.9, 0.2, 0.3, 0.4, 0.8, 0.0])[:, None]
    view = View(
        attention,
        queries=(7,),
        n_visual=6,
        hidden_states=torch.arange(8.0)[:, None],
        rotary=(cosine, torch.zeros_like(cosine)),
    )
    pruner = get_pruner("ivc_layer_add_on", of="sparsevlm", share=1 / 3)
    kept = pruner.reduce(view, view, 3)
    # Sines tie, so turns go 1 (cosine), 0 (sine), 5 ...: the best that is not kept is 0.
    assert kept.places.tolist() == [0, 1]
    assert kept.weights.tolist() == [[0, 0, 0, 0.5, 0.5, 0]]
    # SparseVLM needs 1 + 1 of six, which are what is left of three.
    assert (get_pruner("sparsevlm").min_kept(6), pruner.min_kept(6)) == (2, 3)


@pytest.mark.parametrize("name", ["layer_reverse", "ivc_layer_add_on"])
@pytest.mark.parametrize("inner", ["fastv", "pyramiddrop", "sparsevlm_plus"])
def test_wrappers_have_the_schedules_of_what_they_hold(name, inner):
    wrapper, held = get_pruner(name, of=inner), get_pruner(inner)
    for budget in (48, 100):
        assert wrapper.schedule(budget, 144, 4) == held.schedule(budget, 144, 4)
    matched = get_pruner(name, of=get_pruner(inner, preset="matched"))
    assert matched.schedule(32, 576, 32) == get_pruner(inner, preset="matched").schedule(
        32, 576, 32
    )
    assert wrapper.look_back == held.look_back
    assert wrapper.effective_query_token == held.effective_query_token
    with pytest.raises(
        ValueError, match=rf"{name} cannot average 32 of 576 .* with drops at earlier layers"
    ):
        wrapper.schedule(32, 576, 32)


@pytest.mark.parametrize("name", ["layer_reverse", "ivc_layer_add_on"])
def test_a_wrapper_says_how_the_method_it_holds_drops_earlier(name):
    with pytest.raises(
        ValueError, match=r"smallest budget is 45, or 1 .* \(of='pyramiddrop:matched'\)$"
    ):
        get_pruner(name, of="pyramiddrop").schedule(32, 144, 4)
    # What the message says is what can be asked for.
    matched = get_pruner(name, of="pyramiddrop:matched")
    assert matched == get_pruner(name, of=get_pruner("pyramiddrop", preset="matched"))
    assert matched.schedule(32, 144, 4) == get_pruner("pyramiddrop", preset="matched").schedule(
        32, 144, 4
    )
    around = get_pruner("ivc_layer_add_on", of=get_pruner(name, of="pyramiddrop"))
    with pytest.raises(ValueError, match=r"\(of='pyramiddrop:matched'\)$"):
        around.schedule(32, 144, 4)


def test_the_preset_of_a_held_method_is_checked():
    with pytest.raises(ValueError, match="unknown fastv preset 'match'; did you mean 'matched'"):
        get_pruner("layer_reverse", of="fastv:match")
    with pytest.raises(ValueError, match="unknown pruner 'fast'"):
        get_pruner("layer_reverse", of="fast:matched")
