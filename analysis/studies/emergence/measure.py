"""Measures of one member of the family at one step, as rows of plain values."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import cosine_similarity, normalize

from litelvlm.analysis.inputs.labels import TokenLabels
from litelvlm.analysis.runs.columns import Row
from litelvlm.analysis.stats.ranking import auroc, auroc_of_rows, reversal_index
from litelvlm.analysis.studies.emergence.attention import attention_rows
from litelvlm.analysis.studies.emergence.scenes import (
    Referent,
    Texts,
    category_names,
    embed_texts,
    present,
    referents,
    sentences,
)
from litelvlm.arrays import Array
from litelvlm.clip.probes.last_blocks import (
    norm_outliers,
    to_joint_space,
    used_layer,
    value_path,
)
from litelvlm.clip.states import ClipImage
from litelvlm.training.trainings.scenes import SceneTable
from litelvlm.training.trainings.towers import ConditionedTower, question_constancy

USED = -2
NO_LAYER, NO_HEAD = 0, -1
SINGLE = "alone"
"""Group of referents that share their scene with no other object."""
_BY_CATEGORY = ("true", "absent", "no sos", "no sos absent", "more sos", "more sos absent")
"""Texts that each category has rows of its own for; the bundled rows have the first two."""


def row(
    measure: str,
    value: float,
    n: int,
    text: str = "",
    layer: int = NO_LAYER,
    head: int = NO_HEAD,
    category: str = "",
    sd: float = float("nan"),
) -> Row:
    """One value; ``n`` counts what it is the mean of, ``sd`` is their spread."""
    return {
        "measure": measure,
        "text": text,
        "layer": layer,
        "head": head,
        "category": category,
        "value": float(value),
        "sd": float(sd),
        "n": int(n),
    }


@torch.inference_mode()
def member_rows(tower: ConditionedTower, table: SceneTable, final: bool) -> list[Row]:
    """Every measure of one tower.

    Args:
        tower: At some step of its training.
        table: Held-out scenes.
        final: Whether to read every layer, head and category; else the last two layers alone.
    """
    texts = embed_texts(tower)
    rows = [*retrieval_rows(tower, table, texts), *constancy_rows(texts)]
    rows += attention_rows(tower, sentences(table, tower.factors), heads=final)
    if tower.factors.image != "bag":
        rows += image_rows(tower, table, texts, final)
    return rows


def retrieval_rows(tower: ConditionedTower, table: SceneTable, texts: Texts) -> Iterator[Row]:
    """Whether images find their texts.

    "found": how often a category that the scene holds is nearer to its image than one that it does
    not hold (.5 is chance). "recall": how often the nearest category is in the scene; "recall
    chance": the same for a random one.
    """
    image = normalize(tower.scene_embeds(table), dim=-1)
    cosine = (image @ normalize(texts.template, dim=-1).T).numpy().astype(np.float64)
    held = present(table, tower.factors)
    some = [i for i in range(len(held)) if 0 < held[i].sum() < held.shape[1]]
    areas = [float(auroc(cosine[i], held[i] == 1, held[i] == 0)) for i in some]
    yield row("found", float(np.mean(areas)), len(areas), "template")
    nearest = held[np.arange(len(held)), cosine.argmax(axis=1)]
    yield row("recall", float(nearest.mean()), len(held), "template")
    yield row("recall chance", float(held.mean()), len(held), "template")


def constancy_rows(texts: Texts) -> Iterator[Row]:
    """Length of the mean of unit text embeddings: 1 if all texts are one."""
    for name, embeds in (("template", texts.template), ("bare", texts.bare)):
        yield row("constancy", question_constancy(embeds), len(embeds), name)


def image_rows(
    tower: ConditionedTower, table: SceneTable, texts: Texts, final: bool
) -> Iterator[Row]:
    """Reversal indices by layer and text, the readout's alignment, and tokens of high norm."""
    image = tower.image(table.pixels)
    found, names = referents(table, tower.factors), category_names(tower.factors)
    for layer, tokens in joint_layers(image).items():
        if final or layer >= USED:
            named = names if final else ()
            yield from reversal_rows(tokens, found, texts, layer, named)
    readout, path = used_layer(image), value_path(image)
    agreement = cosine_similarity(readout, path, dim=-1).mean(dim=1)
    yield row(
        "alignment", float(agreement.mean()), len(agreement), layer=USED, sd=float(agreement.std())
    )
    high = [norm_outliers(states.norm(dim=-1)).float().mean() for states in image.patch_tokens]
    yield row("high norm", float(torch.stack(high).mean()), len(high), layer=USED)


