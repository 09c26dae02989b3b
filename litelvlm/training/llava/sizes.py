"""Words, sizes and first weights of the miniature LLaVA; its language side starts as GLaMM's."""

from copy import deepcopy

import torch
from torch import nn
from transformers import (
    CLIPVisionConfig,
    LlamaConfig,
    LlamaForCausalLM,
    LlavaConfig,
    LlavaForConditionalGeneration,
    PreTrainedTokenizerFast,
)

from litelvlm.clip.hf import ClipTower
from litelvlm.data.understanding.scenes import question_words
from litelvlm.models.glamm.model import Glamm
from litelvlm.models.vlm.miniature import assemble
from litelvlm.training.clip_parts import word_tokenizer
from litelvlm.training.glamm.sizes import GRID

_HEAD_STD = 0.02
IMAGE_TOKEN = "<image>"  # noqa: S105 - no password
SPECIAL = ("<unk>", "<s>", "</s>", "<pad>", IMAGE_TOKEN)
_MARKS = ("?", ".", ":", ",")
LENGTH = 1536


def make_tokenizer() -> PreTrainedTokenizerFast:
    """A tokenizer of the rendered questions' lower-case words; a word always has the same id."""
    unknown, bos, eos, pad, _ = SPECIAL
    return word_tokenizer(
        (*SPECIAL, *_MARKS, *question_words()),
        f"{bos} $A",
        unknown,
        bos_token=bos,
        eos_token=eos,
        pad_token=pad,
        extra_special_tokens={"image_token": IMAGE_TOKEN},
        model_max_length=LENGTH,
        padding_side="left",
    )


def llava_config(tokenizer: PreTrainedTokenizerFast, vision: CLIPVisionConfig) -> LlavaConfig:
    """Configuration in the library's own layout.

    Args:
        tokenizer: Gives the vocabulary.
        vision: Configuration of CLIP's image tower.
    """
    text = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=192,
        intermediate_size=512,
        num_hidden_layers=4,
        num_attention_heads=4,
        rms_norm_eps=1e-5,
        max_position_embeddings=LENGTH,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return LlavaConfig(
        vision_config=vision.to_dict(),
        text_config=text.to_dict(),
        image_token_index=SPECIAL.index(IMAGE_TOKEN),
        projector_hidden_act="gelu",
        vision_feature_select_strategy="default",
        vision_feature_layer=-2,
        image_seq_length=GRID * GRID,
    )


class LanguageSide(nn.Module):
    """What is trained: the projector and the language model.

    Attributes:
        projector: From CLIP's patch states to the language model's width.
        llama: The language model.
    """

    def __init__(self, projector: nn.Sequential, llama: LlamaForCausalLM) -> None:
        super().__init__()
        self.projector, self.llama = projector, llama


def first_weights(
    glamm: Glamm, tokenizer: PreTrainedTokenizerFast, config: LlavaConfig, seed: int
) -> LanguageSide:
    """The language side before training.

    Layers and projector are those of the miniature GLaMM. A word's embedding is the mean of the
    embeddings of its pieces there. The head is drawn at random.

    Args:
        glamm: The miniature whose CLIP is used.
        tokenizer: The words.
        config: Sizes; those of the language model equal the miniature GLaMM's.
        seed: Of the head.
    """
    side = glamm_layers(glamm, config, seed)
    embeds, source = side.llama.model.embed_tokens.weight, glamm.llama.model.embed_tokens.weight
    with torch.no_grad():
        nn.init.normal_(side.llama.lm_head.weight, std=_HEAD_STD)
        for word, index in tokenizer.get_vocab().items():
            pieces = glamm.tokenizer.pieces.encode(word, out_type=int)
            embeds[index] = source[pieces].mean(0)
    return side


def glamm_layers(glamm: Glamm, config: LlavaConfig, seed: int) -> LanguageSide:
    """Layers and projector of the miniature GLaMM, embeddings and head drawn at random."""
    torch.manual_seed(seed)
    llama: LlamaForCausalLM = LlamaForCausalLM._from_config(
        config.text_config, attn_implementation="sdpa"
    )
    source = glamm.llama.model
    llama.model.layers.load_state_dict(source.layers.state_dict())
    llama.model.norm.load_state_dict(source.norm.state_dict())
    projector = deepcopy(glamm.projector)
    assert isinstance(projector, nn.Sequential)  # noqa: S101 - for the type checker
    return LanguageSide(projector.requires_grad_(True), llama)


def as_llava(
    side: LanguageSide, config: LlavaConfig, tower: ClipTower
) -> LlavaForConditionalGeneration:
    """The model of transformers with these weights and CLIP's image tower."""
    first, second = side.projector[0], side.projector[2]
    state = {
        f"model.multi_modal_projector.linear_{place}.{name}": value
        for place, linear in ((1, first), (2, second))
        for name, value in linear.state_dict().items()
    }
    for name, value in side.llama.state_dict().items():
        head, _, rest = name.partition(".")
        state[f"model.language_model.{rest}" if head == "model" else name] = value
    return assemble(config, state, tower)
