"""What every rendered world keeps to: determinism, speed, refusals, and scenes that never drift."""

import hashlib

import numpy as np
import pytest

from litelvlm.data.worlds import canvas
from litelvlm.data.worlds.pictograms.scenes import sample_scene as sample_pictograms
from litelvlm.data.worlds.shapes.scenes import sample_scene as sample_shapes

every_world = pytest.mark.parametrize("sample_scene", [sample_pictograms, sample_shapes])


@every_world
def test_same_seed_same_scene_and_other_seed_other_scene(sample_scene):
    first, again, other = sample_scene(7), sample_scene(7), sample_scene(8)
    assert np.array_equal(first.image, again.image)
    assert np.array_equal(first.masks, again.masks)
    assert (first.objects, first.expressions) == (again.objects, again.expressions)
    assert first.objects != other.objects


@every_world
def test_a_scene_without_a_layout_names_its_seed(sample_scene, monkeypatch):
    monkeypatch.setattr(canvas, "MAX_LAYOUTS", 0)
    with pytest.raises(RuntimeError, match="no layout of level 'easy' found for seed 7;"):
        sample_scene(7)


@every_world
def test_unknown_level_and_negative_seed_are_refused(sample_scene):
    with pytest.raises(ValueError, match=r"unknown level 'esay'.*easy"):
        sample_scene(0, "esay")
    with pytest.raises(ValueError, match="seed is -1"):
        sample_scene(-1)


@pytest.mark.parametrize(
    ("sample_scene", "level", "digest"),
    [
        (sample_shapes, "easy", "892fab3abc11db6c"),
        (sample_shapes, "medium", "9bc576d584f18780"),
        (sample_shapes, "hard", "06119a5c481ab9d5"),
        (sample_pictograms, "easy", "99116f1bfb232fc9"),
        (sample_pictograms, "medium", "d9eb21ea85b71406"),
        (sample_pictograms, "hard", "8775de464c31d067"),
    ],
)
def test_generators_have_not_drifted(sample_scene, level, digest):
    # Trained weights belong to these scenes; a changed digest means that they must be trained
    # again.
    content = hashlib.sha256()
    for seed in range(20):
        scene = sample_scene(seed, level)
        sentences = [f"{expression.target} {expression.sent}" for expression in scene.expressions]
        content.update(repr((sentences, scene.masks.sum(axis=(1, 2)).tolist())).encode())
    assert content.hexdigest()[:16] == digest