def joint_layers(image: ClipImage) -> dict[int, Float[Tensor, "b n p"]]:
    """Tokens in the joint space by layer, counted from the end: -1 is the last block's output."""
    states = [*image.states, image.last_hidden_state]
    return {
        place - len(states): to_joint_space(image.tower, state[:, image.tower.n_prefix :])
        for place, state in enumerate(states)
    }


def reversal_rows(
    tokens: Float[Tensor, "b n p"],
    found: Sequence[Referent],
    texts: Texts,
    layer: int,
    names: Sequence[str],
) -> Iterator[Row]:
    """Reversal index of each kind of text in one layer, mean over referents.

    Texts: "true", "absent" (a category that the scene does not hold), "other mask" (true text, the
    mask of another object), "bare" and "bare absent" (names alone), "empty", "mean" (the mean of
    all questions), "rest" and "rest absent" (questions without that mean), "no sos" and "no sos
    absent" (questions whose [EOS] cannot see [SOS]), "more sos" and "more sos absent" (questions
    whose [EOS] gives [SOS] at least 0.68 of its attention). Each category in ``names`` has rows of
    its own at the used layer, for the true and the absent text and for both with [SOS] hidden and
    with more attention on it.
    """
    sets = {
        "": texts.template,
        "bare": texts.bare,
        "rest": texts.rest,
        "no sos": texts.no_sos,
        "more sos": texts.more_sos,
    }
    scores = {
        name: (tokens @ embeds.T).numpy().astype(np.float64)
        for name, embeds in sets.items()
        if embeds is not None
    }
    single = {"mean": texts.mean, "empty": texts.empty}
    free = {name: (tokens @ vector).numpy().astype(np.float64) for name, vector in single.items()}
    values: dict[str, list[float]] = {}
    for referent in found:
        here = _of_referent(referent, scores, free)
        for name, value in here.items():
            values.setdefault(name, []).append(value)
    for name, every in values.items():
        yield _mean_row("reversal", name, every, layer)
    if layer == USED:
        alone = [i for i, referent in enumerate(found) if referent.other is None]
        for name in ("true", "absent"):
            if alone:
                yield _mean_row("reversal", name, [values[name][i] for i in alone], layer, SINGLE)
        yield from _category_rows(found, values, names)


def _of_referent(
    referent: Referent,
    scores: dict[str, Float[Array, "b n c"]],
    free: dict[str, Float[Array, "b n"]],
) -> dict[str, float]:
    names: list[str] = []
    vectors: list[Float[Array, " n"]] = []
    for name, every in scores.items():
        here = every[referent.scene]
        absent = f"{name} absent" if name else "absent"
        names += [name or "true", *(absent for _ in referent.absent)]
        vectors += [here[:, place] for place in (referent.category, *referent.absent)]
    for name, single in free.items():
        names.append(name)
        vectors.append(single[referent.scene])
    indices = _indices(np.stack(vectors), referent.labels)
    by_name: dict[str, list[float]] = {}
    for name, value in zip(names, indices.tolist(), strict=True):
        by_name.setdefault(name, []).append(value)
    found = {name: float(np.mean(values)) for name, values in by_name.items()}
    if referent.other is not None:
        true = scores[""][referent.scene][None, :, referent.category]
        found["other mask"] = float(_indices(true, referent.other)[0])
    return found


def _indices(scores: Float[Array, "rows n"], labels: TokenLabels) -> Float[Array, "rows"]:
    return reversal_index(auroc_of_rows(scores, labels.inside, labels.outside))


def _mean_row(
    measure: str, text: str, values: Sequence[float], layer: int, category: str = ""
) -> Row:
    spread = float(np.std(values, ddof=1)) if len(values) > 1 else float("nan")
    return row(
        measure, float(np.mean(values)), len(values), text, layer, category=category, sd=spread
    )


def _category_rows(
    found: Sequence[Referent], values: dict[str, list[float]], names: Sequence[str]
) -> Iterator[Row]:
    for place, name in enumerate(names):
        own = [i for i, referent in enumerate(found) if referent.category == place]
        for text in _BY_CATEGORY:
            if own and text in values:
                yield _mean_row("reversal", text, [values[text][i] for i in own], USED, name)
