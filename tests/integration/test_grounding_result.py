"""What `segment` gives back: a line to print, masks to save, and words it does not know."""

from pathlib import Path

import numpy as np
from PIL import Image

from litelvlm import load_refer
from litelvlm.clip.words import unknown_words
from tests.warm import run_python

ROOT = Path(__file__).parents[2]


def test_a_name_an_array_and_a_picture_give_the_same(model, sample, tmp_path):
    text = sample.expressions[0].sent
    picture = model.segment(sample.image(), text, "litelvlm", budget=48)
    array = model.segment(np.asarray(sample.image()), text, "litelvlm", budget=48)
    assert np.array_equal(picture.mask, array.mask)
    (path,) = array.save(tmp_path / "mask.png")
    assert np.array_equal(np.asarray(Image.open(path)) == 255, array.mask[0].numpy())


def test_a_result_prints_as_one_line_of_numbers(model, sample):
    result = model.segment(sample.image(), ["the yellow giraffe", "the zygote"], "random", budget=9)
    told = repr(result)
    assert told.startswith(f"Grounding(2 masks of {sample.height} x {sample.width} pixels; ")
    assert f"foreground {int(result.mask[0].sum())}, {int(result.mask[1].sum())}; " in told
    assert "visual tokens kept 9, 9; " in told
    assert told.endswith("words unknown to the model: zygote)")
    assert "tensor" not in told
    assert "visual tokens kept all; " in repr(model.segment(sample.image(), "the yellow giraffe"))


def test_every_word_of_the_bundled_data_is_known_and_others_are_named(model):
    sentences = [e.sent for s in load_refer("embedded", split="val") for e in s.expressions]
    assert unknown_words(model.tower, sentences) == ()
    strange = unknown_words(model.tower, ["The zygote's yellow giraffe", "a zygote, QWERTZ!"])
    assert strange == ("zygote", "qwertz")


def test_a_vocabulary_of_the_web_says_nothing(model, monkeypatch):
    monkeypatch.setattr(type(model.tower), "vocabulary_size", 49_408)
    assert unknown_words(model.tower, ["the zygote"]) == ()


def test_an_object_that_is_no_image_is_refused_with_what_is_one():
    # In a process of its own: tests check every annotation, and users do not.
    code = "from litelvlm.data.images import open_image\ntry: open_image(3)\nexcept TypeError as e:"
    done = run_python(["-c", f"{code} print(e)"])
    assert done.stdout.startswith("an image is a PIL picture, a NumPy array of uint8"), done.stderr
    assert done.stdout.endswith("got int\n")
