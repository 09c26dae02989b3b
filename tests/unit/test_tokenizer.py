"""Tokenisation of prompts, equal to the ids recorded from the official code."""

import json
from pathlib import Path

import pytest

from litelvlm.models.glamm.prompting.tokenizer import ADDED_TOKENS, IMAGE_INDEX, GlammTokenizer
from tests.glamm_parts import ANSWERS, QUESTIONS, conversation, full_prompt

GLAMM = Path(__file__).parents[1] / "fixtures" / "parity" / "glamm"
RECORDED = json.loads((GLAMM / "tokenisation.json").read_text())


@pytest.fixture(scope="module")
def tokenizer():
    return GlammTokenizer.from_pretrained(GLAMM / "llama_tokenizer")


def test_ids_come_from_the_files(tokenizer):
    index = json.loads((GLAMM / "index.json").read_text())
    assert tokenizer.vocab_size == index["tokenizer_len"] == 427
    assert tokenizer.added_tokens == index["token_ids"]
    assert (tokenizer.pad_id, tokenizer.bos_id, tokenizer.eos_id, tokenizer.seg_id) == (
        0,
        1,
        2,
        424,
    )


def test_blanks_beside_added_tokens_go_and_every_stretch_starts_a_word(tokenizer):
    dot = tokenizer.pieces.piece_to_id("▁.")
    assert tokenizer.encode("it is [SEG].</s>")[-3:] == [424, dot, 2]
    assert tokenizer.encode("is [SEG] .") == tokenizer.encode("is[SEG].")
    # A control token that was not added keeps the blanks beside it.
    assert tokenizer.encode("</s> is") != tokenizer.encode("</s>is")


def test_image_placeholder(tokenizer):
    assert tokenizer.encode("<im_start><image><im_end>") == [1, 420, IMAGE_INDEX, 421]
    assert tokenizer.encode("") == [1]


@pytest.mark.parametrize("question", range(len(QUESTIONS)))
@pytest.mark.parametrize("answer", range(len(ANSWERS)))
def test_decoded_text_encodes_to_the_same_ids(tokenizer, question, answer):
    ids = tokenizer.encode(
        full_prompt(conversation(["left man", "größte  katze 猫"], question, answer))
    )
    assert tokenizer.encode(tokenizer.decode(ids)) == ids


def test_decode_refuses_foreign_ids(tokenizer):
    with pytest.raises(ValueError, match=r"\[427\] are outside the vocabulary of 427"):
        tokenizer.decode([5, 427])


def test_saving_writes_the_published_layout(tokenizer, tmp_path):
    tokenizer.save_pretrained(tmp_path)
    for path in (GLAMM / "llama_tokenizer").glob("*.json"):
        assert json.loads((tmp_path / path.name).read_text()) == json.loads(path.read_text())
    assert (tmp_path / "tokenizer.model").read_bytes() == (
        GLAMM / "llama_tokenizer" / "tokenizer.model"
    ).read_bytes()


def test_missing_and_damaged_files_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no tokenizer\.model and no added_tokens\.json"):
        GlammTokenizer.from_pretrained(tmp_path)
    model = (GLAMM / "llama_tokenizer" / "tokenizer.model").read_bytes()
    (tmp_path / "tokenizer.model").write_bytes(model[:100])
    (tmp_path / "added_tokens.json").write_text('{"[SEG]": 420')
    with pytest.raises(ValueError, match=r"added_tokens\.json is not valid JSON"):
        GlammTokenizer.from_pretrained(tmp_path)
    (tmp_path / "added_tokens.json").write_text('["[SEG]"]')
    with pytest.raises(
        ValueError, match=r"added_tokens\.json is not a table of tokens and their ids"
    ):
        GlammTokenizer.from_pretrained(tmp_path)
    (tmp_path / "added_tokens.json").write_text('{"[SEG]": 420}')
    with pytest.raises(ValueError, match=r"tokenizer\.model is not a sentencepiece model"):
        GlammTokenizer.from_pretrained(tmp_path)
    with pytest.raises(ValueError, match="lacks the added tokens"):
        GlammTokenizer(model, {"[SEG]": 420})
    with pytest.raises(ValueError, match="must run from 420 without a gap"):
        GlammTokenizer(model, {token: 421 + i for i, token in enumerate(ADDED_TOKENS)})


def test_library_style_keeps_blanks_and_drops_the_leading_one(tokenizer):
    library = tokenizer.with_style("library")

    def names(which, text):
        ids = which.encode(text)[1:]
        return [which.special_text.get(i) or which.pieces.id_to_piece(i) for i in ids]

    assert (
        names(tokenizer, "is [SEG].</s>US")[-4:]
        == ["[SEG]", "▁.", "</s>", *names(tokenizer, "US")][-4:]
    )
    assert names(library, "is [SEG].</s>US") == [
        *names(tokenizer, "is"),
        "▁",
        "[SEG]",
        ".",
        "</s>",
        "US",
    ]
    # Up to the first special token both are the same.
    assert names(library, "x y</s>")[:-1] == names(tokenizer, "x y</s>")[:-1]


def test_unknown_style_is_refused(tokenizer):
    with pytest.raises(ValueError, match="did you mean 'library'"):
        tokenizer.with_style("libary")
