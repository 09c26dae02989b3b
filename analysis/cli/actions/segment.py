"""`litelvlm segment`: masks, overlays and comparisons of one picture."""

from collections.abc import Iterator, Mapping
from typing import NotRequired, TypedDict

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont

from litelvlm.analysis.cli.actions import segment_clip
from litelvlm.analysis.cli.actions.loading import model_of
from litelvlm.analysis.cli.actions.segmenting import (
    build_pruner,
    cautions,
    segment,
    selections_of,
)
from litelvlm.analysis.cli.verbs.segment import Segment, beside
from litelvlm.analysis.studies.overlay import (
    contrasting_tints,
    draw_kept,
    has_unseen_rim,
    kept_indices,
)
from litelvlm.arrays import Array
from litelvlm.data.files import atomic_write
from litelvlm.data.images import open_image
from litelvlm.data.mask_files import png, write_masks
from litelvlm.data.video.frames import is_clip
from litelvlm.embedded.clip_sizes import has_miniature_sizes
from litelvlm.metrics import intersection_union
from litelvlm.models.base import Grounding, ImageView
from litelvlm.pruning import LayerTrace


class MaskReport(TypedDict):
    """One mask.

    Attributes:
        text: The expression.
        mask: File of the mask.
        overlay: File of the overlay.
        answer: What the model answered.
        found: Whether the answer holds [SEG], so that there is a mask.
        pixels: Size of the mask.
        kept: Raster indices of the kept tokens that have a place in the grid.
        n_kept: Kept tokens, merged ones included.
        layers: Visual tokens per layer, for methods that prune inside the language model.
        compare: File that shows the mask beside the unpruned one.
        pixels_unpruned: Size of the unpruned mask.
        agreement: IoU of both masks, in [0, 1].
    """

    text: str
    mask: str
    overlay: str
    answer: str
    found: bool
    pixels: int
    kept: list[int]
    n_kept: int
    layers: NotRequired[list[int]]
    compare: NotRequired[str]
    pixels_unpruned: NotRequired[int]
    agreement: NotRequired[float]


def run(verb: Segment) -> int:
    """Write masks and overlays, print what was kept and how long it took."""
    if is_clip(verb.image):
        return segment_clip.run(verb)
    picture, pruner = open_image(verb.image), build_pruner(verb)
    model = model_of(verb)
    view = model.view(picture.height, picture.width)
    result = segment(verb, model, picture, pruner)
    whole = segment(verb, model, picture, None) if verb.compare else None
    masks = write(verb, view, picture, result, whole)
    lines = [line for mask in masks for line in mask_lines(mask, view.n_tokens, verb.pruner)]
    times = {stage: round(s * 1e3, 2) for stage, s in result.timings.items()}
    stages = ", ".join(f"{stage} {ms:.1f}" for stage, ms in times.items())
    lines.append(f"{sum(times.values()):.1f} ms: {stages}")
    unseen = has_unseen_rim(view, picture.height, picture.width)
    if unseen:
        lines.append(
            "CLIP reads the square in the middle; the hatched rim of the overlay is unseen."
        )
    random, miniature = model.digest == "random", has_miniature_sizes(model.clip_tower)
    lines += cautions(random, miniature, result.unknown_words)
    report = {
        "model": model.name,
        "miniature": miniature,
        "random_weights": random,
        "pruner": verb.pruner,
        "budget": verb.budget,
        "protocol": verb.protocol,
        "n_tokens": view.n_tokens,
        "unseen_rim": unseen,
        "unknown_words": list(result.unknown_words),
        "masks": masks,
        "timings_ms": times,
    }
    verb.print_found(report, "\n".join([*lines, ""]))
    return int(not all(result.found))


