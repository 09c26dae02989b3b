"""Recordings of UniPixel that nobody has seen: the command answers every stage of every case."""

import json
import shutil

import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from tests.parity import unipixel
from tests.sam2_reference import clip_frames
from tests.tiny_unipixel import fields, load_tiny, write_tiny

OF_SAM2 = {
    "width": "d_model",
    "hiera_width": "embed_dim",
    "hiera_heads": "num_heads",
    "blocks": "stages",
    "global_blocks": "global_att_blocks",
    "windows": "window_spec",
    "background": "window_pos_embed_bkg_spatial_size",
    "memory_mlp": "memory_ffn",
    "decoder_mlp": "mask_decoder_mlp_dim",
    "iou_width": "iou_head_hidden_dim",
}
"""Our names of SAM2's sizes, and those of the recordings."""
ALWAYS = {
    *("input_ids", "attention_mask", "video_grid_thw", "second_per_grid_ts", "position_ids"),
    *("pixel_values_videos_row_index", "pixel_values_videos_rows", "decode_position_ids"),
    *("visual_tokens", "merger_mlp_input_window_order", "inputs_embeds", "seg_steps"),
    *("prefill_hidden_before_norm", "hidden_before_norm", "hidden_after_norm", "logits"),
    "output_ids",
}
WITH_MASK = {
    *("seg_hidden", "seg_tokens", "pred_masks", "sam2_input", "sam2_fpn_s0", "sam2_fpn_s1"),
    *("sam2_fpn_top", "sam2_sparse_frame0", "sam2_conditioned_features", "sam2_object_scores"),
    *("sam2_conditioned_frames", "sam2_ious", "sam2_masks_low_res", "sam2_object_pointers"),
    *("sam2_memory_features", "sam2_mask_logits_frame_size"),
}


def recorded_form(folder, model_folder):
    """The inputs of a recording: a checkpoint, frames, an index without any expected value."""
    shutil.copytree(model_folder, folder / "checkpoint")
    config = json.loads((folder / "checkpoint" / "config.json").read_text())
    sizes = config.pop("sam2_sizes")
    (folder / "checkpoint" / "config.json").write_text(json.dumps(config))
    (folder / "frames").mkdir()
    for number, frame in enumerate(clip_frames(5)):
        Image.fromarray(frame).save(folder / "frames" / f"{number}.png")
    frames = [f"frames/{number}.png" for number in range(5)]
    cases = {
        "image": {"frames": frames[:1], "type": "query", "query": "A dog."},
        "clip": {"frames": frames, "type": "sentence", "query": "Which disc stops?"},
    }
    named = {OF_SAM2.get(name, name): value for name, value in sizes.items()}
    (folder / "index.json").write_text(json.dumps({"sam2": named, "cases": cases}))


def model_that_begins_with_a_mask(folder):
    """Write the head of a checkpoint so that some answers begin with the token of a mask."""
    model = load_tiny(folder)
    state = model.encode_clip(clip_frames(1))
    asked = model.conversation(["A dog."])
    _, (answer,) = model.generate(state, asked, None, 1)
    with torch.no_grad():
        first = model.qwen.model.language_model.norm(answer.states[0])
        model.qwen.lm_head.weight[model.seg_token_id] = 50 * first / first.dot(first)
    tensors = load_file(folder / "model.safetensors")
    tensors["lm_head.weight"] = model.qwen.lm_head.weight.clone()
    save_file(tensors, folder / "model.safetensors")


def test_every_stage_of_an_unseen_recording_is_answered(tmp_path, monkeypatch):
    monkeypatch.setattr(unipixel, "MOST", 6)
    folder = write_tiny(tmp_path / "model")
    model_that_begins_with_a_mask(folder)
    (tmp_path / "given" / "seed7").mkdir(parents=True)
    (tmp_path / "out").mkdir()
    recorded_form(tmp_path / "given" / "seed7", folder)
    assert "sam2_sizes" in fields()
    with torch.inference_mode():
        unipixel.compute(tmp_path / "given", tmp_path / "out")
    out = tmp_path / "out" / "seed7"
    told = json.loads((out / "cases.json").read_text())
    assert told["image"]["question"] == "Please segment the dog in this image."
    assert told["clip"]["question"].startswith("Which disc stops? Please provide")
    assert told["clip"]["grid_thw"] == [3, *told["image"]["grid_thw"][1:]]
    image, clip = (load_file(out / f"{name}.safetensors") for name in ("image", "clip"))
    assert told["image"]["found"]
    assert set(image) == ALWAYS | WITH_MASK | {"sam2_multimasks_low_res"}
    more = WITH_MASK | {"sam2_sparse_frame1"} if told["clip"]["found"] else set()
    assert set(clip) == ALWAYS | more
    model = load_tiny(folder)
    found = model.segment(clip_frames(1)[0], "A dog.", answer="generated")
    assert torch.equal(found.masks[0], image["pred_masks"][0].bool())
