"""Tiny random LLaVAs and Qwen-VLs over bytes, as folders that ``load_vlm`` reads."""

import shutil
from pathlib import Path

import torch
import transformers as hf
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from litelvlm.clip.hf import ClipTower
from litelvlm.clip.load import load_tower
from litelvlm.models.vlm.miniature import make_processor
from tests.tiny_vlms.models import random_weights
from tests.tiny_vlms.table import AXES, QWEN_VISION, TEXT

SPECIAL = ("<pad>", "<s>", "</s>", "<image>", "<video>", "<vision>", "</vision>")
"""Special tokens; their ids follow those of the 256 bytes."""
CHAT = (
    "{% for m in messages %}USER: {% for c in m['content'] %}"
    "{% if c['type'] == 'image' %}<vision><image></vision>{% else %}{{ c['text'] }}{% endif %}"
    "{% endfor %}{% endfor %}{% if add_generation_prompt %} ASSISTANT:{% endif %}"
)
"""Chat template of the tiny Qwen2.5-VL."""


def byte_tokenizer() -> PreTrainedTokenizerFast:
    """A tokenizer of bytes, which knows every text."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: number for number, token in enumerate([*alphabet, *SPECIAL])}
    made = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens(list(SPECIAL))
    padding, begin, end = SPECIAL[:3]
    return PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token=padding, bos_token=begin, eos_token=end
    )


def special_id(token: str) -> int:
    """Id of a special token."""
    return 256 + SPECIAL.index(token)


def text_sizes(model_type: str, **changes: object) -> dict[str, object]:
    """A tiny language model over bytes."""
    ids = {"pad_token_id": 256, "bos_token_id": 257, "eos_token_id": 258}
    sizes = {"vocab_size": 272, "max_position_embeddings": 1024, "model_type": model_type}
    return {**TEXT, **ids, **sizes, **changes}


def tiny_llava(tower: ClipTower, seed: int = 0) -> PreTrainedModel:
    """A random LLaVA over bytes around the image tower of a CLIP."""
    config = hf.LlavaConfig(
        vision_config=tower.vision_config.to_dict(),
        text_config=text_sizes("llama"),
        image_token_index=special_id("<image>"),
        image_seq_length=tower.grid[0] * tower.grid[1],
    )
    model = random_weights(hf.LlavaForConditionalGeneration(config), seed)
    model.get_submodule("model.vision_tower").load_state_dict(tower.clip.vision_model.state_dict())
    return model


def llava_prompt(tower: ClipTower, pixel_values: Tensor) -> dict[str, Tensor]:
    """A prompt for such a model: some words, one image, and a question of six further words."""
    image = [special_id("<image>")] * (tower.grid[0] * tower.grid[1])
    ids = [1, 3, 4, *image, *range(6, 12)]
    return {"input_ids": torch.tensor([ids]), "pixel_values": pixel_values}


def tiny_qwen(seed: int = 0) -> PreTrainedModel:
    """A random Qwen2.5-VL over bytes: patches of 7 pixels, 2 x 2 of them to a token."""
    config = hf.Qwen2_5_VLConfig(
        vision_config={
            **QWEN_VISION,
            "patch_size": 7,
            "window_size": 28,
            "fullatt_block_indexes": [1],
        },
        text_config=text_sizes("qwen2_5_vl_text", **AXES),
        image_token_id=special_id("<image>"),
        video_token_id=special_id("<video>"),
        vision_start_token_id=special_id("<vision>"),
        vision_end_token_id=special_id("</vision>"),
    )
    return random_weights(hf.Qwen2_5_VLForConditionalGeneration(config), seed)


def qwen_processor() -> hf.Qwen2_5_VLProcessor:
    """The processor of the tiny Qwen2.5-VL: 16 to 144 tokens a picture."""
    cell = 14 * 14
    sizes = {"patch_size": 7, "merge_size": 2, "temporal_patch_size": 2}
    limits = {"min_pixels": 16 * cell, "max_pixels": 144 * cell}
    return hf.Qwen2_5_VLProcessor(
        hf.Qwen2VLImageProcessor(**sizes, **limits),
        byte_tokenizer(),
        hf.Qwen2VLVideoProcessor(**sizes, **limits),
        chat_template=CHAT,
    )


def write_tiny(kind: str, out: Path, clip: Path | None = None, seed: int = 0) -> Path:
    """Write a tiny model with its processor into a folder, and return the folder.

    Args:
        kind: "llava" or "qwen2_5_vl".
        out: Folder to make.
        clip: Folder of the CLIP of a LLaVA; it is copied into the folder "clip".
        seed: Of the random weights.
    """
    if kind == "qwen2_5_vl":
        model, processor = tiny_qwen(seed), qwen_processor()
    else:
        model = tiny_llava(load_tower(clip, device="cpu"), seed)
        processor = make_processor(byte_tokenizer(), model.config)
        shutil.copytree(clip, out / "clip")
    model.generation_config.pad_token_id = special_id("<pad>")
    model.generation_config.eos_token_id = special_id("</s>")
    model.float().save_pretrained(out)
    processor.save_pretrained(out)
    return out