def write(
    verb: Segment, view: ImageView, picture: Image.Image, result: Grounding, whole: Grounding | None
) -> list[MaskReport]:
    """Write the masks, their overlays and, beside an unpruned result, the comparisons."""
    masks, found = result.mask.cpu().numpy(), list[MaskReport]()
    tints, selections = contrasting_tints(picture, masks), selections_of(result)
    for i, (text, name) in enumerate(zip(verb.text, write_masks(verb.place, masks), strict=True)):
        mask, selection = masks[i], selections[i]
        drawn = draw_kept(picture, mask, selection, view, tints[i])
        overlay = atomic_write(beside(name, "overlay"), png(drawn))
        shown: MaskReport = {
            "text": text,
            "mask": str(name),
            "overlay": str(overlay),
            "answer": result.answers[i],
            "found": result.found[i],
            "pixels": int(mask.sum()),
            "kept": kept_indices(selection, view.n_tokens),
            "n_kept": view.n_tokens if selection is None else len(selection),
        }
        if isinstance(selection, LayerTrace):
            shown["layers"] = list(selection.counts)
        if whole is not None:
            other = whole.mask[i].cpu().numpy()
            plain = draw_kept(picture, other, None, view, tints[i])
            panels = {
                f'"{text}"': picture,
                f"all {view.n_tokens} tokens": Image.fromarray(plain),
                f"{shown['n_kept']} tokens, {verb.pruner}": Image.fromarray(drawn),
            }
            page = atomic_write(beside(name, "compare"), png(side_by_side(panels)))
            shown["compare"] = str(page)
            shown["pixels_unpruned"] = int(other.sum())
            shown["agreement"] = intersection_union(mask, other.astype("uint8")).iou
        found.append(shown)
    return found


def mask_lines(mask: MaskReport, n_tokens: int, pruner: str) -> Iterator[str]:
    """What was found and what was kept, in words."""
    yield (
        f'"{mask["text"]}": {mask["pixels"]} pixels -> {mask["mask"]} (overlay: {mask["overlay"]})'
    )
    if not mask["found"]:
        yield f'  no mask: the answer was "{mask["answer"]}", without [SEG]'
    some = kept_text(mask["kept"], mask["n_kept"], n_tokens)
    yield f"  kept {mask['n_kept']} of {n_tokens} visual tokens ({pruner}): {some}"
    if "layers" in mask:
        layers, average = mask["layers"], sum(mask["layers"]) / len(mask["layers"])
        yield f"  visual tokens per layer: {' '.join(map(str, layers))}; {average:.4g} on average"
    if "compare" in mask:
        yield (
            f"  with all tokens: {mask['pixels_unpruned']} pixels; the two masks agree with "
            f"IoU {mask['agreement']:.2f} -> {mask['compare']}"
        )


def kept_text(kept: list[int], n_kept: int, n_tokens: int) -> str:
    """Name the kept tokens; merged ones and CLS have no place in the grid and are counted."""
    others = n_kept - len(kept)
    if len(kept) == n_tokens:
        return "all of them"
    made = f"{others} that {'is' if others == 1 else 'are'} no single patch" if others else ""
    return " and ".join(filter(None, [" ".join(map(str, kept)), made]))


HEIGHT, GAP, TEXT = 360, 12, 18
"""Least height of a panel, space between panels, and height of the letters, in pixels."""


def side_by_side(panels: Mapping[str, Image.Image]) -> UInt8[Array, "height width 3"]:
    """Draw pictures of equal size in a row on white, each under its caption.

    Small pictures are enlarged by a whole number, without smoothing.

    Args:
        panels: Caption to RGB picture.
    """
    first = next(iter(panels.values()))
    times = max(1, -(-HEIGHT // first.height))
    width, height = first.width * times, first.height * times
    font = ImageFont.load_default(size=TEXT)
    columns = [max(width, int(font.getlength(caption))) for caption in panels]
    size = (sum(columns) + GAP * (len(columns) + 1), height + TEXT + 3 * GAP)
    page = Image.new("RGB", size, "white")
    draw, left = ImageDraw.Draw(page), GAP
    for column, (caption, picture) in zip(columns, panels.items(), strict=True):
        draw.text((left, GAP), caption, fill="black", font=font)
        enlarged = picture.convert("RGB").resize((width, height), Image.Resampling.NEAREST)
        page.paste(enlarged, (left, TEXT + 2 * GAP))
        left += column + GAP
    return np.array(page)
