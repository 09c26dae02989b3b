"""Probes of the image tower: known answers on small towers, and nothing of them left behind."""

import copy

import pytest
import torch
from torch.nn import functional
from towers import LAYERS, SIDE, SIZE, assert_near, huggingface_tower, open_clip_tower, stopped

from litelvlm.analysis.studies.mechanism.probes import READOUTS
from litelvlm.clip.probes import last_blocks as probes
from litelvlm.clip.probes.registers import (
    moved_to_last_token,
    register_neurons,
    with_spare_register,
)

GRID = (SIDE, SIDE)


@pytest.fixture(scope="module", params=[huggingface_tower, open_clip_tower])
def tower(request):
    return request.param()


@pytest.fixture(scope="module")
def pixels():
    return torch.randn(1, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1))


def patches_of(tower, states):
    return tower.project(states[:, 1:])


def hooks(tower):
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in tower.modules())


@torch.inference_mode()
def test_the_two_branches_make_up_a_block(tower, pixels):
    image = tower.image(pixels)
    for index, layer in enumerate(tower.image_blocks):
        entering = image.states[index]
        query, keys, values = tower.qkv(entering, index)
        mixed = probes.mix(probes.attention_weights(query, keys, tower.n_heads), values)
        states = entering + layer.attention_output(mixed)
        assert_near(states + layer.feed_forward(states), tower.block(index, entering))


@torch.inference_mode()
def test_identity_attention_gives_each_token_its_own_value(tower, pixels):
    image = tower.image(pixels)
    layer, (_, _, values) = tower.image_blocks[-1], image.last_qkv
    # A softmax over one key is 1: each token alone in a sequence attends to itself.
    alone = image.states[-1].reshape(-1, 1, values.shape[-1])
    expected = tower.block(-1, alone).reshape(image.states[-1].shape)
    assert_near(probes.identity_attention(image), patches_of(tower, expected))
    assert_near(probes.value_path(image), patches_of(tower, layer.attention_output(values)))


@torch.inference_mode()
def test_self_attentions_are_those_of_torch(tower, pixels):
    image, layer = tower.image(pixels), tower.image_blocks[-1]
    query, keys, values = (x.unflatten(-1, (2, 16)).transpose(1, 2) for x in image.last_qkv)

    def attend(by):
        return functional.scaled_dot_product_attention(by, by, values).transpose(1, 2).flatten(-2)

    assert_near(probes.clear_clip(image), patches_of(tower, layer.attention_output(attend(query))))
    states = image.states[-1] + layer.attention_output(attend(query) + attend(keys))
    assert_near(probes.s_clip(image), patches_of(tower, states + layer.feed_forward(states)))


@torch.inference_mode()
def test_surgery_collects_value_attention_beside_the_original_path(tower, pixels):
    image, layers = tower.image(pixels), tower.image_blocks
    path = image.states[LAYERS - 2]
    for index in (LAYERS - 2, LAYERS - 1):
        values = tower.qkv(image.states[index], index)[2].unflatten(-1, (2, 16)).transpose(1, 2)
        mixed = (
            functional.scaled_dot_product_attention(values, values, values)
            .transpose(1, 2)
            .flatten(-2)
        )
        path = path + layers[index].attention_output(mixed)
    assert_near(probes.surgery(image, blocks=2), patches_of(tower, path))
    assert torch.equal(probes.surgery(image, blocks=99), probes.surgery(image, blocks=LAYERS))


def test_outliers_stand_above_the_median_by_deviations():
    norms = torch.tensor([1.0, 2.0, 3.0, 4.0, 100.0])
    # Median 3, absolute deviations 2, 1, 0, 1, 97 with median 1: the cut is at 3 + 5.
    assert probes.norm_outliers(norms).tolist() == [False] * 4 + [True]
    assert probes.norm_outliers(norms, deviations=0.5).tolist() == [False] * 3 + [True] * 2
    assert probes.norm_outliers(norms, cutoff=1.5).tolist() == [False] + [True] * 4


