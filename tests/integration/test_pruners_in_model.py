"""Every method through the shipped miniature.

The model computes the cues, and tokens are spliced into the language model.
"""

import pytest
import torch
from towers import open_clip_tower

from litelvlm import get_pruner, list_pruners
from litelvlm.clip.vit_view import ClipVitView
from litelvlm.pruning import LayerPruner, LayerTrace
from litelvlm.pruning.cue_table import SUBSTITUTES
from tests.glamm_parts import conversation
from tests.method_cases import BEFORE, CASES, parametrised

STAND_INS = {name for name, cls in list_pruners().items() if cls.needs & SUBSTITUTES}
"""Methods for models without CLIP's text."""
METHODS = dict.fromkeys(name for name, _ in BEFORE if name not in {"nuwa", *STAND_INS})
TALK = conversation(["the red circle", "the large square"])


@pytest.fixture(scope="module")
def coverage():
    """A referent of nine cells."""
    covered = torch.zeros(12, 12)
    covered[3:6, 4:7] = 1.0
    return covered.flatten()


@pytest.fixture(scope="module")
def cues(model, state, coverage):
    return model.cues(state, TALK, coverage=coverage, key=3)


@pytest.fixture(scope="module")
def unpruned(model, state):
    return model.ground([state], [TALK], [None])[0]


@parametrised([case for case in CASES if case[0] not in {"none", *STAND_INS}])
@torch.inference_mode()
def test_a_method_grounds_with_the_budget_it_was_given(model, state, cues, unpruned, name, options):
    pruner = get_pruner(name, **options)
    # Some schedules allow no small average in four layers.
    budget = max(40, pruner.smallest_budget(144, 4)) if isinstance(pruner, LayerPruner) else 40
    result = model.ground([state], [TALK], [pruner.select(cues, budget)])[0]
    assert result.logits.shape == unpruned.logits.shape
    assert torch.isfinite(result.logits).all()
    assert not torch.equal(result.logits, unpruned.logits)
    if isinstance(result.selection, LayerTrace):
        assert result.selection.counts == pruner.schedule(budget, 144, 4)
    else:
        assert len(result.selection) == budget


@pytest.mark.parametrize("name", METHODS)
@torch.inference_mode()
def test_every_preset_fills_the_budget(model, state, cues, name):
    for preset in ("faithful", *list_pruners()[name].presets, "gap"):
        selection = get_pruner(name, preset=preset).select(cues, 32)
        assert len(selection) == 32
        tokens = model.visual_tokens(state, selection)
        assert (tokens.shape, tokens.dtype) == ((32, model.llama.config.hidden_size), model.dtype)


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("positions", ["contiguous", "original"])
def test_keeping_every_token_is_the_unpruned_model_bit_for_bit(
    model, state, cues, unpruned, name, positions
):
    selection = get_pruner(name, order="raster", positions=positions).select(cues, 144)
    assert torch.equal(model.ground([state], [TALK], [selection])[0].logits, unpruned.logits)


def test_halves_of_blocks_make_whole_blocks(state):
    halves = ClipVitView(state.clip)
    states = halves.embed()
    for block in range(halves.n_blocks):
        states, keys = halves.attend(block, states, torch.zeros(len(states)))
        states = halves.feed(block, states)
        torch.testing.assert_close(states, state.clip.states[block + 1][0], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(keys[1:], state.clip.keys_mean[0], atol=1e-4, rtol=1e-4)


def test_a_smaller_image_is_what_the_tower_reads_of_it(model, state):
    view, tower = ClipVitView(state.clip), model.tower
    # All patches: nothing is resized, neither pixels nor positions.
    torch.testing.assert_close(view.embed_at(tower.grid), view.embed(), atol=1e-5, rtol=1e-5)
    # Half the side: the tower of transformers, given the smaller image by hand.
    pixels = torch.nn.functional.interpolate(
        state.clip.pixel_values, (84, 84), mode="bicubic", antialias=True
    )
    vision = tower.clip.vision_model(
        pixels, output_hidden_states=True, interpolate_pos_encoding=True
    )
    cues = model.cues(state, TALK)
    chosen = get_pruner("image_downsampling").select(cues, 36)
    wanted = vision.hidden_states[-2][0, 1:]
    torch.testing.assert_close(chosen.tokens, wanted, atol=1e-4, rtol=1e-4)
    assert model.visual_tokens(state, chosen).shape == (36, model.llama.config.hidden_size)


def test_a_bias_weighs_keys_like_copies_of_them(state):
    # log 2 on the last key is that key standing there twice.
    halves = ClipVitView(state.clip)
    states = halves.embed()
    bias = torch.zeros(len(states))
    bias[-1] = torch.tensor(2.0).log()
    once, _ = halves.attend(0, states, bias)
    twice, _ = halves.attend(0, torch.cat([states, states[-1:]]), torch.zeros(len(states) + 1))
    torch.testing.assert_close(once, twice[:-1], atol=1e-5, rtol=1e-4)


def test_tokens_are_not_merged_inside_another_familys_tower(state):
    other = type(state.clip)(open_clip_tower(), state.clip.states, state.clip.pixel_values)
    with pytest.raises(ValueError, match="inside a Hugging Face CLIP tower only"):
        ClipVitView(other)


def test_key_norm_is_the_length_of_the_keys_whose_mean_is_a_cue(model, state):
    keys = model.tower.qkv(state.clip.states[-2], block=-2)[1][0, 1:]
    cues = model.cues(state, TALK)
    torch.testing.assert_close(cues.get("key_norm"), (keys**2).sum(dim=-1).sqrt())
    heads = keys.unflatten(-1, (model.tower.n_heads, -1))
    torch.testing.assert_close(cues.get("keys_mean"), heads.mean(dim=1))


def test_colours_and_late_states_are_what_they_say(model, state):
    assert state.clip.colours.shape == (1, 144, 3)
    pixels = state.clip.pixel_values[0] * torch.tensor(model.tower.preprocessing.std)[:, None, None]
    pixels = pixels + torch.tensor(model.tower.preprocessing.mean)[:, None, None]
    # Patch 13 is row 1, column 1: pixels 14 to 27 both ways.
    patch = pixels[:, 14:28, 14:28].mean(dim=(1, 2))
    torch.testing.assert_close(state.clip.colours[0, 13], patch, atol=1e-5, rtol=1e-5)
    # Of 5 blocks the outputs of the third, fourth and last.
    late = torch.stack(
        [state.clip.states[3], state.clip.states[4], state.clip.last_hidden_state]
    ).mean(dim=0)
    torch.testing.assert_close(state.clip.late_states, late[:, 1:])


@pytest.mark.parametrize("name", sorted(STAND_INS))
def test_a_stand_in_for_clip_is_refused_where_clip_is(model, picture, name):
    with pytest.raises(ValueError, match="which 'embedded' of family 'glamm' cannot give"):
        model.segment(picture, "the dog", name, budget=8)
