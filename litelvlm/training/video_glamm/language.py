"""The language side before training: Phi-3 with the weights of the miniature GLaMM."""

import json
import shutil
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import LlamaForCausalLM, Phi3Config, Phi3ForCausalLM

from litelvlm.models.glamm.model import Glamm
from litelvlm.models.video_glamm.prompts import END
from litelvlm.models.video_glamm.tokenizer import Phi3Tokenizer
from litelvlm.training.video_glamm.sizes import SAM2, VIDEO, WIDTH, config

ENDS = "<|endoftext|>"
_ADDED = (ENDS, "<|assistant|>", "<|system|>", END, "<|user|>")
"""Tokens that Phi-3 adds to its pieces; the first one is not followed by stripped blanks."""


def write_tokenizer(pieces: Path, folder: Path) -> Phi3Tokenizer:
    """Write Phi-3's tokenizer with the pieces of another model, and read it.

    Args:
        pieces: A ``tokenizer.model``.
        folder: Where the files go.
    """
    shutil.copyfile(pieces, folder / "tokenizer.model")
    plain = Phi3Tokenizer(pieces.read_bytes(), {}, begins=False)
    flags = {"lstrip": False, "normalized": False, "single_word": False, "special": True}
    added = {
        str(plain.size + number): {"content": text, "rstrip": text != ENDS, **flags}
        for number, text in enumerate(_ADDED)
    }
    kind = {"legacy": False, "add_prefix_space": True, "add_bos_token": False}
    fields = {**kind, "add_eos_token": False, "eos_token": ENDS, "added_tokens_decoder": added}
    (folder / "tokenizer_config.json").write_text(json.dumps(fields, indent=1) + "\n")
    return Phi3Tokenizer.from_pretrained(folder, marked=False)


class LanguageSide(nn.Module):
    """What learns to read a clip.

    Args:
        start: The miniature GLaMM.
        tokenizer: Phi-3's.
        video_tower: The video tower.
    """

    def __init__(self, start: Glamm, tokenizer: Phi3Tokenizer, video_tower: nn.Module) -> None:
        super().__init__()
        self.phi3 = phi3_of(start.llama, tokenizer, start.tokenizer.seg_id)
        self.video_tower = video_tower
        self.video_projector = nn.Linear(VIDEO.hidden_size, WIDTH)
        self.seg_head = nn.Sequential(
            nn.Linear(WIDTH, WIDTH), nn.ReLU(), nn.Linear(WIDTH, SAM2.width)
        )


def phi3_of(llama: LlamaForCausalLM, tokenizer: Phi3Tokenizer, seg_id: int) -> Phi3ForCausalLM:
    """A Phi-3 that computes what a LLaMA computes, for the pieces that both know.

    Phi-3 holds queries, keys and values in one matrix, and so gate and input of its MLPs.

    Args:
        llama: The model to take over; its first rows are the pieces.
        tokenizer: Phi-3's.
        seg_id: [SEG] of the LLaMA.
    """
    fields = config(tokenizer.size, tokenizer.added[ENDS].id)
    names = Phi3Config().to_dict().keys() & fields.keys() - {"architectures", "model_type"}
    own = Phi3Config(**{name: fields[name] for name in names})  # type: ignore[arg-type]  # numbers
    own.sliding_window = None
    phi3: Phi3ForCausalLM = Phi3ForCausalLM._from_config(own, attn_implementation="sdpa")
    weights = llama.state_dict()
    found: dict[str, Tensor] = {"model.norm.weight": weights["model.norm.weight"]}
    for name, tensor in weights.items():
        if ".layers." in name and "norm" in name:
            found[name] = tensor
    for number in range(len(llama.model.layers)):
        layer = f"model.layers.{number}."
        for joined, parts in (
            ("self_attn.qkv_proj", ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")),
            ("self_attn.o_proj", ("self_attn.o_proj",)),
            ("mlp.gate_up_proj", ("mlp.gate_proj", "mlp.up_proj")),
            ("mlp.down_proj", ("mlp.down_proj",)),
        ):
            found[f"{layer}{joined}.weight"] = torch.cat(
                [weights[f"{layer}{part}.weight"] for part in parts]
            )
    pieces = tokenizer.pieces.get_piece_size()
    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        rows = 0.3 * torch.randn(tokenizer.size, WIDTH)
        rows[:pieces] = weights[name][:pieces]
        rows[tokenizer.seg_id] = weights[name][seg_id]
        found[name] = rows
    phi3.load_state_dict(found)
    return phi3
