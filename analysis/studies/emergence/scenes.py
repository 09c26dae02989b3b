"""Held-out scenes of one training, and the texts it is asked about them."""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import normalize

from litelvlm.analysis.inputs.labels import TokenLabels, label_tokens, skip_reason
from litelvlm.arrays import NDArray
from litelvlm.clip.probes.last_blocks import without_direction
from litelvlm.clip.probes.text import texts_by_sos, trace_text
from litelvlm.models.glamm.prompting.prompts import QUESTIONS, question
from litelvlm.training.trainings.captions import draw_informative, draw_uninformative
from litelvlm.training.trainings.factors import Factors
from litelvlm.training.trainings.pixels import HELD_OUT_SEED, PixelPool
from litelvlm.training.trainings.scenes import NAMES, SceneTable, chosen_categories, draw_symbols
from litelvlm.training.trainings.towers import ConditionedTower

SCENES = 300
CAPTIONS = 96
ABSENT = 3
"""Texts of absent categories that each referent is compared with."""
_SEED = 777


@dataclass(frozen=True)
class Referent:
    """One object of a held-out scene that can be labelled.

    Attributes:
        scene: Index of the scene.
        category: Place of its category among those of the member.
        labels: Tokens in and out of it.
        absent: Places of categories that the scene does not hold.
        other: Labels of another object of the scene; None if it stands alone.
    """

    scene: int
    category: int
    labels: TokenLabels
    absent: tuple[int, ...]
    other: TokenLabels | None


def held_out(factors: Factors, folder: Path) -> SceneTable:
    """Scenes of no training: symbols from a seed of their own, or pixels with every picture.

    Args:
        factors: Conditions of the member.
        folder: Where rendered scenes are kept.
    """
    if factors.image == "pixels":
        pool = PixelPool(folder, factors, SCENES, HELD_OUT_SEED, "all")
        return pool.table(np.arange(SCENES))
    return draw_symbols(factors, SCENES, np.random.default_rng(_SEED))


def referents(table: SceneTable, factors: Factors) -> list[Referent]:
    """Every object that can be labelled, with absent categories drawn for it.

    Scenes that hold every category are left out, so that all texts have the same referents.
    """
    place_of = {category: i for i, category in enumerate(chosen_categories(factors.categories))}
    rng = np.random.default_rng(_SEED)
    covered = table.coverage.numpy().astype(np.float64)
    found = []
    for scene in range(len(table)):
        slots = [
            slot for slot in range(table.category.shape[1]) if table.category[scene, slot] >= 0
        ]
        present = {place_of[int(table.category[scene, slot])] for slot in slots}
        missing = [i for i in range(factors.categories) if i not in present]
        if not missing:  # no text is absent here
            continue
        known = {
            slot: label_tokens(covered[scene, :, slot])
            for slot in slots
            if skip_reason(covered[scene, :, slot]) is None
        }
        for slot, labels in known.items():
            order = rng.permutation(len(missing))[:ABSENT]
            others = [known[other] for other in known if other != slot]
            found.append(
                Referent(
                    scene,
                    place_of[int(table.category[scene, slot])],
                    labels,
                    tuple(missing[i] for i in order),
                    others[0] if others else None,
                )
            )
    return found


class CategoryTexts(NamedTuple):
    """Embedded texts of one member.

    Attributes:
        each: Texts about every category [C, P] by kind. "template": the suite's first question;
            "bare": the name alone; "rest": "template" without its mean direction; "no sos":
            "template" with [SOS] hidden from [EOS] in every layer; "more sos": "template" with at
            least 0.68 of the attention of [EOS] on [SOS], in every head of every layer. The last
            two are missing where the text is not read at [EOS].
        single: Texts about no category [P]. "mean": the mean of the unit vectors of "template";
            "empty": the empty text.
    """

    each: dict[str, Float[Tensor, "c p"]]
    single: dict[str, Float[Tensor, "p"]]


def category_names(factors: Factors) -> list[str]:
    """Names of the member's categories."""
    return [NAMES[i] for i in chosen_categories(factors.categories)]


@torch.inference_mode()
def embed_texts(tower: ConditionedTower) -> CategoryTexts:
    """Embed every text that the member is asked about."""
    names = category_names(tower.factors)
    questions = [question(name, 0) for name in names]
    template = tower.text(questions).text_embeds
    mean = normalize(template, dim=-1).mean(dim=0)
    each = {"template": template, "bare": tower.text(names).text_embeds}
    each["rest"] = without_direction(template, mean)
    if tower.factors.text_pooling == "eos":
        edited = texts_by_sos(trace_text(tower, questions))
        each |= {name.replace("_", " "): embeds for name, embeds in edited.items()}
    return CategoryTexts(each, {"mean": mean, "empty": tower.text([""]).text_embeds[0]})


def sentences(table: SceneTable, factors: Factors) -> dict[str, list[str]]:
    """Sentences whose attention is read, by kind.

    Returns:
        "queries": every question of the suite about some categories; "bare": names of categories;
        "captions": what the member's captions say when they say something; "uninformative":
        captions that say nothing.
    """
    rng = np.random.default_rng(_SEED)
    names = category_names(factors)
    step = max(1, len(names) // 8)
    return {
        "queries": [
            question(name, number) for name in names[::step][:8] for number in range(len(QUESTIONS))
        ],
        "bare": names,
        "captions": [
            draw_informative(table.things(i), table.place_name(i), factors, rng)
            for i in range(min(CAPTIONS, len(table)))
        ],
        "uninformative": [draw_uninformative(rng) for _ in range(64)],
    }


def present(table: SceneTable, factors: Factors) -> Int[NDArray[np.int64], "scenes c"]:
    """1 where a scene holds a category, else 0."""
    chosen = np.array(chosen_categories(factors.categories))
    held: NDArray[np.int64] = (table.category[:, :, None] == chosen).any(axis=1).astype(np.int64)
    return held
