"""Procedural scenes: deterministic, exact masks, and sentences that mean one object only."""

import numpy as np
import pytest
from world_sentences import check_sentences

from litelvlm.data.worlds.shapes.objects import COLOURS, LEVELS
from litelvlm.data.worlds.shapes.scenes import sample_scene

SEEDS = range(300)


@pytest.fixture(scope="module", params=list(LEVELS))
def scenes(request):
    return request.param, [sample_scene(seed, request.param) for seed in SEEDS]


def read_phrase(words):
    """Attributes named by a noun phrase; written apart from the generator, from the words alone."""
    known = {
        "shape": {"circle", "square", "triangle", "cross", "star", "ring", "diamond"},
        "colour": {"red", "green", "blue", "yellow", "purple", "white", "orange", "cyan"},
        "size": {"small", "large"},
        "texture": {"plain", "striped", "dotted"},
    }
    wanted = {}
    for word in words:
        (field,) = [name for name, values in known.items() if word in values]
        assert field not in wanted
        wanted[field] = word
    return wanted


def fitting(words, objects):
    wanted = read_phrase(words).items()
    known = {i for i, o in enumerate(objects) if all(getattr(o, f) == v for f, v in wanted)}
    return known, known


def test_every_sentence_means_exactly_its_target_by_an_independent_reading(scenes):
    check_sentences(scenes[1], fitting)


def test_circle_mask_is_the_disc_of_pixel_centres():
    found = 0
    for seed in range(60):
        scene = sample_scene(seed)
        rows, columns = np.indices(scene.image.shape[:2]) + 0.5
        for thing, mask in zip(scene.objects, scene.masks, strict=True):
            if thing.shape != "circle" or thing.depth != 0:  # the nearest object is never occluded
                continue
            disc = np.hypot(columns - thing.centre[0], rows - thing.centre[1]) <= thing.diameter / 2
            assert np.array_equal(mask, disc)
            found += 1
    assert found >= 5


def test_pixels_have_the_named_colour():
    names = list(COLOURS)[:6]
    palette = np.array([COLOURS[name] for name in names], dtype=float)
    palette /= np.linalg.norm(palette, axis=1, keepdims=True)
    for seed in range(60):
        scene = sample_scene(seed)
        for thing, mask in zip(scene.objects, scene.masks, strict=True):
            mean = scene.image[mask].mean(axis=0)
            nearest = names[int(np.argmax(palette @ (mean / np.linalg.norm(mean))))]
            assert nearest == thing.colour, (seed, thing)


def test_targets_and_anchors_lie_inside_the_crop(scenes):
    _, drawn = scenes
    outside = 0
    for scene in drawn:
        height, width = scene.image.shape[:2]
        top, left = (height - 168) // 2, (width - 168) // 2
        inside = scene.masks[:, top : top + 168, left : left + 168].sum(
            axis=(1, 2)
        ) / scene.masks.sum(axis=(1, 2))
        assert all(inside[expression.target] >= 0.25 for expression in scene.expressions)
        outside += int((inside < 0.25).sum())
    assert outside > 0  # other objects may be invisible to CLIP
