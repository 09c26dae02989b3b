"""Rendered questions: their answers follow from the scene, and every word is known."""

import re
from collections import Counter

import numpy as np
import pytest
import torch

from litelvlm.data.understanding.question import TASKS
from litelvlm.data.understanding.rendered import load_questions, square
from litelvlm.data.understanding.scenes import (
    HIDDEN,
    SHORT_ANSWER,
    Thing,
    absent_categories,
    draw_questions,
    question_words,
    scene_questions,
    things_in,
)
from litelvlm.data.worlds.pictograms.scenes import sample_scene
from litelvlm.training.llava.batches import PROMPT, ground_of, pack_questions
from litelvlm.training.llava.sizes import IMAGE_TOKEN, make_tokenizer
from litelvlm.training.packing import IGNORE
from litelvlm.training.pool import FIRST_SEED
from litelvlm.training.worlds import get_world


def thing(category="dog", colour=None, size="small", x=0.5, y=0.5, share=1.0):
    return Thing(category, colour, size, x, y, share)


def asked(things, kind):
    return {q.text: q.answer for q in scene_questions(things, "sand")[kind]}


def test_a_small_scene_gives_exactly_these_questions():
    things = [thing("dog", "red", x=0.2, y=0.5), thing("dog", "blue", "large", x=0.8, y=0.5),
              thing("bus", x=0.5, y=0.9)]  # fmt: skip
    assert asked(things, "presence") == {
        "Is there a dog in the image?": "yes", "Is there a bus in the image?": "yes"
    }  # fmt: skip
    assert asked(things, "count") == {
        "How many dogs are in the image?": "2", "How many buses are in the image?": "1",
        "How many objects are in the image?": "3",
    }  # fmt: skip
    colours = asked(things, "colour")
    assert colours["What color is the leftmost dog?"] == "red"
    assert colours["What color is the large dog?"] == "blue"
    assert not any("bus" in text for text in colours)
    places = asked(things, "place")
    assert places["Is the small dog on the left or on the right?"] == "left"
    assert places["Is the bus at the top or at the bottom?"] == "bottom"
    assert "Is the bus on the left or on the right?" not in places
    categories = asked(things, "category")
    assert categories["What is the bottom object in the image?"] == "bus"
    assert categories["What vehicle is in the image?"] == "bus"
    assert categories["What animal is in the image?"] == "dog"
    assert asked(things, "ground") == {"What is in the background?": "sand"}


def test_what_is_cut_off_is_not_asked_about():
    things = [thing("dog", share=0.2), thing("bus", "red")]
    assert asked(things, "presence") == {"Is there a bus in the image?": "yes"}
    assert "How many objects are in the image?" not in asked(things, "count")
    assert asked(things, "category") == {}
    assert "dog" not in absent_categories(things)
    hidden = [thing("dog", share=HIDDEN / 2), thing("bus")]
    assert "dog" in absent_categories(hidden)


def test_what_a_picture_shows_besides_is_not_called_absent():
    absent = absent_categories([thing("surfboard")])
    assert not {"surfboard", "person", "snowboard"} & set(absent)


def test_coverage_gives_places_and_shares():
    coverage = np.zeros((16, 3))
    coverage[5, 0] = 1.0  # second row, second column of four
    coverage[3, 1] = 0.5  # in a corner, so it may be cut off
    inner, corner, gone = things_in([["dog", "red", "small"]] * 3, coverage)
    assert (inner.x, inner.y, inner.share) == (0.375, 0.375, 1.0)
    assert (corner.x, corner.y) == (0.875, 0.125)
    assert corner.share == pytest.approx(0.5 / 3)
    assert gone.share == 0.0


@pytest.mark.parametrize("seed", range(12))
def test_answers_agree_with_the_whole_scene(seed):
    scene = sample_scene(seed, "medium")
    pixels, things = square(scene)
    assert pixels.shape == (168, 168, 3)
    whole = Counter(scene.categories)
    for question in scene_questions(things, scene.place)["count"]:
        if question.about:
            assert 1 <= int(question.answer) <= whole[question.about]
    for question in scene_questions(things, scene.place)["colour"]:
        tints = {o.tint for o in scene.objects if o.category == question.about}
        assert question.answer in tints
    shown = {t.category for t in things if t.share > HIDDEN}
    assert not shown & set(absent_categories(things))


def test_training_draws_two_yes_and_two_no_first():
    things = [thing("dog", "red", x=0.2), thing("bus", x=0.8), thing("cup", y=0.9)]
    drawn = draw_questions(things, "sand", np.random.default_rng(0), 9)
    assert [q.kind for q in drawn[:5]] == ["presence"] * 4 + ["ground"]
    assert [q.answer for q in drawn[:4]] == ["yes", "no", "yes", "no"]
    assert len(drawn) == 9
    assert drawn == draw_questions(things, "sand", np.random.default_rng(0), 9)
    # With one category there is one "yes" to say.
    alone = draw_questions(things[:1], "sand", np.random.default_rng(0), 4)
    assert [q.answer for q in alone] == ["yes", "no", "no", "no"]


@pytest.mark.parametrize("number", range(6))
def test_the_ground_of_a_training_scene_is_known_without_rendering(number):
    seed = FIRST_SEED + number
    assert ground_of(seed) == get_world("pictograms").sample(seed).place


def test_every_word_of_the_embedded_questions_is_a_token():
    tokenizer = make_tokenizer()
    unknown = tokenizer.unk_token_id
    for task in TASKS:
        for question in load_questions(task).questions:
            text = PROMPT.format(question.prompt) + " " + question.answer
            # "object" alone has no entry; it is the unknown word, and the only one.
            text = re.sub(r"\bobject\b", "objects", text)
            assert unknown not in tokenizer(text)["input_ids"], text
    assert (
        tokenizer.decode(tokenizer("hot dog", add_special_tokens=False)["input_ids"]) == "hot dog"
    )
    assert make_tokenizer().get_vocab() == tokenizer.get_vocab()
    assert len(question_words()) == len(set(question_words()))


@pytest.mark.parametrize("short", [False, True])
def test_packed_rows_hold_prompt_and_answer_as_inference_sees_them(short):
    tokenizer, n = make_tokenizer(), 144
    _, things = square(sample_scene(5, "medium"))
    questions = draw_questions(things, "wood", np.random.default_rng(1), 6)
    packed = pack_questions(tokenizer, n, [questions], np.random.default_rng(2), short)
    assert packed.end - packed.start == n
    before = packed.ids[0, : packed.start].tolist()
    learned = torch.nonzero(packed.labels[0] != IGNORE).flatten().tolist()
    firsts = iter([at for at in learned if at - 1 not in learned])
    for question, at in zip(questions, firsts, strict=True):
        suffix = f"\n{SHORT_ANSWER}" if short else ""
        text = PROMPT.format(question.text + suffix)
        wanted = tokenizer(text)["input_ids"]
        image = wanted.index(tokenizer.get_vocab()[IMAGE_TOKEN])
        own = packed.ids[0, at + 1 - (len(wanted) - image - 1) : at + 1].tolist()
        assert [*before, wanted[image], *own] == wanted
        answer = tokenizer(question.answer, add_special_tokens=False)["input_ids"]
        labels = packed.labels[0, at : at + len(answer) + 1].tolist()
        assert labels == [*answer, tokenizer.eos_token_id]
    assert int((packed.labels != IGNORE).sum()) == sum(
        len(tokenizer(q.answer, add_special_tokens=False)["input_ids"]) + 1 for q in questions
    )
