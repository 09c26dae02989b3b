"""The README's moving picture: masks as visual tokens go, drawn from the bundled miniature.

``python docs/tokens_picture.py docs/pictures/tokens.webp``. Each row is an image, each column a
method, each frame a budget. The images stand at even distances in the split, and their first
expression is asked; no case is chosen by eye.
"""

import argparse
import io
from collections.abc import Sequence
from pathlib import Path

import torch
from matplotlib.figure import Figure
from PIL import Image
from tqdm.auto import tqdm

from litelvlm.analysis.inputs.samples import target_mask, token_coverage
from litelvlm.analysis.studies.overlay import draw_kept
from litelvlm.arrays import Array
from litelvlm.data.dataset import Dataset, Expression, Sample
from litelvlm.data.load import load_refer
from litelvlm.metrics import intersection_union
from litelvlm.models.base import TowerGroundingModel
from litelvlm.models.glamm.build import load_model
from litelvlm.pruning.registry import get_pruner

ANIMATED_METHODS = {
    "high_similarity": "most similar tokens",
    "random": "random tokens",
    "litelvlm": "LiteLVLM: least similar tokens",
    "mask_oracle": "oracle: knows the mask",
}
SHARES = (1, 2 / 3, 1 / 2, 1 / 3, 2 / 9, 1 / 6, 1 / 9, 1 / 18)
"""Shares of the visual tokens, a frame each."""
IMAGES = 3
_FRAME_MS, _LAST_MS = 900, 2200


@torch.inference_mode()
def panels(
    model: TowerGroundingModel, sample: Sample, expression: Expression, budgets: Sequence[int]
) -> dict[tuple[str, int], tuple[Array, float]]:
    """Overlay [height, width, 3] and IoU of one expression by method and budget.

    Args:
        model: The model.
        sample: One image with its expressions.
        expression: The one to ask for.
        budgets: Visual tokens to keep; all of them stand for no pruning.
    """
    picture, truth = sample.image(), target_mask(sample, expression)
    state, asked = model.encode_image(picture), model.conversation([expression.sent])
    covered = torch.from_numpy(token_coverage(truth, model)).float()
    cues = model.cues(state, asked, coverage=covered, key=int(sample.image_id))
    drawn = {}
    for method in ANIMATED_METHODS:
        for budget in budgets:
            whole = budget == state.view.n_tokens
            kept = None if whole else get_pruner(method).select(cues, budget)
            (result,) = model.ground([state], [asked], [kept])
            mask = result.mask[0].cpu().numpy()
            iou = intersection_union(mask, truth).iou
            drawn[method, budget] = draw_kept(picture, mask, kept, state.view), iou
    return drawn


def frames(model: TowerGroundingModel, data: Dataset) -> list[Image.Image]:
    """One picture per share of tokens, from all of them down to the fewest."""
    budgets = [round(share * model.n_tokens) for share in SHARES]
    samples = [data[round((i + 0.5) * len(data) / IMAGES)] for i in range(IMAGES)]
    rows = [
        (sample.expressions[0].sent, panels(model, sample, sample.expressions[0], budgets))
        for sample in tqdm(samples, unit="image")
    ]
    return [_picture(draw_frame(rows, budget, model.n_tokens)) for budget in budgets]


def draw_frame(
    rows: Sequence[tuple[str, dict[tuple[str, int], tuple[Array, float]]]],
    budget: int,
    n_tokens: int,
) -> Figure:
    """One budget: an image with its expression to a row, a method to a column.

    Args:
        rows: Expressions, each with its ``panels``.
        budget: Visual tokens kept.
        n_tokens: Of all.
    """
    figure = Figure(figsize=(9.6, 7.2), dpi=100, layout="constrained")
    axes = figure.subplots(len(rows), len(ANIMATED_METHODS), squeeze=False)
    for ax, title in zip(axes[0], ANIMATED_METHODS.values(), strict=True):
        ax.set_title(title, fontsize=11)
    for line, (text, drawn) in zip(axes, rows, strict=True):
        for ax, method in zip(line, ANIMATED_METHODS, strict=True):
            picture, iou = drawn[method, budget]
            ax.imshow(picture)
            ax.set_xticks([])
            ax.set_yticks([])
            ax.set_xlabel(f"IoU {iou:.2f}", fontsize=12)
        line[0].set_ylabel(f"“{text}”", fontsize=11)
    figure.suptitle(f"{budget} of {n_tokens} visual tokens", fontsize=15, weight="bold")
    return figure


def _picture(figure: Figure) -> Image.Image:
    stream = io.BytesIO()
    figure.savefig(stream, format="png")
    return Image.open(stream).convert("RGB")


def write_animation(pictures: Sequence[Image.Image], path: Path) -> None:
    """Write an animated WebP that runs for ever and rests on its last frame."""
    times = [_FRAME_MS] * (len(pictures) - 1) + [_LAST_MS]
    first, *rest = pictures
    path.parent.mkdir(parents=True, exist_ok=True)
    first.save(path, save_all=True, append_images=rest, duration=times, loop=0, quality=80)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, help="file to write, .webp")
    out: Path = parser.parse_args().out
    write_animation(frames(load_model("embedded"), load_refer("embedded", split="val")), out)


if __name__ == "__main__":
    main()
