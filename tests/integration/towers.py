"""Small towers with random weights, wide enough that norms, biases and attention all matter to the result."""

import open_clip
import torch
from open_clip.tokenizer import SimpleTokenizer
from transformers import CLIPConfig, CLIPModel, CLIPTokenizer

from litelvlm.clip.base import Preprocessing
from litelvlm.clip.open_clip import OpenClipTower
from litelvlm.clip.tower import ClipTower

WIDTH, LAYERS, SIZE, PATCH = 32, 4, 28, 7
SIDE = SIZE // PATCH


def drawn(model, seed=0):
    generator = torch.Generator().manual_seed(seed)
    for name, weight in model.named_parameters():
        noise = torch.randn(weight.shape, generator=generator)
        with torch.no_grad():
            weight.copy_(1 + 0.2 * noise if weight.ndim == 1 and name.endswith("weight") else 0.2 * noise)
    return model.eval().requires_grad_(False)


def huggingface_tower():
    tokens = SimpleTokenizer()
    names = {"<start_of_text>": "<|startoftext|>", "<end_of_text>": "<|endoftext|>"}
    tokenizer = CLIPTokenizer(
        vocab={names.get(word, word): i for word, i in tokens.encoder.items()}, merges=list(tokens.bpe_ranks)
    )
    sizes = {"hidden_size": WIDTH, "num_hidden_layers": LAYERS, "num_attention_heads": 2, "intermediate_size": 48}
    ends = {"eos_token_id": tokens.eot_token_id, "pad_token_id": tokens.eot_token_id}
    ids = ends | {"vocab_size": 49408, "bos_token_id": tokens.sot_token_id}
    config = CLIPConfig(
        text_config=sizes | ids | {"projection_dim": 24},
        vision_config=sizes | {"image_size": SIZE, "patch_size": PATCH, "projection_dim": 24},
        projection_dim=24,
    )
    return ClipTower(drawn(CLIPModel(config), seed=3), tokenizer)


def open_clip_tower():
    vision = {"image_size": SIZE, "patch_size": PATCH, "layers": LAYERS, "width": WIDTH, "head_width": 16}
    text = {"context_length": 77, "vocab_size": 49408, "width": WIDTH, "heads": 2, "layers": LAYERS}
    model = open_clip.CLIP(24, open_clip.CLIPVisionCfg(**vision), open_clip.CLIPTextCfg(**text), quick_gelu=True)
    return OpenClipTower(drawn(model), SimpleTokenizer(), Preprocessing())
