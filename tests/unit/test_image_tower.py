"""The image tower as the first stage trains it, against the library's own forward."""

import shutil

import pytest
import torch

from litelvlm.models.glamm.preprocess import CLIP_MEAN, CLIP_STD
from litelvlm.training.arrays import normalised
from litelvlm.training.clip_parts import new_clip
from litelvlm.training.glamm.image_tower import image_reader, read_images
from litelvlm.training.glamm.sizes import CLIP_SIZE, clip_config

WORDS = 50


@pytest.fixture(scope="module")
def clip():
    torch.manual_seed(0)
    return new_clip(clip_config(WORDS)).double()


@pytest.fixture(scope="module")
def pixels():
    generator = torch.Generator().manual_seed(1)
    shape = (2, CLIP_SIZE, CLIP_SIZE, 3)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)


def library_forward(clip, pixels):
    images = normalised(pixels.float() / 255, CLIP_MEAN, CLIP_STD).double()
    out = clip.vision_model(images, output_hidden_states=True)
    return out.hidden_states[-2][:, 1:], clip.visual_projection(out.pooler_output)


def gradients(clip, found):
    """Of a loss that reads every patch and both images, by parameter; None where nothing flows."""
    clip.zero_grad(set_to_none=True)
    patches, embeds = found
    (patches.square().mean() + embeds.sin().sum()).backward()
    return {name: p.grad for name, p in clip.named_parameters() if name.startswith("vis")}


def test_states_are_those_of_the_library(clip, pixels):
    with torch.no_grad():
        found, wanted = read_images(clip, pixels), library_forward(clip, pixels)
    for ours, theirs in zip(found, wanted, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)  # pixels are float32


def test_gradients_are_those_of_the_library(clip, pixels):
    ours = gradients(clip, read_images(clip, pixels))
    theirs = gradients(clip, library_forward(clip, pixels))
    # That the last block's queries are those of CLS alone must lose nothing.
    assert ours["vision_model.encoder.layers.4.self_attn.q_proj.weight"].abs().max() > 1e-3
    for name, gradient in theirs.items():
        torch.testing.assert_close(ours[name], gradient, rtol=1e-4, atol=1e-5, msg=name)


@pytest.mark.parametrize(("steps", "compiler"), [(199, "/usr/bin/g++"), (1500, None)])
def test_short_trainings_and_machines_without_a_compiler_do_not_compile(
    monkeypatch, steps, compiler
):
    monkeypatch.setattr(shutil, "which", lambda name: compiler)
    assert image_reader(steps) is read_images


def test_a_long_training_compiles_the_same_function(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: "/usr/bin/g++")
    compiled = []

    def compile_nothing(function, **options):
        compiled.append(function)
        return function

    monkeypatch.setattr(torch, "compile", compile_nothing)
    assert image_reader(200) is read_images
    assert compiled == [read_images]
