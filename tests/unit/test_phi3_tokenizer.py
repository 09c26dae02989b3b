"""Phi-3's tokenizer beside ids that the slow tokenizer of transformers 4.41 gave."""

import json
import shutil

import pytest

from litelvlm.models.requests import Conversation
from litelvlm.models.video_glamm.prompts import full_prompt
from litelvlm.models.video_glamm.tokenizer import Phi3Tokenizer
from tests.video_glamm_parts import RECORDING

VARIANTS = json.loads((RECORDING.parent / "tokenisation.json").read_text())


def changed_folder(folder, changes, added=None, removed=()):
    """The recorded tokenizer with another configuration."""
    shutil.copytree(RECORDING / "tokenizer", folder, dirs_exist_ok=True)
    config = json.loads((folder / "tokenizer_config.json").read_text()) | changes
    for number in removed:
        del config["added_tokens_decoder"][number]
    config["added_tokens_decoder"] |= added or {}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return folder


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant["name"])
def test_pieces_are_those_of_the_official_library(variant, tmp_path):
    folder = changed_folder(tmp_path, variant["changes"], variant["added"], variant["removed"])
    tokenizer = Phi3Tokenizer.from_pretrained(folder, variant["marked"])
    assert tokenizer.size == variant["size"] == tokenizer.seg_id + 1
    assert len(variant["prompts"]) > 8
    for prompt in variant["prompts"]:
        assert tokenizer.encode(prompt["text"]) == prompt["ids"], prompt["text"]


def test_the_text_of_generated_ids():
    tokenizer = Phi3Tokenizer.from_pretrained(RECORDING / "tokenizer", False)
    cases = json.loads((RECORDING / "index.json").read_text())["cases"]
    assert tokenizer.decode(cases["noseg"]["generated_ids"]) == "<|placeholder2|> \x0bU <|end|>"
    assert tokenizer.decode([]) == ""
    with pytest.raises(ValueError, match=r"\[412, -200\] are outside the vocabulary of 412"):
        tokenizer.decode([5, 412, -200])


def test_start_and_end_tokens_stand_around_images_and_videos():
    talk = Conversation(("dog",), ("What is dog?",), ("It is [SEG].",))
    image, video = (full_prompt(talk, n, marked=True) for n in (1, 3))
    assert "<|user|>\n<im_start><image><im_end>\nWhat" in image
    assert "<|user|>\n<vid_start><image><image><image><vid_end>\nWhat" in video
    assert image.endswith("\n<|assistant|>\nIt is [SEG].<|end|>")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"legacy": True}, "has legacy=True .known: False."),
        ({"legacy": None}, "has no legacy, which older libraries took for true"),
        ({"add_eos_token": True}, "has add_eos_token=True"),
        ({"added_tokens_decoder": {"x": 1}}, "an added token that cannot be read: 'x'"),
        ({"added_tokens_decoder": {"450": {"content": "[SEG]"}}}, "run on from 400 without a gap"),
    ],
)
def test_other_tokenizers_are_refused(changes, words, tmp_path):
    with pytest.raises(ValueError, match=words):
        Phi3Tokenizer.from_pretrained(changed_folder(tmp_path, changes), False)


def test_missing_and_damaged_files_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no tokenizer\.model and no"):
        Phi3Tokenizer.from_pretrained(tmp_path, False)
    folder = changed_folder(tmp_path, {})
    (folder / "tokenizer_config.json").write_text("{")
    with pytest.raises(ValueError, match="is not JSON"):
        Phi3Tokenizer.from_pretrained(folder, False)
    folder = changed_folder(tmp_path, {})
    (folder / "tokenizer.model").write_bytes(b"no model")
    with pytest.raises(ValueError, match="is not a sentencepiece model"):
        Phi3Tokenizer.from_pretrained(folder, False)
