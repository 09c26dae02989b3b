"""The explorer's page of a sweep of clips: strips of frames and an animation per expression."""

import base64
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import TypedDict

import torch
from jaxtyping import UInt8
from PIL import Image
from tqdm.auto import tqdm

from litelvlm.analysis.inputs.methods import UNPRUNED
from litelvlm.analysis.pages.explore.data import choose_expressions
from litelvlm.analysis.pages.rendering import page_environment
from litelvlm.analysis.runs.folder import read_rows
from litelvlm.analysis.runs.record import RunRecord
from litelvlm.analysis.studies.overlay import TINTS
from litelvlm.analysis.studies.strips import clip_animation, clip_strip
from litelvlm.analysis.studies.sweep.examples import query_example
from litelvlm.analysis.studies.sweep.passes import SweepContext, expression_passes
from litelvlm.arrays import Array
from litelvlm.data.dataset import Expression, Sample
from litelvlm.data.files import atomic_write
from litelvlm.metrics import TargetPixels, frame_scores, object_pixels, scored_target


class StripView(TypedDict):
    """One strip: what it shows, and the picture as a data URL."""

    label: str
    picture: str


def build_clip_page(
    context: SweepContext,
    record: RunRecord,
    run: Path,
    out: Path,
    legend: Mapping[str, tuple[str, str]],
    shown: str,
    samples: int,
) -> Path:
    """Compute the masks of some expressions again and write the page.

    Args:
        context: Model, data, configuration and budgets of the run.
        record: Of the run.
        run: Its folder.
        out: The page.
        legend: Name for readers and colour of each method, by label.
        shown: Method whose scores choose the expressions, and which the animation shows.
        samples: Expressions on the page.
    """
    rows = read_rows(run)
    chosen = choose_expressions(rows, shown, samples)
    places = {
        int(expression.sent_id): (sample, expression)
        for sample in map(context.data.__getitem__, range(len(context.data)))
        for expression in sample.expressions
    }
    views = [
        clip_view(context, *places[sent_id], legend, shown)
        for sent_id in tqdm(chosen, desc="explore", unit="expression")
    ]
    page = page_environment().get_template("explore_clips.html")
    text = page.render(
        run=run.name,
        model=record.model["name"],
        data_name=f"{record.data['name']} {record.data['split']}",
        n_expressions=rows["sent_id"].nunique(),
        shown=legend[shown][0],
        views=views,
    )
    return atomic_write(out, text)


@torch.inference_mode()
def clip_view(
    context: SweepContext,
    sample: Sample,
    expression: Expression,
    legend: Mapping[str, tuple[str, str]],
    shown: str,
) -> dict[str, object]:
    """Strips of the true masks and of those of every method and budget, and an animation."""
    model, config = context.model, context.config
    posed = query_example(model, sample, expression, config)
    given = sample.masks(expression)
    target = TargetPixels.of(torch.from_numpy(scored_target(given, config.doubled)))
    strips = [_strip("true mask", clip_strip(sample.clip, object_pixels(given), tint=TINTS[2]))]
    moving: dict[str, Array] = {}
    for made in expression_passes(context, 0, posed.cues):
        if made.seed:  # one draw of a random method is enough to look at
            continue
        asked = [posed.state], [posed.conversation], [made.selection]
        (result,) = model.ground(*asked, config.answer)
        masks = result.masks[0].cpu()
        j, f = (float(mean) for mean in frame_scores(masks, target).means())
        name = "all tokens" if made.method == UNPRUNED else legend[made.method][0]
        label = f"{name}, {made.n_kept} tokens: J {100 * j:.1f}, F {100 * f:.1f}"
        label += "" if result.found[0] else ", no [SEG]"
        strips.append(_strip(label, clip_strip(sample.clip, masks.numpy())))
        if made.method in (UNPRUNED, shown):
            moving.setdefault(made.method, masks.numpy())
    return {
        "text": expression.sent,
        "kind": expression.kind or "",
        "strips": strips,
        "animation": _url(clip_animation(sample.clip, *moving.values())),
    }


def _strip(label: str, pixels: UInt8[Array, "height width 3"]) -> StripView:
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, format="WEBP", quality=80)
    return {"label": label, "picture": _url(buffer.getvalue())}


def _url(webp: bytes) -> str:
    return f"data:image/webp;base64,{base64.b64encode(webp).decode('ascii')}"
