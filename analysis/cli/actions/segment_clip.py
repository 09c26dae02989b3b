"""`litelvlm segment` of a clip: masks part by part, so that memory stays that of one part."""

from typing import TypedDict

import numpy as np
from PIL import Image
from tqdm.auto import tqdm

from litelvlm.analysis.cli.actions.clip_parts import (
    Part,
    finished_parts,
    mask_file,
    named,
    segment_part,
    settings,
    write_record,
)
from litelvlm.analysis.cli.actions.loading import model_of
from litelvlm.analysis.cli.actions.segmenting import build_pruner, cautions
from litelvlm.analysis.cli.verbs.segment import Segment
from litelvlm.analysis.studies.overlay import TINTS
from litelvlm.analysis.studies.strips import (
    ANIMATION_FRAMES,
    ANIMATION_HEIGHT,
    STRIP_FRAMES,
    STRIP_HEIGHT,
    animation,
    outlined,
    strip,
)
from litelvlm.data.files import atomic_write
from litelvlm.data.mask_files import png
from litelvlm.data.video.frames import ClipFrames, open_frames
from litelvlm.data.video.stills import spread_frames
from litelvlm.embedded.clip_sizes import has_miniature_sizes
from litelvlm.models.base import GroundingModel, ImageView
from litelvlm.models.segmenting import named_method
from litelvlm.pruning import Pruner


class ClipMasks(TypedDict):
    """The masks of one expression.

    Attributes:
        text: The expression.
        folder: Of the masks.
        strip: Picture of a few frames.
        animation: Of more frames.
        pixels: Size of all masks together.
        frames: In how many frames it was found.
        parts_without_seg: Parts whose answer holds no [SEG].
        n_kept: Visual tokens that entered the language model, for each part.
    """

    text: str
    folder: str
    strip: str
    animation: str
    pixels: int
    frames: int
    parts_without_seg: int
    n_kept: list[int]


def run(verb: Segment) -> int:
    """Write what is missing of the masks, then strips and animations; 1 if an answer has no mask.

    Raises:
        ValueError: If the folder holds masks of another command, or the clip cannot be read.
    """
    frames, pruner = open_frames(verb.image), build_pruner(verb)
    model = model_of(verb)
    check_parts(verb, model, frames, pruner)
    asked = settings(verb, model, frames, pruner)
    parts = finished_parts(verb.place, asked)
    starts = range(0, len(frames), verb.clip_frames)
    with tqdm(total=len(frames), unit="frame", desc="segment") as bar:
        for start in starts:
            part = frames[start : start + verb.clip_frames]
            files = [
                mask_file(verb, e, name) for e in range(len(verb.text)) for name in named(part)
            ]
            if start not in parts or not all(file.is_file() for file in files):
                parts[start] = segment_part(verb, model, part, pruner)
                write_record(verb.place, asked, parts)
            bar.update(len(part))
    done = [parts[start] for start in starts]
    masks = [masks_of(verb, frames, done, e) for e in range(len(verb.text))]
    report = {
        "model": model.name,
        "frames": len(frames),
        "clip_frames": verb.clip_frames,
        "pruner": verb.pruner,
        "budget": verb.budget,
        "n_tokens": [part.n_tokens for part in done],
        "seconds": round(sum(part.seconds for part in done), 3),
        "masks": masks,
    }
    words = sorted({word for part in done for word in part.unknown_words})
    notes = cautions(model.digest == "random", has_miniature_sizes(model.clip_tower), words)
    found = [line for one in masks for line in lines(one, len(frames))]
    verb.print_found(report, "\n".join([*found, *notes, ""]))
    return int(any(one["parts_without_seg"] for one in masks))


def check_parts(
    verb: Segment, model: GroundingModel, frames: ClipFrames, pruner: Pruner | None
) -> None:
    """Refuse now what the first part, or a shorter last one, would refuse after the others.

    Raises:
        ValueError: If the model cannot read a part, or the method cannot choose among its tokens.
    """
    width, height = frames.size
    whole, rest = min(len(frames), verb.clip_frames), len(frames) % verb.clip_frames

    def check(view: ImageView) -> None:
        method = named_method(pruner, verb.budget, model.sizes(view.n_tokens))
        if method is not None:
            model.check_method(method[0], view.layout.frames, method[1])

    try:
        view = model.clip_view(height, width, whole)
    except ValueError as error:
        raise ValueError(f"{error}; --clip-frames 1 takes each frame alone") from error
    check(view)
    if rest:
        try:
            check(model.clip_view(height, width, rest))
        except ValueError as error:
            raise ValueError(
                f"the last part has {rest} of {len(frames)} frames, and its own number of tokens: "
                f"{error}; give --budget as a share, or choose another --clip-frames"
            ) from error


def masks_of(verb: Segment, frames: ClipFrames, done: list[Part], e: int) -> ClipMasks:
    """What there is of one expression, drawn as a strip and as an animation."""
    number = f"-{e + 1}" if len(verb.text) > 1 else ""
    page = png(strip(shown(verb, frames, e, STRIP_FRAMES, STRIP_HEIGHT)))
    moving = animation(shown(verb, frames, e, ANIMATION_FRAMES, ANIMATION_HEIGHT))
    return {
        "text": verb.text[e],
        "folder": str(verb.mask_folders[e]),
        "strip": str(atomic_write(verb.shown / f"strip{number}.png", page)),
        "animation": str(atomic_write(verb.shown / f"clip{number}.webp", moving)),
        "pixels": sum(part.pixels[e] for part in done),
        "frames": sum(part.frames[e] for part in done),
        "parts_without_seg": sum(not part.found[e] for part in done),
        "n_kept": [part.n_kept[e] for part in done],
    }


def shown(verb: Segment, frames: ClipFrames, e: int, most: int, height: int) -> list[Image.Image]:
    """Some frames with the masks that were written."""
    found, tint = [], TINTS[e % len(TINTS)]
    for place in spread_frames(len(frames), most):
        with Image.open(mask_file(verb, e, frames.names[place])) as mask:
            inside = np.asarray(mask) > 0
        found.append(outlined(frames[place], inside, height, tint))
    return found


def lines(masks: ClipMasks, n_frames: int) -> list[str]:
    """What was found, in words."""
    told = [
        f'"{masks["text"]}": found in {masks["frames"]} of {n_frames} frames -> {masks["folder"]} '
        f"(strip: {masks['strip']}; animation: {masks['animation']})",
        f"  visual tokens read: {' '.join(map(str, masks['n_kept']))}",
    ]
    if masks["parts_without_seg"]:
        told.insert(1, f"  no mask in {masks['parts_without_seg']} parts: answers without [SEG]")
    return told
