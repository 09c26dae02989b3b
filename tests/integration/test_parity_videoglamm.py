"""VideoGLaMM beside the official code, within the tolerances that the recordings' README states.

Other recordings of the same form are compared too where ``LITELVLM_RECORDINGS`` names their folder.
The code under test gets a copy without any expected value, so it cannot have looked.
"""

import json
import os
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.utils.flop_counter import FlopCounterMode

from litelvlm.models.video_glamm.block import visual_block
from litelvlm.models.video_glamm.build import new_parts
from litelvlm.models.video_glamm.config import read_config
from litelvlm.models.video_glamm.language import generate, read_prompt
from litelvlm.models.video_glamm.options import VideoGlammOptions
from litelvlm.models.video_glamm.preprocess import internvideo_pixel_values
from litelvlm.models.video_glamm.weight_names import name_table
from litelvlm.models.weights import check_names, places_of
from tests.parity import videoglamm
from tests.parity.__main__ import FOLDERS

BUNDLED = Path(__file__).parents[1] / "fixtures" / "parity" / "videoglamm"
OTHERS = [Path(folder) for folder in filter(None, [os.environ.get("LITELVLM_RECORDINGS")])]
# Of a stage's name the longest beginning counts.
TOLERANCES = {
    "": 1e-4,
    "clip_pixel_values": 0,
    "internvideo_pixel_values": 0,
    "sam_pixel_values": 0,
    "framewise.sam_image_embed": 1e-5,
    "framewise.high_res": 1e-5,
    "framewise.low_res": 5e-3,
    "framewise.all_low_res": 5e-3,
    "framewise.iou": 1e-3,
    "framewise.all_iou": 1e-3,
    "framewise.object_score": 1e-3,
    "framewise.stability": 1e-3,
    "video.low_res": 1e-2,
    "video.logits": 1e-2,
    "video.memory_conditioned": 1e-2,
    "video.iou": 1e-3,
    "video.object_score": 3e-4,
    "video.obj_ptr": 1e-3,
    "video.memory_bf16": 0.15,
}


@pytest.fixture(scope="module", params=[BUNDLED, *OTHERS], ids=lambda folder: folder.name)
def recorded(request, tmp_path_factory):
    """Folder of recordings, and what is computed from the inputs alone."""
    inputs, out = tmp_path_factory.mktemp("in") / "recordings", tmp_path_factory.mktemp("out")
    shutil.copytree(request.param, inputs, copy_function=shutil.copyfile)
    for stages in inputs.glob("*/stages.safetensors"):
        given = {k: v for k, v in load_file(stages).items() if k.endswith(".frames")}
        save_file(given, stages)
    given = {k: v for k, v in load_file(inputs / "pooling.safetensors").items() if k[:3] == "in_"}
    save_file(given, inputs / "pooling.safetensors")
    for listing in inputs.glob("*/index.json"):
        index = json.loads(listing.read_text())
        asked = ("kind", "frames", "original_size", "phrase", "max_new_tokens")
        asked += ("pixel_values_rows", "sam_pixel_values_frames")
        for name, case in index["cases"].items():
            index["cases"][name] = {key: case[key] for key in asked if key in case}
        listing.write_text(json.dumps(index))
    assert FOLDERS["videoglamm"] is videoglamm.compute
    with torch.inference_mode():
        videoglamm.compute(inputs, out)
    return request.param, out


def recordings(folder):
    return sorted(path.parent for path in folder.glob("*/index.json"))


def tolerance(stage):
    return TOLERANCES[max((name for name in TOLERANCES if stage.startswith(name)), key=len)]


def test_every_stage(recorded):
    folder, out = recorded
    for recording in recordings(folder):
        official = load_file(recording / "stages.safetensors")
        ours = load_file(out / recording.name / "stages.safetensors")
        compared = [key for key in official if not key.endswith(".frames")]
        assert len(compared) > 15
        for key in compared:
            stage = key.split(".", 1)[1]
            if stage.endswith("masks"):  # share of pixels on the other side
                assert ours[key].shape == official[key].shape
                assert (ours[key] != official[key]).double().mean() <= 1e-3, key
            else:
                torch.testing.assert_close(
                    ours[key],
                    official[key],
                    atol=tolerance(stage),
                    rtol=0,
                    msg=lambda m, k=key: k + m,
                )


def test_every_id(recorded):
    folder, out = recorded
    for recording in recordings(folder):
        official = json.loads((recording / "index.json").read_text())["cases"]
        ours = json.loads((out / recording.name / "index.json").read_text())["cases"]
        for name, case in official.items():
            for what in ("question", "prompt_ids", "generated_ids", "seg_positions"):
                if what in case:
                    assert ours[name][what] == case[what], (name, what)


def test_pooling_of_every_square(recorded):
    folder, out = recorded
    official = load_file(folder / "pooling.safetensors")
    ours = load_file(out / "pooling.safetensors")
    keys = [key for key in official if key.startswith("out_")]
    assert {key.split("_")[1] for key in keys} == {"576", "256", "196", "144", "81"}
    for key in keys:
        torch.testing.assert_close(ours[key], official[key], atol=1e-6, rtol=0)


