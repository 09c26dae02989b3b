"""What pruning costs a small grounding model on one training: IoU by rule and budget.

The reader is trained with all tokens on the frozen tower, as GLaMM is, and then reads fewer.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from litelvlm.analysis.runs.columns import Row
from litelvlm.analysis.studies.emergence.measure import USED
from litelvlm.analysis.studies.emergence.rows import mean_row
from litelvlm.analysis.studies.emergence.scenes import (
    embed_texts,
    held_out,
    present,
    referents,
)
from litelvlm.arrays import NDArray
from litelvlm.clip.probes.last_blocks import to_joint_space, value_path
from litelvlm.clip.states import ClipImage
from litelvlm.pruning.base import Pruner
from litelvlm.pruning.cues import Cues
from litelvlm.pruning.registry import get_pruner
from litelvlm.training.trainings.factors import Member
from litelvlm.training.trainings.pixels import PixelPool
from litelvlm.training.trainings.reader import (
    Objects,
    Reader,
    ReaderPlan,
    cell_iou,
    constant_mask,
    mask_iou,
    train_reader,
)
from litelvlm.training.trainings.scenes import SceneTable, draw_symbols
from litelvlm.training.trainings.towers import ConditionedTower

BUDGETS = (0.5, 0.25, 0.125)
"""Shares of the tokens that are kept."""
DRAWS = 5
"""Random selections of each object."""
SCENES = 4000
"""Scenes that a reader is trained on."""
PLAN = ReaderPlan()
"""Size and training of every reader, settled on two trainings before the others were read."""
RULES: Mapping[str, tuple[Pruner, ...]] = {
    "lowest": (get_pruner("litelvlm"),),
    "highest": (get_pruner("litelvlm", direction="highest"),),
    "random": tuple(get_pruner("random", seed=seed) for seed in range(DRAWS)),
    "oracle": (get_pruner("mask_oracle", share=1.0),),
    "value": (get_pruner("value_path"),),
    "grid": (get_pruner("uniform"),),
}
"""What chooses the tokens; with a single text LiteLVLM has no room for context tokens."""
TEXT_GUIDED = ("lowest", "value")
"""Rules that also choose by the text of a category that the scene does not hold."""
_CHUNK = 250
_STREAM = 3  # of scenes; the training of the towers has streams of its own


def reader_rows(tower: ConditionedTower, member: Member, scenes: Path) -> list[Row]:
    """Train a reader on a finished tower and prune what it reads.

    Measures, each the mean over objects: "iou" of the object's cells and "kept", the share of the
    object's tokens that were kept. Texts name what chose the tokens: "all", those of ``RULES``, the
    same with "_foreign" for the text of an absent category (not where a scene holds them all), or
    "none" for the best that can be done without tokens.

    Args:
        tower: With an image side that has patches.
        member: Its conditions and seed.
        scenes: Where rendered scenes are kept.
    """
    factors = member.factors
    lessons = objects_of(tower, training_scenes(member, scenes))
    table = held_out(factors, scenes)
    objects = objects_of(tower, table)
    reader = train_reader(lessons, factors.categories, member.seed, PLAN)
    every = torch.arange(objects.states.shape[1]).expand(len(objects), -1)
    rows = [
        _mean("iou", "none", 0.0, cell_iou(constant_mask(lessons), objects)),
        _mean("iou", "all", 1.0, mask_iou(reader, objects, every)),
    ]
    rows += pruned_rows(
        reader, objects, object_cues(tower, table, objects, objects.category), RULES
    )
    held = present(table, factors)
    if not held.all(axis=1).any():
        cues = object_cues(tower, table, objects, absent_categories(objects, held))
        foreign = {f"{rule}_foreign": RULES[rule] for rule in TEXT_GUIDED}
        rows += pruned_rows(reader, objects, cues, foreign)
    return rows


def training_scenes(member: Member, scenes: Path) -> SceneTable:
    """Scenes that the reader of a member learns from, none of them held out."""
    if member.factors.image == "pixels":
        pool = PixelPool(scenes, member.factors)
        return pool.table(pool.indices(member.seed, 0, min(SCENES, pool.count)))
    rng = np.random.default_rng([member.seed, SCENES, _STREAM])
    return draw_symbols(member.factors, SCENES, rng)


def images_of(tower: ConditionedTower, table: SceneTable) -> Iterator[ClipImage]:
    """What the tower makes of the scenes, some at a time."""
    for start in range(0, len(table), _CHUNK):
        yield tower.image(table.pixels[start : start + _CHUNK])


@torch.inference_mode()
def objects_of(tower: ConditionedTower, table: SceneTable) -> Objects:
    """Objects of some scenes that can be labelled, with the states of their scenes."""
    found = referents(table, tower.factors)
    states = [image.patch_tokens for image in images_of(tower, table)]
    inside = np.stack([referent.labels.inside for referent in found])
    outside = np.stack([referent.labels.outside for referent in found])
    return Objects(
        torch.cat(states),
        torch.tensor([referent.scene for referent in found]),
        torch.tensor([referent.category for referent in found]),
        torch.from_numpy(inside),
        torch.from_numpy(inside | outside),
    )


def absent_categories(objects: Objects, held: Int[NDArray[np.int64], "b c"]) -> Int[Tensor, " k"]:
    """For each object the next category that its scene does not hold; the first follows the last.

    Args:
        objects: Those of the scenes.
        held: 1 where a scene holds a category, else 0 (``scenes.present``).

    Raises:
        ValueError: If a scene holds all categories.
    """
    if full := np.flatnonzero(held.all(axis=1)).tolist():
        raise ValueError(f"scenes {full} hold every category, so none can be named that is absent")
    n = held.shape[1]
    following = (objects.category[:, None] + torch.arange(1, n)) % n  # [K, C - 1]
    free = torch.from_numpy(held)[objects.scene].gather(1, following) == 0
    first: Tensor = free.int().argmax(dim=1, keepdim=True)
    chosen: Tensor = following.gather(1, first)
    return chosen.squeeze(1)


@torch.inference_mode()
def object_cues(
    tower: ConditionedTower, table: SceneTable, objects: Objects, named: Int[Tensor, " k"]
) -> list[Cues]:
    """What methods may know of each object: its scene's patches, a text, and its cells.

    Args:
        tower: Reads the scenes and the text.
        table: Scenes.
        objects: Their objects.
        named: Category that the text of each object names.
    """
    embeds = to_joint_space(tower, objects.states)
    values = torch.cat([value_path(image) for image in images_of(tower, table)])
    texts = embed_texts(tower).each["template"]
    return [
        Cues.from_tensors(
            key=scene,
            patch_embeds=embeds[scene],
            value_path_embeds=values[scene],
            text_embeds=texts[category][None],
            coverage=inside.float(),
        )
        for scene, category, inside in zip(
            objects.scene.tolist(), named.tolist(), objects.inside, strict=True
        )
    ]


def pruned_rows(
    reader: Reader,
    objects: Objects,
    cues: Sequence[Cues],
    rules: Mapping[str, Sequence[Pruner]],
) -> Iterator[Row]:
    """IoU and share of the object's tokens by rule and budget; random draws are averaged."""
    for budget in BUDGETS:
        for rule, pruners in rules.items():
            ious, shares = [], []
            for pruner in pruners:
                kept = torch.stack([pruner.select(each, budget).indices for each in cues])
                ious.append(mask_iou(reader, objects, kept))
                own = objects.inside.gather(1, kept).sum(dim=1)
                shares.append(own / objects.inside.sum(dim=1))
            yield _mean("iou", rule, budget, torch.stack(ious).mean(dim=0))
            yield _mean("kept", rule, budget, torch.stack(shares).mean(dim=0))


def _mean(measure: str, text: str, budget: float, values: Float[Tensor, " k"]) -> Row:
    return mean_row(measure, values.double().numpy(), text, USED) | {"budget": budget}
