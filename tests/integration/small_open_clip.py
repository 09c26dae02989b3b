"""Sizes of the small open_clip models of these tests, and the same CLIP in the Hugging Face form."""

import open_clip
import torch
from open_clip.tokenizer import SimpleTokenizer
from towers import PATCH, SIZE, WIDTH, drawn
from transformers import CLIPConfig, CLIPModel, CLIPTokenizer

from litelvlm.clip.base import Preprocessing
from litelvlm.clip.open_clip import OpenClipTower

LAYERS, SHARED = 3, 24
SENTENCES = ["Please segment the red circle in this image.", "the large square", ""]
TEXT = {"context_length": 77, "vocab_size": 49408, "width": WIDTH, "heads": 2, "layers": LAYERS}
VISION = {"image_size": SIZE, "patch_size": PATCH, "layers": LAYERS, "width": WIDTH, "head_width": 16}


def assert_near(actual, expected, tolerance=1e-4):
    torch.testing.assert_close(actual, expected, atol=tolerance, rtol=tolerance)


def native_tower():
    model = open_clip.CLIP(SHARED, open_clip.CLIPVisionCfg(**VISION), open_clip.CLIPTextCfg(**TEXT), quick_gelu=True)
    return OpenClipTower(drawn(model), SimpleTokenizer(), Preprocessing())


def huggingface_clip():
    sizes = {
        "hidden_size": WIDTH,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": 2,
        "intermediate_size": 4 * WIDTH,
    }
    tokens = SimpleTokenizer()
    ids = {
        "bos_token_id": tokens.sot_token_id,
        "eos_token_id": tokens.eot_token_id,
        "pad_token_id": tokens.eot_token_id,
    }
    config = CLIPConfig(
        text_config=sizes | ids | {"vocab_size": 49408, "projection_dim": SHARED},
        vision_config=sizes | {"image_size": SIZE, "patch_size": PATCH, "projection_dim": SHARED},
        projection_dim=SHARED,
    )
    return drawn(CLIPModel(config), seed=3)


def huggingface_tokenizer():
    tokens = SimpleTokenizer()
    names = {"<start_of_text>": "<|startoftext|>", "<end_of_text>": "<|endoftext|>"}
    vocab = {names.get(word, word): i for word, i in tokens.encoder.items()}
    return CLIPTokenizer(vocab=vocab, merges=list(tokens.bpe_ranks))
