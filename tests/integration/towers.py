"""Small towers with random weights.

They are wide enough that norms, biases and attention all matter to the result.
"""

import json
from contextlib import contextmanager

import open_clip
import torch
from open_clip.tokenizer import SimpleTokenizer
from safetensors.torch import save_file
from transformers import CLIPConfig, CLIPModel, CLIPTokenizer

from litelvlm.clip.hf import ClipTower
from litelvlm.clip.open_clip import OpenClipTower
from litelvlm.clip.preprocessing import Preprocessing

WIDTH, LAYERS, SHARED, SIZE, PATCH = 32, 4, 24, 28, 7
SIDE = SIZE // PATCH
SENTENCES = ["Please segment the red circle in this image.", "the large square", ""]
TEXT = {"context_length": 77, "vocab_size": 49408, "width": WIDTH, "heads": 2, "layers": LAYERS}
VISION = {
    "image_size": SIZE,
    "patch_size": PATCH,
    "layers": LAYERS,
    "width": WIDTH,
    "head_width": 16,
}


def assert_near(actual, expected, tolerance=2e-5):
    torch.testing.assert_close(actual, expected, atol=tolerance, rtol=tolerance)


def drawn(model, seed=0):
    generator = torch.Generator().manual_seed(seed)
    for name, weight in model.named_parameters():
        noise = torch.randn(weight.shape, generator=generator)
        with torch.no_grad():
            weight.copy_(
                1 + 0.2 * noise if weight.ndim == 1 and name.endswith("weight") else 0.2 * noise
            )
    return model.eval().requires_grad_(False)


def open_clip_tower():
    model = open_clip.CLIP(
        SHARED, open_clip.CLIPVisionCfg(**VISION), open_clip.CLIPTextCfg(**TEXT), quick_gelu=True
    )
    return OpenClipTower(drawn(model), SimpleTokenizer(), Preprocessing())


def publish_open_clip(monkeypatch, folder, name, tower, **tags):
    """Put a small model into open_clip's tables.

    Its weights lie on this disk, for tags that name no other place.
    """
    config = {"embed_dim": SHARED, "vision_cfg": VISION, "text_cfg": TEXT}
    (folder / f"{name}.json").write_text(json.dumps(config))
    factory = open_clip.factory
    monkeypatch.setattr(factory, "_MODEL_CONFIG_PATHS", list(factory._MODEL_CONFIG_PATHS))
    monkeypatch.setattr(factory, "_MODEL_CONFIGS", dict(factory._MODEL_CONFIGS))
    open_clip.add_model_config(folder / f"{name}.json")
    weights = folder / "drawn.safetensors"
    state = tower.clip.state_dict()
    save_file({name: value.contiguous() for name, value in state.items()}, weights)
    given = {
        t: more if "hf_hub" in more else more | {"file": str(weights)} for t, more in tags.items()
    }
    monkeypatch.setitem(open_clip.pretrained._PRETRAINED, name, given)


def huggingface_clip(inner=4 * WIDTH):
    """The same sizes in the Hugging Face form; ``inner`` is the width of the feed-forward parts."""
    sizes = {
        "hidden_size": WIDTH,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": 2,
        "intermediate_size": inner,
    }
    tokens = SimpleTokenizer()
    ends = {"eos_token_id": tokens.eot_token_id, "pad_token_id": tokens.eot_token_id}
    ids = ends | {"vocab_size": 49408, "bos_token_id": tokens.sot_token_id}
    config = CLIPConfig(
        text_config=sizes | ids | {"projection_dim": SHARED},
        vision_config=sizes | {"image_size": SIZE, "patch_size": PATCH, "projection_dim": SHARED},
        projection_dim=SHARED,
    )
    return drawn(CLIPModel(config), seed=3)


def huggingface_tokenizer():
    tokens = SimpleTokenizer()
    names = {"<start_of_text>": "<|startoftext|>", "<end_of_text>": "<|endoftext|>"}
    vocab = {names.get(word, word): i for word, i in tokens.encoder.items()}
    return CLIPTokenizer(vocab=vocab, merges=list(tokens.bpe_ranks))


def huggingface_tower():
    return ClipTower(huggingface_clip(inner=48), huggingface_tokenizer())


@contextmanager
def stopped(layer):
    """A layer that fails while the block runs."""

    def stop(*_):
        raise RuntimeError("stop")

    handle = layer.register_forward_hook(stop)
    try:
        yield
    finally:
        handle.remove()
