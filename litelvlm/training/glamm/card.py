"""The model card: how the miniature was trained, and its scores on held-out scenes."""

import json
import platform
from collections.abc import Sequence
from pathlib import Path
from textwrap import fill
from typing import TypedDict

import numpy as np
import torch
import transformers

from litelvlm.arrays import Array
from litelvlm.data.refer import ReferDataset
from litelvlm.metrics import THRESHOLDS, iou
from litelvlm.models.glamm.model import Glamm
from litelvlm.training.glamm.evaluate import (
    ScoredCondition,
    Scores,
    by_image,
    conditions,
    evaluate,
    interval,
    retrieval,
)
from litelvlm.training.loop import Recipe, Stage
from litelvlm.training.worlds import get_world

_HEAD = """# The miniature GLaMM

A model organism: the parts, code path and checkpoint names of GLaMM (CLIP, projector, LLaMA, [SEG]
head, SAM) at about a thousandth of its size, trained from nothing on procedurally drawn scenes. It
makes every tool and study run on learned weights anywhere. **It is not evidence about OpenAI's
CLIP or about GLaMM**: what it shows holds for it alone.
"""
_LIMITS = """## Limits

{}- The language side learned with irregular rotary offsets of the visual tokens (all of them fed,
  none pruned), so that it reads place from what tokens hold. Renumbering after pruning is therefore
  close to what it knows.
- "Left of" is unambiguous here only when one candidate lies on that side, so it can be solved as
  "leftmost".
- SAM's IoU head is untrained (GLaMM ignores it), and so are its mask prompts.
"""


class ScoreRow(TypedDict):
    """One condition's scores, each with its 95 % interval (value, low, high).

    Attributes:
        condition: What was kept.
        ciou: Cumulative IoU.
        p50: Share of expressions with an IoU of at least one half.
    """

    condition: str
    ciou: tuple[float, float, float]
    p50: tuple[float, float, float]


def score_rows(scores: Scores, table: Sequence[ScoredCondition]) -> list[ScoreRow]:
    """CIoU and P@0.5 of every condition with 95 % image-bootstrap intervals, draws pooled."""
    rows: list[ScoreRow] = []
    start = 0
    for condition in table:
        part = slice(start, start + len(condition.draws))
        start = part.stop
        hit, total = scores.intersection[:, part], scores.union[:, part]
        parts = (hit, total, good(hit, total), np.ones(hit.shape))
        hits, totals, right, count = (by_image(values.sum(1), scores.image) for values in parts)
        rows.append(
            {
                "condition": condition.name,
                "ciou": interval(hits, totals),
                "p50": interval(right, count),
            }
        )
    return rows


def good(hit: Array, total: Array) -> Array:
    """1 where the exact IoU reaches one half, else 0; the mean over expressions is P@0.5."""
    reached = iou(hit.ravel(), total.ravel(), exact=True).reshape(hit.shape) >= THRESHOLDS[0]
    right: Array = reached.astype(float)
    return right


def kind_rows(scores: Scores) -> list[tuple[str, int, tuple[float, float, float]]]:
    """P@0.5 of the first condition by expression kind, with the number of expressions."""
    rows = []
    for kind in sorted(set(scores.kind)):
        at = np.array([k == kind for k in scores.kind])
        right = good(scores.intersection[:, 0], scores.union[:, 0]) * at
        per_image = by_image(np.stack([right, at], 1).astype(float), scores.image)
        per_image = per_image[per_image[:, 1] > 0]
        rows.append((kind, int(at.sum()), interval(per_image[:, 0], per_image[:, 1])))
    return rows


def write_card(
    model: Glamm, data: ReferDataset, folder: Path, recipe: Recipe, seed: int, path: Path
) -> None:
    """Score ``model`` on ``data`` and write the card.

    Args:
        model: The exported weights, loaded again.
        data: Held-out scenes.
        folder: Holds the stages' logs.
        recipe: Printed as it is.
        seed: Of the training.
        path: Where the card goes; ``path`` with the suffix .json gets the numbers.
    """
    table = conditions(model.n_tokens)
    scores = evaluate(model, data, table)
    rows, kinds = score_rows(scores, table), kind_rows(scores)
    world = get_world(recipe.world)
    recall, n_retrieved = retrieval(model, world)
    n_images = int(scores.image.max()) + 1
    lines = [
        _HEAD,
        "## Held-out scores\n",
        paragraph(
            f"Split {data.split}, {len(scores.image)} expressions of {n_images} images, "
            "single protocol with the first question and answer template, budgets of "
            f"{model.n_tokens} tokens, 95 % intervals by resampling images (2,000 times)."
        ),
        "| condition | cIoU | P@0.5 |\n|---|---|---|",
        *(f"| {r['condition']} | {show(r['ciou'])} | {show(r['p50'])} |" for r in rows),
        "\n| expressions | n | P@0.5 unpruned |\n|---|---|---|",
        *(f"| {kind} | {n} | {show(value)} |" for kind, n, value in kinds),
        "\nCLIP retrieval, image to text among 64 scenes: "
        f"R@1 {show(recall)} (n = {n_retrieved}).\n",
        "## Training\n",
        paragraph(
            f"Seed {seed}, {platform.machine()}, torch {torch.__version__}, "
            f"transformers {transformers.__version__}, "
            f"device {torch.cuda.get_device_name() if torch.cuda.is_available() else 'CPU'}. "
            f"World `{recipe.world}`, {recipe.scenes:,} distinct scenes. "
            "Reproduce: `python -m litelvlm.training.glamm "
            f"--world {recipe.world} --out FOLDER --seed {seed}`."
        ),
        "| stage | steps | scenes a step | peak rate | minutes | last log entry |\n"
        "|---|---|---|---|---|---|",
        *(_stage_row(getattr(recipe, name), folder) for name in ("clip", "sam", "point", "joint")),
        "",
        paragraph(f"Content sha256 (weights, configuration, tokenizers) `{model.digest}`."),
        _LIMITS.format(world.limits),
    ]
    path.write_text("\n".join(lines))
    numbers = {
        "rows": rows,
        "kinds": kinds,
        "retrieval": recall,
        "n": len(scores.image),
        "n_images": n_images,
    }
    path.with_suffix(".json").write_text(json.dumps(numbers, indent=1) + "\n")


def paragraph(text: str) -> str:
    """A paragraph of a card in lines of at most 100 columns, and the empty line behind it."""
    return fill(text, 100, break_long_words=False, break_on_hyphens=False) + "\n"


def show(value: Sequence[float]) -> str:
    """A value with its interval."""
    return f"{value[0]:.3f} [{value[1]:.3f}, {value[2]:.3f}]"


def _stage_row(stage: Stage, folder: Path) -> str:
    entries = [
        json.loads(line) for line in (folder / f"{stage.name}.jsonl").read_text().splitlines()
    ]
    # A resumed run starts its clock again: add up what each stretch took.
    seconds = sum(
        a["seconds"]
        for a, b in zip(entries, [*entries[1:], {"seconds": 0.0}], strict=True)
        if b["seconds"] < a["seconds"]
    )
    last = ", ".join(
        f"{k.strip('_')} {v:.3f}" for k, v in entries[-1].items() if k not in ("step", "seconds")
    )
    cells = (stage.name, stage.steps, stage.batch, stage.lr, f"{seconds / 60:.0f}", last)
    return f"| {' | '.join(map(str, cells))} |"
