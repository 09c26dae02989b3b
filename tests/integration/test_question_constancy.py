"""How much of all question embeddings is one constant: what a text can say depends on the rest."""

import torch

from litelvlm.embedded.family.towers import question_constancy
from litelvlm.models.glamm.prompting.prompts import question


def test_questions_about_shapes_are_nearly_one_constant_to_the_shipped_clip(model):
    # Its captions never held the words of the questions, which is why studies of its texts find
    # nothing. Captions of the same single objects, in words that it knows, lie well below.
    phrases = [
        f"{colour} {shape}"
        for colour in ("red", "green", "blue", "yellow", "purple", "white")
        for shape in ("circle", "square", "triangle", "cross")
    ]
    with torch.inference_mode():
        asked = model.tower.text([question(phrase, 0) for phrase in phrases]).text_embeds
        bare = model.tower.text([f"a photo of a {phrase}" for phrase in phrases]).text_embeds
    assert question_constancy(asked) > 0.9
    assert question_constancy(bare) < 0.8
