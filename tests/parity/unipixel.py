"""A tiny UniPixel, from checkpoint to masks, stage by stage.

It goes through the same loader and model as the real one.
"""

import json
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from litelvlm import load_model
from litelvlm.models.sam2.frames import Sam2Frames
from litelvlm.models.sam2.masker import ClipMasker, FrameStep
from litelvlm.models.sam2.memory import Memory
from litelvlm.models.unipixel import prompts
from litelvlm.models.unipixel.config import SAM2_SIZES
from litelvlm.models.unipixel.frames import patch_rows, sampled
from litelvlm.models.unipixel.language import Answer
from litelvlm.models.unipixel.model import UniPixel
from litelvlm.models.unipixel.network import ClipPrompt
from litelvlm.models.unipixel.state import UniPixelState
from tests.parity.failures import Failures

ROWS = 16
"""Rows of the patches that are written, evenly spread."""
TYPES = ("query", "sentence", "explanatory", "question", "description")
"""Kinds of questions, in the order of ``prompts.QUESTIONS``."""
MOST = 512


def compute(fixtures: Path, out: Path) -> None:
    """Write ``<case>.safetensors`` for every case of every ``seed<n>``, and ``cases.json``."""
    failures = Failures()
    for folder in sorted(fixtures.glob("seed*")):
        (out / folder.name).mkdir(exist_ok=True)
        index = json.loads((folder / "index.json").read_text())
        told: dict[str, Any] = {}
        with TemporaryDirectory() as place:
            write_checkpoint_folder(folder, index, Path(place))
            model = load_model(place, dtype="float32", device="cpu")
        assert isinstance(model, UniPixel)
        for name, case in index["cases"].items():
            with failures.of(f"{folder.name}, the case {name}"):
                frames = [folder / frame for frame in case["frames"]]
                tensors, told[name] = one_case(model, frames, case)
                held = {key: value.contiguous() for key, value in tensors.items()}
                save_file(held, out / folder.name / case.get("file", f"{name}.safetensors"))
        (out / folder.name / "cases.json").write_text(json.dumps(told, indent=1) + "\n")
    failures.raise_any()


def write_checkpoint_folder(folder: Path, index: dict[str, Any], target: Path) -> None:
    """The recorded checkpoint, with SAM2's sizes where the loader looks for them."""
    shutil.copytree(
        folder / "checkpoint", target, dirs_exist_ok=True, copy_function=shutil.copyfile
    )
    config = json.loads((target / "config.json").read_text())
    sizes = index["sam2"]
    config[SAM2_SIZES] = {
        "width": sizes["d_model"],
        "hiera_width": sizes["embed_dim"],
        "hiera_heads": sizes["num_heads"],
        "blocks": sizes["stages"],
        "global_blocks": sizes["global_att_blocks"],
        "windows": sizes["window_spec"],
        "background": sizes["window_pos_embed_bkg_spatial_size"],
        "memory_layers": sizes["memory_layers"],
        "memory_mlp": sizes["memory_ffn"],
        "decoder_mlp": sizes["mask_decoder_mlp_dim"],
        "iou_width": sizes["iou_head_hidden_dim"],
    }
    (target / "config.json").write_text(json.dumps(config))


