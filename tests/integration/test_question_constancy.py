"""How much of all question embeddings is one constant: what a text can say depends on the rest."""

import pytest
import torch

from litelvlm import load_model
from litelvlm.data.worlds.pictograms.categories import CATEGORIES
from litelvlm.training.trainings.towers import question_constancy
from tests.glamm_parts import question

PHRASES = {
    "embedded-pictograms": [f"the {name}" for name in CATEGORIES],
    "embedded-shapes": [
        f"{colour} {shape}"
        for colour in ("red", "green", "blue", "yellow", "purple", "white")
        for shape in ("circle", "square", "triangle", "cross")
    ],
}


def constancy(name, pattern):
    """Length of the mean unit embedding of a miniature's phrases in one pattern."""
    with torch.inference_mode():
        texts = [pattern.format(phrase) for phrase in PHRASES[name]]
        return question_constancy(load_model(name).tower.text(texts).text_embeds)


def test_questions_about_shapes_are_nearly_one_constant_to_the_shapes_miniature():
    # Its captions never held the words of the questions, which is why studies of its texts find
    # nothing. Captions of the same single objects, in words that it knows, lie well below.
    assert constancy("embedded-shapes", question("{}", 0)) > 0.9
    assert constancy("embedded-shapes", "a photo of a {}") < 0.8


@pytest.mark.parametrize("number", [0, 7, 15])
def test_questions_about_pictograms_differ_more_to_the_pictogram_miniature(number):
    # Its captions held every question. Names with their article still differ more: half of each
    # question is one constant.
    name = "embedded-pictograms"
    asked, bare = constancy(name, question("{}", number)), constancy(name, "{}")
    assert bare < asked < 0.82
