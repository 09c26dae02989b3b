"""How much of all question embeddings is one constant: what a text can say depends on the rest."""

from pathlib import Path

import pytest
import torch

from litelvlm import load_model
from litelvlm.data.worlds.pictograms.categories import CATEGORIES
from litelvlm.training.trainings.towers import question_constancy
from tests.glamm_parts import QUESTIONS, question

PAGES = Path(__file__).parents[2] / "docs"
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


@pytest.mark.parametrize("number", range(len(QUESTIONS)))
def test_questions_about_pictograms_differ_more_to_the_pictogram_miniature(number):
    # Its captions held every question. Names with their article still differ more: half of each
    # question is one constant.
    name = "embedded-pictograms"
    asked, bare = constancy(name, question("{}", number)), constancy(name, "{}")
    assert bare < asked < 0.82


def test_the_constant_part_of_all_questions_is_what_the_pages_say():
    name = "embedded-pictograms"
    asked = [constancy(name, question("{}", number)) for number in range(len(QUESTIONS))]
    names = constancy(name, "{}")
    said = f"{min(asked):.2f} to {max(asked):.2f}"
    assert (len(asked), said, f"{names:.2f}") == (16, "0.72 to 0.78", "0.61")
    for page in ("results.md", "model-card.md"):
        text = " ".join((PAGES / page).read_text().split())
        assert said in text
        assert "0.61" in text