def one_case(
    model: UniPixel, frames: list[Path], case: dict[str, Any]
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors of one case, and its question, sizes and text."""
    kind = TYPES.index(case["type"])
    asked = model.clip_conversation([case["query"]], len(frames), kind)
    merger: list[Tensor] = []
    mlp = model.qwen.model.visual.merger.mlp
    hook = mlp.register_forward_pre_hook(lambda _, given: merger.append(given[0]))
    state = model.encode_clip(frames)
    hook.remove()
    read = sampled(len(frames))
    rows = patch_rows([state.sam_frames.image(n) for n in read])
    layout = state.view.layout
    text = prompts.user_turn(asked.questions[0], first=True)
    prompt = model.prompt(state, text)
    _, before = model.begun(state, prompt, None)
    turns, (answer,) = model.generate(state, asked, None, MOST, whole=True)
    places = torch.arange(ROWS) * (len(rows) // ROWS | 1)  # an odd step meets all columns
    length = len(prompt.ids)
    ends = prompt.positions[:, -1:] + 1 + torch.arange(len(answer.ids) - 1)
    tensors = {
        "input_ids": prompt.ids[None],
        "attention_mask": torch.ones(1, length, dtype=torch.long),
        "video_grid_thw": torch.tensor([[layout.frames, 2 * layout.rows, 2 * layout.columns]]),
        "second_per_grid_ts": torch.tensor([1.0]),
        "pixel_values_videos_row_index": places,
        "pixel_values_videos_rows": rows[places],
        "position_ids": prompt.positions[:, None],
        "decode_position_ids": ends,
        "visual_tokens": state.tokens,
        "merger_mlp_input_window_order": merger[0],
        "inputs_embeds": embeds(model, state, prompt)[None],
        "prefill_hidden_before_norm": before[None],
        "hidden_before_norm": answer.states,
        "hidden_after_norm": model.qwen.model.language_model.norm(answer.states),
        "logits": answer.logits,
        "output_ids": torch.cat([prompt.ids, torch.tensor(answer.ids)])[None],
        **mask_tensors(model, state, answer),
    }
    told = {
        "question": text.split("<|vision_end|>")[1].split(prompts.END)[0],
        "frames_for_language_model": read,
        "grid_thw": tensors["video_grid_thw"][0].tolist(),
        "merged_tokens": layout.n_tokens,
        "prompt_len": length,
        "new_ids": list(answer.ids),
        "found": turns.found[0],
    }
    return tensors, told


def embeds(model: UniPixel, state: UniPixelState, prompt: ClipPrompt) -> Tensor:
    """What the language model reads."""
    found = model.qwen.get_input_embeddings()(prompt.ids)
    found[prompt.start : prompt.start + len(state.tokens)] = state.tokens
    return found


def mask_tensors(model: UniPixel, state: UniPixelState, answer: Answer) -> dict[str, Tensor]:
    """Every mask of an answer, and SAM2's stages of the first."""
    steps = [n for n, token in enumerate(answer.ids) if token == model.seg_token_id]
    if not steps:
        return {"seg_steps": torch.zeros(0, dtype=torch.long)}
    hidden = answer.states[steps]
    embeds = model.seg_head(hidden)
    clip = state.sam_frames
    masker = model.masker.begin(state)
    last = len(clip) - 1
    offered: list[Tensor] = []
    hook = masker.sam.mask_decoder.register_forward_hook(lambda _, __, out: offered.append(out[0]))
    went = list(masker.steps(embeds[:1]))
    hook.remove()
    shown = sorted({0, 1, 2, last} & set(range(len(clip))))
    top = went[-1].features
    side = state.sam_frames.sam.backbone_feature_sizes[-1]
    found = {
        "seg_steps": torch.tensor(steps),
        "seg_hidden": hidden,
        "seg_tokens": masker.prompts(embeds),
        "pred_masks": (masker.decode(embeds) > 0).to(torch.uint8),
        "sam2_mask_logits_frame_size": masker.decode(embeds[:1])[0],
        "sam2_input": clip.pixels(last)[None],
        "sam2_fpn_s0": top.fine[0],
        "sam2_fpn_s1": top.fine[1],
        "sam2_fpn_top": top.tokens.permute(1, 2, 0).unflatten(-1, tuple(side)),
        "sam2_sparse_frame0": went[0].prompts,
        "sam2_ious": torch.cat([step.masks.ious for step in went]),
        "sam2_object_scores": torch.cat([step.masks.object_scores for step in went]),
        "sam2_masks_low_res": torch.cat([step.masks.low_res for step in went]),
        "sam2_object_pointers": torch.cat([step.masks.pointers for step in went]),
        "sam2_memory_features": memories(masker, clip, went),
        "sam2_conditioned_frames": torch.tensor(shown),
        "sam2_conditioned_features": torch.cat([went[n].image for n in shown]),
    }
    if last:
        found["sam2_sparse_frame1"] = went[1].prompts
    else:
        found["sam2_multimasks_low_res"] = offered[0][0]
    return found


def memories(masker: ClipMasker, clip: Sam2Frames, steps: list[FrameStep]) -> Tensor:
    """What stays in memory of every frame [f, m, h, w]."""
    memory = Memory(masker.sam, len(clip), masker.numbers, masker.binarised)
    kept = [memory.remember(step.frame, step.features, step.masks).features for step in steps]
    side = tuple(masker.sam.backbone_feature_sizes[-1])
    return torch.stack([one[:, 0].T.unflatten(-1, side) for one in kept])
