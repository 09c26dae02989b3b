"""Sizes of a VideoGLaMM: its ``config.json``, read and checked."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast, get_args

from transformers import Phi3Config

from litelvlm.data.safe.shown import shown
from litelvlm.models.configs import check_bounds, read_fields, rotation
from litelvlm.models.sam2.sizes import SAM2_LARGE, Sam2Sizes
from litelvlm.models.video_glamm.internvideo import InternVideoSizes
from litelvlm.models.video_glamm.options import FrameCount, VideoGlammOptions, Window
from litelvlm.names import check_name

MODEL_TYPE = "VideoGPT+"
"""What a published ``config.json`` calls the family."""
PROJECTORS = ("linear", "mlp2x_gelu")
_LANGUAGE = (
    *("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers"),
    *("num_attention_heads", "rms_norm_eps", "sliding_window"),
)
_OPTIONAL = (
    *("num_key_value_heads", "max_position_embeddings", "original_max_position_embeddings"),
    *("bos_token_id", "eos_token_id", "pad_token_id"),
)
_TOWERS = ("mm_hidden_size", "image_mm_hidden_size")
# The model's code assumes these values; it would run a checkpoint with other values wrongly.
_FIXED: Mapping[str, object] = {
    "hidden_act": "silu",
    "tie_word_embeddings": False,
    "use_sam2": True,
    "mask_decoder_itm": False,
    "mm_use_im_patch_token": False,
    "mm_vision_select_layer": -2,
    "mm_vision_select_feature": "patch",
}


@dataclass(frozen=True, kw_only=True)
class VideoGlammConfig:
    """A ``config.json`` that a model can be built from.

    Attributes:
        language: Fields of Phi-3.
        window: ``sliding_window`` as published: tokens before itself that a token sees.
        num_frames: Frames that the language model sees of a clip; published files do not say.
        video: Sizes of the video tower: the published ones, or the entry "internvideo".
        sam2: Sizes of SAM2: the published large one, or the entry "sam2".
        image_width: Width of CLIP's patch states.
        projectors: Kinds of the video's and of the image's projector.
        marked: Whether start and end tokens stand around the visual ones.
        clip: What it calls CLIP.
        ends: Tokens that end an answer.
        words: That the language model learned and CLIP did not; published files name none.
    """

    language: Mapping[str, object]
    window: int
    num_frames: int
    video: InternVideoSizes
    sam2: Sam2Sizes
    image_width: int
    projectors: tuple[str, str]
    marked: bool
    clip: str | None
    ends: frozenset[int]
    words: frozenset[str]

    def phi3(self, window: Window) -> Phi3Config:
        """The language model's configuration with a window of attention."""
        return Phi3Config(**self.language, sliding_window=self.seen(window))  # type: ignore[arg-type]  # checked

    def seen(self, window: Window) -> int | None:
        """Tokens that a token sees, itself included, as today's library counts; None for all."""
        if window == "none":
            return None
        return self.window + 1 if window == "published" else int(window)

    def own(self, options: VideoGlammOptions) -> VideoGlammOptions:
        """The same options; one that only repeats what the checkpoint says has its default."""
        frames = None if options.num_frames == self.num_frames else options.num_frames
        same = self.seen(options.window) == self.window + 1
        return replace(options, num_frames=frames, window="published" if same else options.window)


def read_config(folder: Path) -> VideoGlammConfig:
    """Read and check the ``config.json`` of a checkpoint folder.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If it is no JSON object, lacks a size, or describes a model that this code does
            not run.
    """
    config, where = read_fields(folder, "VideoGLaMM checkpoint"), folder / "config.json"
    missing = [name for name in (*_LANGUAGE, *_TOWERS) if name not in config]
    if missing:
        raise ValueError(
            f"{where} lacks {', '.join(missing)}; is it the config.json of a VideoGLaMM checkpoint?"
        )
    check_bounds(config, str(where))
    other = [
        f"{name}={shown(config[name])} (known: {known!r})"
        for name, known in _FIXED.items()
        if config.get(name, known) != known
    ]
    if other:
        raise ValueError(f"{where} has {', '.join(other)}; such a model is not known here")
    video = InternVideoSizes().changed(config.get("internvideo", {}), "internvideo", str(where))
    if video.frames not in (1, 2, 4, 8):
        raise ValueError(
            f"{where} has a video tower of {shown(video.frames)} frames; 8 are read in parts"
        )
    sam2 = SAM2_LARGE.changed(config.get("sam2", {}), "sam2", str(where))
    for name, width in (("mm_hidden_size", video.hidden_size), ("out_dim", sam2.width)):
        if config.get(name, width) != width:
            raise ValueError(f"{where} has {name}={shown(config[name])}, its parts have {width}")
    frames = config.get("num_frames", 16)
    if not (type(frames) is int and frames in get_args(FrameCount)):
        raise ValueError(
            f"{where} has num_frames={shown(frames)}; the language model sees 8 or 16 frames"
        )
    words = config.get("words", [])
    if not (isinstance(words, list) and all(isinstance(word, str) for word in words)):
        raise ValueError(f"{where} has words={shown(words)}; it is a list of words")
    clip = config.get("image_mm_vision_tower") or config.get("image_vision_tower")
    language = {n: config[n] for n in (*_LANGUAGE, *_OPTIONAL) if n in config}
    language |= rotation(config, str(where))
    del language["sliding_window"]
    return VideoGlammConfig(
        language={**language, "tie_word_embeddings": False},
        window=cast(int, config["sliding_window"]),
        num_frames=frames,
        video=video,
        sam2=sam2,
        image_width=cast(int, config["image_mm_hidden_size"]),
        projectors=(_projector(config, "mm"), _projector(config, "image_mm")),
        marked=bool(config.get("mm_use_im_start_end")),
        clip=None if clip is None else str(clip),
        ends=_ends(folder, config),
        words=frozenset(words),
    )


def _projector(config: Mapping[str, object], tower: str) -> str:
    name = f"{tower}_projector_type"
    return check_name(str(config.get(name, "linear")), PROJECTORS, name)


def _ends(folder: Path, config: Mapping[str, object]) -> frozenset[int]:
    """Tokens that end an answer: those of ``generation_config.json``, else of ``config.json``."""
    path = folder / "generation_config.json"
    generation = read_fields(folder, "model", path.name) if path.is_file() else config
    named = generation.get("eos_token_id")
    ends = named if isinstance(named, list) else [named]
    if not all(type(end) is int for end in ends):
        raise ValueError(f"{folder} has eos_token_id={shown(named)}; it is a number, or several")
    return frozenset(ends)