def test_outliers_become_the_mean_of_neighbours_that_are_none():
    tokens = torch.arange(9.0)[:, None] * torch.tensor([[1.0, 10.0]])
    outliers = torch.zeros(9, dtype=torch.bool)
    outliers[[4, 0]] = True
    smooth = probes.neighbour_mean(tokens, outliers, (3, 3))
    # The middle's neighbours but the corner: (1 + 2 + 3 + 5 + 6 + 7 + 8) / 7; the corner's: (1 + 3)
    # / 2.
    assert_near(smooth[4], torch.tensor([32 / 7, 320 / 7]))
    assert_near(smooth[0], torch.tensor([2.0, 20.0]))
    assert torch.equal(smooth[~outliers], tokens[~outliers])
    assert torch.equal(
        probes.neighbour_mean(tokens, torch.ones(9, dtype=torch.bool), (3, 3)), tokens
    )


def test_a_direction_is_projected_out():
    vectors, direction = torch.tensor([[3.0, 4.0], [0.0, 2.0]]), torch.tensor([0.0, 5.0])
    assert_near(
        probes.without_direction(vectors, direction), torch.tensor([[3.0, 0.0], [0.0, 0.0]])
    )
    assert torch.equal(probes.without_direction(vectors, torch.zeros(2)), vectors)


@torch.inference_mode()
def test_the_neuron_that_writes_the_outliers_is_found(tower, pixels):
    assert register_neurons(tower, []) == {}
    planted = copy.deepcopy(tower)
    mlp = planted.image_blocks[1].module.mlp
    first, second = (mlp.c_fc, mlp.c_proj) if hasattr(mlp, "c_fc") else (mlp.fc1, mlp.fc2)
    first.weight[5] *= 50
    second.weight[:, 5] *= 50
    assert register_neurons(planted, [pixels], count=1, deviations=0.5) == {1: (5,)}
    found = register_neurons(planted, [pixels], count=4, deviations=0.5)
    assert sum(map(len, found.values())) == 4
    assert max(found) < LAYERS - 1


@torch.inference_mode()
def test_moved_neurons_leave_their_tokens_for_the_last_one(tower):
    layer = tower.image_blocks[1].module
    seen = []
    last = layer.mlp.c_proj if hasattr(layer.mlp, "c_proj") else layer.mlp.fc2
    states = torch.randn(1, 6, 32, generator=torch.Generator().manual_seed(2))
    handle = last.register_forward_pre_hook(lambda _m, args: seen.append(args[0]))
    tower.block(1, states)
    handle.remove()
    with moved_to_last_token(tower, {1: (5, 7)}):
        handle = last.register_forward_pre_hook(lambda _m, args: seen.append(args[0]))
        tower.block(1, states)
        handle.remove()
    before, after = seen
    others = [n for n in range(48 if "fc2" in dir(layer.mlp) else 128) if n not in (5, 7)]
    assert torch.equal(after[..., others], before[..., others])
    assert torch.equal(after[0, -1, [5, 7]], before[0, :, [5, 7]].amax(0))
    assert after[0, :-1, [5, 7]].abs().max() == 0


@torch.inference_mode()
def test_probes_leave_weights_hooks_and_outputs_as_they_were(tower, pixels):
    weights = {name: value.clone() for name, value in tower.state_dict().items()}
    before, n_hooks = tower.image(pixels).image_embeds, hooks(tower)
    image = tower.image(pixels)
    for readout in READOUTS.values():
        assert readout(image).shape == (1, SIDE**2, 24)
    assert with_spare_register(tower, pixels, {1: (5,)}).shape == (1, SIDE**2, 24)
    with pytest.raises(RuntimeError), moved_to_last_token(tower, {0: (1,), 2: (3,)}):
        tower.block(0, torch.zeros(1, 5, 7))  # of another width
    with pytest.raises(IndexError), moved_to_last_token(tower, {0: (1,), 99: (3,)}):
        pass
    register_neurons(tower, [pixels])
    with pytest.raises(RuntimeError, match="stop"), stopped(tower.image_blocks[1].module):
        register_neurons(tower, [pixels])
    assert hooks(tower) == n_hooks
    assert torch.equal(tower.image(pixels).image_embeds, before)
    assert all(torch.equal(value, weights[name]) for name, value in tower.state_dict().items())
