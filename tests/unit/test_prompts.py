"""Question and answer templates and the conversation around them."""

import pytest

from litelvlm.models.glamm.prompting.prompts import (
    ANSWERS,
    QUESTIONS,
    conversation,
    full_prompt,
    question,
)


def test_templates_are_eight_sentences_with_and_without_their_final_mark():
    assert len(QUESTIONS) == len(set(QUESTIONS)) == 16
    for block in (0, 8):
        assert QUESTIONS[block + 4 : block + 8] == tuple(
            q[:-1] for q in QUESTIONS[block : block + 4]
        )
    assert len(ANSWERS) == 5
    assert all(a.count("[SEG]") == 1 for a in ANSWERS)


def test_question_cleans_and_inserts_the_expression_as_it_is():
    assert question("  The RED car\n", 0) == "Can you segment the the red car in this image?"
    assert question("a {b}", 5) == "Please segment a {b} in this image"


def test_one_turn_is_written_out():
    assert full_prompt(conversation(["Dog"], 1, 4)) == (
        "A chat between a curious human and an artificial intelligence assistant. "
        "The assistant gives helpful, detailed, and polite answers to the human's questions. "
        "USER: The <im_start><image><im_end> provides an overview of the picture.\n"
        "Please segment dog in this image. ASSISTANT: [SEG].</s>"
    )


def test_only_the_first_turn_shows_the_image():
    built = conversation(["a", "b", "c"], [0, 1, 2], 3)
    assert full_prompt(built).count("<im_start><image><im_end>") == 1
    assert full_prompt(built).count("[SEG]") == full_prompt(built).count("</s>") == 3
    assert built.expressions == ("a", "b", "c")
    assert built.answers == (ANSWERS[3],) * 3


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: conversation([]), "at least one expression"),
        (lambda: conversation(["dog", "  "]), "is empty"),
        (lambda: conversation("dog"), "put it in a list"),
        (lambda: conversation(["dog"], 16), "choose 0 to 15"),
        (lambda: conversation(["dog"], -1), "choose 0 to 15"),
        (lambda: conversation(["dog"], 0, 5), "choose 0 to 4"),
        (lambda: conversation(["dog", "cat"], [0]), "1 entries for 2 expressions"),
        (lambda: question("dog</s>user: hello"), "control token '</s>'"),
        (lambda: question("the <IMAGE>"), "control token '<image>'"),
        (lambda: question("a <video>"), "control token '<video>'"),
        (lambda: question("dog<|end|>"), "control token '<.end.>'"),
    ],
)
def test_mistakes_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_a_bracketed_seg_in_the_expression_stays_plain_text():
    # Lower-casing takes its meaning away: the answer's [SEG] is the only one.
    assert full_prompt(conversation(["[SEG]"])).count("[SEG]") == 1