@pytest.mark.parametrize("projector", ["linear", "mlp2x_gelu"])
def test_every_published_name_has_its_place_at_full_size(recorded, projector, tmp_path):
    listed = json.loads((recorded[0] / "videoglamm_keys.json").read_text())
    shapes = {n: v["shape"] if isinstance(v, dict) else v for n, v in listed["keys_linear"].items()}
    if projector != "linear":
        changed = listed["keys_mlp2x_gelu_differences"]
        shapes = {n: s for n, s in shapes.items() if n not in changed["removed"]}
        added = changed["added"].items()
        shapes |= {n: v["shape"] if isinstance(v, dict) else v for n, v in added}
    assert len(shapes) == {"linear": 1674, "mlp2x_gelu": 1678}[projector]
    (tmp_path / "config.json").write_text(json.dumps(PUBLISHED | projector_types(projector)))
    with torch.device("meta"):
        parts = new_parts(read_config(tmp_path), "sdpa", VideoGlammOptions())
    table = name_table(40)
    places = places_of(table, parts)
    check_names(table, {name: tuple(shape) for name, shape in shapes.items()}, places)
    needless = [name for name in shapes if table.target_of(name) is None]
    assert all(name.startswith("model.vision_tower.") for name in needless)
    assert len(needless) == 60
    # The last block, which is not run, is as large as the one before.
    last = {n: shapes[n] for n in needless if ".blocks.39." in n}
    assert len(last) == 13
    assert all(shapes[n.replace(".39.", ".38.")] == shape for n, shape in last.items())
    # A name or shape that does not fit is told.
    wrong = {name: tuple(shape) for name, shape in shapes.items()} | {"lm_head.weight": (1, 1)}
    with pytest.raises(ValueError, match=r"1 misshapen: lm_head.weight is \[1, 1\]"):
        check_names(table, wrong, places)


PUBLISHED = {
    "model_type": "VideoGPT+",
    "vocab_size": 32012,
    "hidden_size": 3072,
    "intermediate_size": 8192,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "rms_norm_eps": 1e-5,
    "sliding_window": 2047,
    "mm_hidden_size": 1408,
    "image_mm_hidden_size": 1024,
    "eos_token_id": 32000,
}


def projector_types(kind):
    return {"mm_projector_type": kind, "image_mm_projector_type": kind}


@torch.inference_mode()
def test_a_tenth_of_the_official_work(recorded):
    """Both mask paths of the official code run every tower anew for each token, ours once."""
    for recording in recordings(recorded[0]):
        index = json.loads((recording / "index.json").read_text())
        frames = videoglamm.clips(load_file(recording / "stages.safetensors"), index["cases"])
        model = videoglamm.load_recorded(recording, index)
        ours = official = rows = official_rows = 0
        for name, case in index["cases"].items():
            calls = Calls(model)
            with FlopCounterMode(display=False) as counter, calls:
                state = model.encode_clip(frames[name])
                block = visual_block(model, state, None)
                asked = model.clip_conversation([case["phrase"]], len(frames[name])).until(0, ())
                spliced = model.splice(block, asked, len(state.read))
                prompt = (model.phi3, spliced.embeds, spliced.positions)
                ids = generate(*prompt, model.config.ends.__contains__, case["max_new_tokens"]).ids
            ours, rows = ours + counter.get_total_flops(), rows + calls.rows
            passes = len(ids) + 1
            n_prompt = len(spliced.embeds)
            assert calls.rows == n_prompt + len(ids) - 1
            assert calls.towers == (1 if state.is_image else 1 + index["num_frames"] // 4)
            for path in ("calls_framewise", "calls_video"):
                assert case[path]["llm_forward"] == case[path]["clip_tokens"] == passes
            each = [n_prompt, *range(n_prompt, n_prompt + len(ids))]
            official_rows += 2 * sum(each)
            with FlopCounterMode(display=False) as counter:
                for length in each:
                    official_pass(model, frames[name], state, spliced.embeds, length)
            official += 2 * counter.get_total_flops()
        assert 10 * rows <= official_rows
        assert 10 * ours <= official


class Calls:
    """Counts tower runs, and rows that the language model reads."""

    def __init__(self, model):
        self.model, self.towers, self.rows = model, 0, 0

    def __enter__(self):
        def tower(*_):
            self.towers += 1

        def language(module, args, given):
            self.rows += given["inputs_embeds"].shape[1]

        first = self.model.tower.clip.vision_model.embeddings
        self.handles = [
            first.register_forward_pre_hook(tower),
            self.model.video_tower.register_forward_pre_hook(tower),
            self.model.phi3.model.register_forward_pre_hook(language, with_kwargs=True),
        ]

    def __exit__(self, *_):
        for handle in self.handles:
            handle.remove()


def official_pass(model, frames, state, embeds, length):
    """One pass in the official order of work: both towers, projectors, the whole text."""
    seen = [frames[i] for (i,) in state.view.seen] or frames
    clip = model.tower.image(torch.cat([model.tower.pixel_values(frame) for frame in seen]))
    model.project_image(clip.patch_tokens)
    if not state.is_image:
        side = model.video_tower.sizes.image_size
        squares = [internvideo_pixel_values(frame, side) for frame in seen]
        model.pooled_video(model.video_states(torch.stack(squares)))
    text = torch.cat([embeds, embeds[: length - len(embeds)]])[:length]
    read_prompt(model.phi3, text, torch.arange(length))
