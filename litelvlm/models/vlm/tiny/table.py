"""The tiny models by the name of their family, and prompts for them."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import torch
from torch import Tensor
from transformers import PreTrainedModel

from litelvlm.models.vlm.tiny import grids, plain, tiled
from litelvlm.models.vlm.tiny.base import IMAGE, PAD, VIDEO, TinyFamily, random_weights
from litelvlm.names import check_name

TINY: Mapping[str, TinyFamily] = MappingProxyType(
    {
        "llava": plain.LLAVA,
        "vipllava": plain.VIPLLAVA,
        "llava_next": tiled.LLAVA_NEXT,
        "llava_next_video": tiled.LLAVA_NEXT_VIDEO,
        "llava_onevision": tiled.LLAVA_ONEVISION,
        "video_llava": plain.VIDEO_LLAVA,
        "internvl": plain.INTERNVL,
        "qwen2_vl": grids.QWEN2_VL,
        "qwen2_5_vl": grids.QWEN2_5_VL,
        "qwen3_vl": grids.QWEN3_VL,
        "qwen3_vl_moe": grids.QWEN3_VL_MOE,
        "qwen3_5": grids.QWEN3_5,
        "glm4v": grids.GLM4V,
        "glm46v": grids.GLM46V,
        "paddleocr_vl": grids.PADDLEOCR_VL,
        "video_llama_3": grids.VIDEO_LLAMA_3,
        "idefics2": plain.IDEFICS2,
        "idefics3": plain.IDEFICS3,
        "smolvlm": plain.SMOLVLM,
        "mistral3": tiled.MISTRAL3,
        "lighton_ocr": tiled.LIGHTON_OCR,
        "gemma3": plain.GEMMA3,
        "paligemma": plain.PALIGEMMA,
        "aya_vision": plain.AYA_VISION,
        "cohere2_vision": plain.COHERE2_VISION,
        "deepseek_vl": plain.DEEPSEEK_VL,
        "janus": plain.JANUS,
        "ovis2": plain.OVIS2,
        "got_ocr2": plain.GOT_OCR2,
        "llama4": plain.LLAMA4,
        "lfm2_vl": tiled.LFM2_VL,
    }
)


def tiny_vlm(name: str) -> PreTrainedModel:
    """Build the tiny model of a family with random weights, in float32 on the processor.

    Args:
        name: A name in ``TINY``.

    Raises:
        ValueError: If there is no such family.
    """
    family = TINY[check_name(name, TINY, "family")]
    torch.manual_seed(0)
    model = random_weights(family.model(family.config()), seed=0)
    # The library's fast experts take no float64.
    model.set_experts_implementation("eager")
    model.generation_config.eos_token_id = None
    model.generation_config.pad_token_id = PAD
    return model


def tiny_prompt(
    name: str,
    counts: Sequence[int] = (1,),
    words: Sequence[int] = (6,),
    video: bool = False,
) -> dict[str, Tensor]:
    """Make what a processor would: ids, masks and pixels of a batch, padded on the left.

    Each row is: some words, its images with a word between two, then a question.

    Args:
        name: A name in ``TINY``.
        counts: Images (or videos) of each row.
        words: Words of each row's question.
        video: Videos instead of images.

    Raises:
        ValueError: If there is no such family, or it has no videos.
    """
    family = TINY[check_name(name, TINY, "family")]
    generator = torch.Generator().manual_seed(1)
    make = family.videos if video else family.images
    if make is None:
        raise ValueError(f"{name} has no tiny videos; leave out video=True")
    visual = make(counts, generator)
    token, lengths = (VIDEO if video else IMAGE), iter(visual.tokens)
    rows = []
    for count, n_words in zip(counts, words, strict=True):
        ids = [1, 3, 4]
        for _ in range(count):
            tokens = next(lengths)
            run = visual.run or tokens
            for _ in range(tokens // run):
                ids += [5, *[token] * run]
        rows.append(ids + torch.randint(6, 90, (n_words,), generator=generator).tolist())
    longest = max(map(len, rows))
    input_ids = torch.tensor([[PAD] * (longest - len(ids)) + ids for ids in rows])
    mask = torch.tensor([[0] * (longest - len(ids)) + [1] * len(ids) for ids in rows])
    given = {"input_ids": input_ids, "attention_mask": mask, **visual.tensors}
    if family.type_ids:
        given[family.type_ids] = (input_ids == token).long() * (family.types[0] + video)
    return given
