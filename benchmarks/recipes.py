"""How the dense helper of CLIP's training moves the reversal: ``python benchmarks/recipes.py``.

CLIP of the pictogram miniature is trained with four helpers: none, a weak and a strong one that
join late, and a strong one from the start. Everything else follows from the seed. Trainings resume;
``--measure`` only measures the states that are there, at whatever step they are. An index is that
of ``litelvlm study reversal`` (1 - 2 AUROC at the layer that GLaMM reads), on every referent of val
that covers a token; intervals are over images and categories
(``litelvlm.analysis.stats.crossed``).
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from common import run
from torch.nn.functional import normalize
from tqdm.auto import tqdm

from litelvlm.analysis.inputs.labels import label_tokens, skip_reason
from litelvlm.analysis.stats.crossed import crossed_mean
from litelvlm.analysis.stats.ranking import auroc, reversal_index
from litelvlm.clip.geometry import coverage
from litelvlm.clip.hf import ClipTower
from litelvlm.clip.preprocessing import Preprocessing
from litelvlm.clip.probes.last_blocks import used_layer, without_direction
from litelvlm.data.load import load_refer
from litelvlm.data.worlds.pictograms.categories import CATEGORIES
from litelvlm.models.glamm.prompting.prompts import question
from litelvlm.training.glamm.clip import train_clip
from litelvlm.training.glamm.recipe import RECIPES
from litelvlm.training.glamm.sizes import GRID
from litelvlm.training.glamm.train import load_tokenizers
from litelvlm.training.pool import ScenePool
from litelvlm.training.worlds import get_world

HELPERS = {"none": (0.0, 0), "weak, late": (0.3, 400), "strong, late": (1.0, 400)}
HELPERS["strong, from the start"] = (1.0, 0)
ABSENT = 3
NAMES = list(CATEGORIES)


class Found(NamedTuple):
    """One referent: its image, category, how often it was found, and its indices."""

    image: int
    category: int
    found: float
    index: Mapping[str, float]


def tower_of(folder: Path, weight: float, start: int, seed: int, scenes: Path, measure: bool):
    """The trained tower of one recipe and seed, and its step; None if there is no state yet."""
    recipe = replace(RECIPES["pictograms"], helper=weight, helper_from=start)
    state = folder / "clip.pt"
    if measure and not state.exists():
        return None
    step = recipe.clip.steps
    if measure:
        step = int(torch.load(state, weights_only=True, mmap=True)["step"])
        # No step is taken: the state at hand counts as the end.
        recipe = replace(recipe, clip=replace(recipe.clip, steps=step))
    world = get_world("pictograms")
    words, _ = load_tokenizers(world.name)
    pool = ScenePool(scenes, world, recipe.scenes)
    clip = train_clip(recipe, pool, words, folder, seed, torch.device("cpu"))
    return ClipTower(clip, words), step


@torch.inference_mode()
def referents(tower: ClipTower) -> Iterator[Found]:
    """Measure every referent of val once."""
    data = load_refer("embedded-pictograms", split="val")
    texts = tower.text([question(f"the {name}", 0) for name in NAMES]).text_embeds
    kinds = {"question": texts, "rest": without_direction(texts, texts.mean(0))}
    for number, sample in enumerate(tqdm(list(data), unit="image")):
        rng = np.random.default_rng([0, number])
        image = tower.image(Preprocessing()(sample.image(), tower.image_size))
        tokens = used_layer(image)[0]
        near = (normalize(image.image_embeds, dim=-1) @ normalize(texts, dim=-1).T)[0]
        shown = {data.categories[a.category_id] for a in sample.annotations.values()}
        absent = rng.choice([j for j, n in enumerate(NAMES) if n not in shown], ABSENT, False)
        masks = {
            mask.tobytes(): (mask, NAMES.index(data.categories[expression.category_id[0]]))
            for expression, mask in zip(sample.expressions, sample.targets(), strict=True)
        }
        for mask, own in masks.values():
            covered = np.asarray(coverage(mask, (GRID, GRID), tower.image_size), float).ravel()
            if skip_reason(covered):
                continue
            labels = label_tokens(covered)
            index = {}
            for kind, embeds in kinds.items():
                scores = (tokens @ embeds.T).double().numpy()
                own_index, *others = (
                    float(reversal_index(auroc(scores[:, j], labels.inside, labels.outside)))
                    for j in (own, *absent)
                )
                index[f"{kind}: true"] = own_index
                index[f"{kind}: absent"] = float(np.mean(others))
            found = float((near[own] > near[absent]).float().mean())
            yield Found(sample.image_id, own, found, index)


def summary(rows: list[Found]) -> dict[str, object]:
    """Means with intervals over images and categories."""
    images, categories = (np.array([row[i] for row in rows]) for i in (0, 1))
    columns = {"found": np.array([row.found for row in rows])}
    columns |= {key: np.array([row.index[key] for row in rows]) for key in rows[0].index}
    for kind in ("question", "rest"):
        columns[f"{kind}: true - absent"] = columns[f"{kind}: true"] - columns[f"{kind}: absent"]
    true = columns["question: true"]
    by_category = [true[categories == c].mean() for c in np.unique(categories)]
    out: dict[str, object] = {
        "referents": len(rows),
        "images": len(np.unique(images)),
        "categories": len(by_category),
        "categories reversed": float(np.mean(np.array(by_category) > 0)),
    }
    for name, values in columns.items():
        mean = crossed_mean(values, images, categories)
        out[name] = [round(x, 4) for x in (mean.value, *mean.ends())]
    return out


def measured(out: Path, seeds: tuple[int, ...] = (0,), measure: bool = False) -> dict[str, object]:
    """Train, or only measure what is there; ``out`` holds states and scenes."""
    rows = []
    for name in HELPERS:
        for seed in seeds:
            folder = out / f"{name.replace(', ', '-').replace(' ', '-')}-s{seed}"
            made = tower_of(folder, *HELPERS[name], seed, out / "scenes", measure)
            if made is not None:
                tower, step = made
                rows.append(
                    {"helper": name, "seed": seed, "step": step} | summary(list(referents(tower)))
                )
    return {"recipes": rows}


if __name__ == "__main__":
    run(measured)
