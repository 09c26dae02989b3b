"""Captions say what is there; their near misses say something else."""

from collections import Counter

import numpy as np

from litelvlm.training.worlds import WORLDS
from litelvlm.training.worlds.shapes import caption_pair
from tests.glamm_parts import QUESTIONS

OBJECTS = [
    ["circle", "red", "small", "plain"],
    ["square", "blue", "large", "plain"],
    ["circle", "green", "large", "striped"],
]


def phrases(caption: str) -> Counter[str]:
    body = caption.removesuffix(" in this image")
    for opening in ("a photo of ", "an image with ", "a picture of ", "there is "):
        body = body.removeprefix(opening)
    words = [p.removeprefix("a ").split() for p in body.split(" and ")]
    return Counter(" ".join(w for w in words_ if w not in ("small", "large")) for words_ in words)


def test_caption_names_every_object_and_the_near_miss_differs():
    truth = Counter(["red circle", "blue square", "striped green circle"])
    for seed in range(200):
        caption, wrong = caption_pair(OBJECTS, np.ones(3), (), np.random.default_rng(seed))
        assert phrases(caption) == truth
        assert phrases(wrong) != truth
        assert sum(phrases(wrong).values()) == 3


def test_objects_outside_the_crop_are_left_out():
    caption, _ = caption_pair(OBJECTS, np.array([1.0, 0.1, 0.2]), (), np.random.default_rng(0))
    assert phrases(caption) == Counter(["red circle"])


def test_expressions_come_in_as_written():
    said = [("the leftmost circle", 0, "place")]
    captions = [
        caption_pair(OBJECTS, np.ones(3), said, np.random.default_rng(s))[0] for s in range(100)
    ]
    share = np.mean(["the leftmost circle" in c for c in captions])
    assert 0.15 < share < 0.45  # drawn with probability 0.3


DOGS = {
    "objects": [["dog", "natural", "large"], ["traffic light", "red", "small"]],
    "expressions": [("the leftmost dog", 0, "place")],
}


def pictogram_captions(seen, world=WORLDS["pictograms"]):
    return [world.captions(DOGS, np.array(seen), np.random.default_rng(s))[0] for s in range(600)]


def test_pictogram_captions_name_every_object_seen_or_say_an_expression():
    captions = pictogram_captions([1.0, 1.0])
    both = ["dog" in c and "traffic light" in c for c in captions]
    said = ["leftmost dog" in c for c in captions]
    assert 0.05 < np.mean(said) < 0.15
    assert np.array_equal(both, ~np.array(said))
    assert any("red traffic light" in c for c in captions)
    assert not any("natural" in c for c in captions)


def test_pictogram_captions_hold_every_question_of_the_suite():
    captions = " | ".join(pictogram_captions([1.0, 0.1]))
    for question in QUESTIONS:
        before, after = question.split("{}")
        assert before in captions
        assert after in captions
    assert "traffic light" not in captions  # hardly inside the crop
