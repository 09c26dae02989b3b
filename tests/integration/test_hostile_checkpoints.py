"""Configurations and tokenizers from strangers end in one clear error, and soon."""

import json
import os
import shutil

import pytest

from litelvlm import load_model
from tests.glamm_parts import EMBEDDED

NOISE = b"\xff\xfe\x00noise\x80"
DEEP = b"[" * 100_000 + b"]" * 100_000


def checkpoint(tmp_path):
    """The bundled checkpoint: small files copied, weights linked."""
    folder = tmp_path / "model"
    shutil.copytree(EMBEDDED["embedded"], folder, copy_function=os.link)
    return folder


def rewrite(path, content):
    path.unlink()
    path.write_bytes(content)


def changed(path, name, value):
    """A configuration with one field changed; a dot leads into a part."""
    config = json.loads(path.read_text())
    *parts, last = name.split(".")
    place = config
    for part in parts:
        place = place[part]
    place[last] = value
    return json.dumps(config).encode()


SIZES = [
    ("config.json", "num_hidden_layers", 10**6),
    ("config.json", "num_hidden_layers", 0),
    ("config.json", "num_hidden_layers", -1),
    ("config.json", "hidden_size", "192"),
    ("config.json", "hidden_size", 191),
    ("config.json", "hidden_size", [192]),
    ("config.json", "vocab_size", 10**12),
    ("config.json", "vocab_size", True),
    ("config.json", "rms_norm_eps", "small"),
    ("config.json", "rms_norm_eps", -1.0),
    ("config.json", "rope_theta", 0),
    ("config.json", "num_key_value_heads", 3),
    ("config.json", "max_position_embeddings", 10**9),
    ("config.json", "sam", 7),
    ("config.json", "sam.vision_config.num_hidden_layers", 10**6),
    ("config.json", "sam.vision_config.hidden_size", 0),
    ("config.json", "sam.mask_decoder_config.num_hidden_layers", -2),
    ("config.json", "sam.vision_config.patch_size", "16"),
    ("clip/config.json", "vision_config.num_hidden_layers", 10**6),
    ("clip/config.json", "vision_config.image_size", 10**7),
    ("clip/config.json", "vision_config.patch_size", 0),
    ("clip/config.json", "text_config.hidden_size", -128),
    ("clip/config.json", "text_config.num_attention_heads", 3.5),
    ("clip/config.json", "text_config", "none"),
    ("clip/config.json", "projection_dim", None),
]


@pytest.mark.timeout(60)
@pytest.mark.parametrize("random_init", [False, True])
@pytest.mark.parametrize(("file", "field", "value"), SIZES)
def test_a_size_out_of_bounds_is_refused_by_name(tmp_path, file, field, value, random_init):
    path = checkpoint(tmp_path) / file
    rewrite(path, changed(path, field, value))
    with pytest.raises(ValueError, match=field.rpartition(".")[2]) as found:
        load_model(tmp_path / "model", random_init=random_init)
    assert file in str(found.value)
    assert len(str(found.value)) < 1000


CONTENTS = {"noise": NOISE, "nothing": b"", "list": b"[]", "null": b"null", "deep": DEEP}
FILES = ["config.json", "clip/config.json", "added_tokens.json", "tokenizer.model"]


@pytest.mark.timeout(60)
@pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS.keys())
@pytest.mark.parametrize("file", [*FILES, "clip/tokenizer.json"])
def test_a_file_of_noise_is_refused(tmp_path, file, content):
    rewrite(checkpoint(tmp_path) / file, content)
    with pytest.raises((ValueError, FileNotFoundError)) as found:
        load_model(tmp_path / "model")
    assert len(str(found.value)) < 1000


@pytest.mark.parametrize(
    "table", [{}, {"[SEG]": -1}, {"[SEG]": 10**12}, {"[SEG]": 1.5}, {"[SEG]": True}, {"a": 500}]
)
def test_added_tokens_without_sense_are_refused(tmp_path, table):
    rewrite(checkpoint(tmp_path) / "added_tokens.json", json.dumps(table).encode())
    with pytest.raises(ValueError, match="token"):
        load_model(tmp_path / "model")
