"""A tiny VideoGLaMM from frames to masks, stage by stage, and the official pooling and names.

It goes through the same loader and parts as the real one.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor

from litelvlm import load_model
from litelvlm.models.video_glamm.block import visual_block
from litelvlm.models.video_glamm.language import generate, read_prompt
from litelvlm.models.video_glamm.model import VideoGlamm
from litelvlm.models.video_glamm.network import pool_squares
from litelvlm.models.video_glamm.options import VideoGlammOptions
from litelvlm.models.video_glamm.preprocess import internvideo_pixel_values
from litelvlm.models.video_glamm.weight_names import name_table
from tests.parity.failures import Failures
from tests.parity.videoglamm_folder import write_videoglamm_folder
from tests.parity.videoglamm_masks import framewise_stages, video_stages

PUBLISHED_BLOCKS = 40


def compute(fixtures: Path, out: Path) -> None:
    """Write what each recording below the folder holds: ``stages.safetensors`` and ``index.json``.

    The index has the prompt's and the answer's ids. ``pooling.safetensors`` and the listed names of
    the published checkpoint are answered beside them.
    """
    failures = Failures()
    for recording in sorted(path.parent for path in fixtures.glob("*/index.json")):
        with failures.of(recording.name):
            folder = out / recording.name
            folder.mkdir(exist_ok=True)
            stages, answers = computed_recording(recording, failures)
            save_file(stages, folder / "stages.safetensors")
            (folder / "index.json").write_text(json.dumps({"cases": answers}, indent=1) + "\n")
    if (fixtures / "pooling.safetensors").is_file():
        with failures.of("pooling"):
            save_file(
                pooled(load_file(fixtures / "pooling.safetensors")), out / "pooling.safetensors"
            )
    for listing in fixtures.glob("*keys.json"):
        with failures.of("names"):
            (out / "mapped.json").write_text(json.dumps(mapped(listing), indent=1) + "\n")
    failures.raise_any()


def pooled(recorded: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Every recorded input, pooled to both published grids."""
    inputs = {key.removeprefix("in_"): t for key, t in recorded.items() if key.startswith("in_")}
    return {
        f"out_{count}_to_{side**2}": pool_squares(tokens, side).contiguous()
        for count, tokens in inputs.items()
        for side in (12, 8)
    }


def mapped(listing: Path) -> dict[str, Any]:
    """Official name to [component, target]; those that are not needed map to null."""
    listed = json.loads(listing.read_text())
    table = name_table(PUBLISHED_BLOCKS)
    names = [*listed["keys_linear"], *listed["keys_mlp2x_gelu_differences"]["added"]]
    return {name: table.target_of(name) for name in names}


@contextmanager
def one_thread() -> Iterator[None]:
    """As recorded: with several threads torch resizes with a kernel that rounds otherwise."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def load_recorded(recording: Path, index: Mapping[str, Any]) -> VideoGlamm:
    """The model of a recording."""
    with TemporaryDirectory() as folder:
        write_videoglamm_folder(recording, index, Path(folder))
        options = VideoGlammOptions(num_frames=index["num_frames"])
        return load_model(folder, dtype="float32", device="cpu", attn="eager", options=options)


def computed_recording(
    recording: Path, failures: Failures
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """All stages and ids of a recording."""
    index = json.loads((recording / "index.json").read_text())
    frames = clips(load_file(recording / "stages.safetensors"), index["cases"])
    model = load_recorded(recording, index)
    stages, answers = dict[str, Tensor](), dict[str, Any]()
    for name, case in index["cases"].items():
        with failures.of(f"the case {name}"), one_thread():
            got, answers[name] = computed_case(model, frames[name], case)
            stages |= {f"{name}.{key}": t.contiguous().clone() for key, t in got.items()}
    return stages, answers


def clips(recorded: Mapping[str, Tensor], cases: Mapping[str, Any]) -> dict[str, list[Image.Image]]:
    """Frames of every case; one without any has those of the case of the same sizes before it."""
    found, by_size = dict[str, list[Image.Image]](), {}
    for name, case in cases.items():
        size = (case["frames"], *case["original_size"])
        if f"{name}.frames" in recorded:
            pixels = recorded[f"{name}.frames"].numpy()
            by_size[size] = [Image.fromarray(frame) for frame in pixels]
        found[name] = by_size[size]
    return found


def computed_case(
    model: VideoGlamm, frames: list[Image.Image], case: Mapping[str, Any]
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Stages and ids of one case."""
    state = model.encode_clip(frames)
    n_frames, read = len(state.read), list(state.read)
    patches = state.clip.patch_tokens[read]
    got = {"clip_tokens": patches, "clip_projected": model.project_image(patches)}
    got |= thinned("clip", state.clip.pixel_values[read], case, 6)
    if not state.is_image:
        got["clip_pooled"] = pool_squares(got["clip_projected"], model.grids.pooled)
        side = model.video_tower.sizes.image_size
        seen = [frames[i] for (i,) in state.view.seen]
        pixels = torch.stack([internvideo_pixel_values(frame, side) for frame in seen])
        got |= thinned("internvideo", pixels, case, 4)
        states = model.video_states(pixels)
        got |= {
            "internvideo_cls": states[:, :1],
            "internvideo_tokens": states[:, 1:],
            "internvideo_projected": model.project_video(states[:, 1:]),
            "internvideo_pooled": model.pooled_video(states),
        }
    squares = torch.stack([state.sam_frames.pixels(i) for i in range(len(frames))])
    got["sam_pixel_values_stride8"] = squares[:, :, ::8, ::8]
    got["sam_pixel_values"] = squares[case.get("sam_pixel_values_frames", [-1])]
    asked = model.clip_conversation([case["phrase"]], len(frames)).until(0, ())
    spliced = model.splice(visual_block(model, state, None), asked, n_frames)
    prompt = (model.phi3, spliced.embeds, spliced.positions)
    reply = generate(*prompt, model.config.ends.__contains__, case["max_new_tokens"])
    # All but the last token once more in one pass without a cache, as the official order of work.
    fed = model.phi3.model.embed_tokens(torch.tensor(reply.ids[:-1], dtype=torch.long))
    embeds = torch.cat([spliced.embeds, fed])
    got["inputs_embeds"] = embeds[None]
    got["last_hidden_state"] = read_prompt(model.phi3, embeds, torch.arange(len(embeds)))[None]
    got["step_logits"] = model.phi3.lm_head(reply.states)
    segs = [i for i, token in enumerate(reply.ids) if token == model.tokenizer.seg_id]
    got["seg_hidden"] = reply.states[segs]
    got["seg_embeddings"] = model.seg_head(reply.states[segs])
    if segs:
        got |= framewise_stages(model.with_options(masks="framewise"), state, got["seg_embeddings"])
        got |= video_stages(model, state, got["seg_embeddings"])
    first = len(spliced.embeds) - 1
    answers = {
        "question": asked.questions[0],
        "prompt_ids": spliced.ids,
        "generated_ids": reply.ids,
        "seg_positions": [first + i for i in segs],
    }
    return got, answers


def thinned(tower: str, pixels: Tensor, case: Mapping[str, Any], stride: int) -> dict[str, Tensor]:
    """Some rows of a tower's input, and all rows with pixels left out."""
    name = f"{tower}_pixel_values"
    return {
        name: pixels[case.get("pixel_values_rows", [0])],
        f"{name}_stride{stride}": pixels[:, :, ::stride, ::stride],
    }
