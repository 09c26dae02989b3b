"""Measures of one training at one step, as rows of plain values."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import cosine_similarity, normalize

from litelvlm.analysis.inputs.labels import TokenLabels
from litelvlm.analysis.runs.columns import Row
from litelvlm.analysis.signals.text_attention import attention_measures, carried_shares, sos_ranks
from litelvlm.analysis.stats.ranking import auroc, auroc_of_rows, reversal_index
from litelvlm.analysis.studies.emergence.rows import mean_row, row
from litelvlm.analysis.studies.emergence.scenes import (
    CategoryTexts,
    Referent,
    category_names,
    embed_texts,
    present,
    referents,
    sentences,
)
from litelvlm.arrays import Array, NDArray
from litelvlm.clip.probes.last_blocks import (
    norm_outliers,
    to_joint_space,
    used_layer,
    value_path,
)
from litelvlm.clip.probes.text import text_flow, trace_text
from litelvlm.clip.states import ClipImage
from litelvlm.clip.tower import Tower
from litelvlm.training.trainings.scenes import SceneTable
from litelvlm.training.trainings.towers import ConditionedTower, question_constancy

USED = -2
SINGLE = "alone"
"""Group of referents that share their scene with no other object."""
_BY_CATEGORY = ("true", "absent", "no sos", "no sos absent", "more sos", "more sos absent")
"""Texts that each category has rows of its own for; the bundled rows have the first two."""
NOTHING: Int[NDArray[np.int64], " zero"] = np.array([], dtype=np.int64)


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


def retrieval_rows(
    tower: ConditionedTower, table: SceneTable, texts: CategoryTexts
) -> Iterator[Row]:
    """Whether images find their texts.

    "found": how often a category that the scene holds is nearer to its image than one that it does
    not hold (.5 is chance). "recall": how often the nearest category is in the scene; "recall
    chance": the same for a random one.
    """
    image = normalize(tower.scene_embeds(table), dim=-1)
    cosine = (image @ normalize(texts.each["template"], dim=-1).T).numpy().astype(np.float64)
    held = present(table, tower.factors)
    some = [i for i in range(len(held)) if 0 < held[i].sum() < held.shape[1]]
    areas = [float(auroc(cosine[i], held[i] == 1, held[i] == 0)) for i in some]
    yield row("found", float(np.mean(areas)), len(areas), "template")
    nearest = held[np.arange(len(held)), cosine.argmax(axis=1)]
    yield row("recall", float(nearest.mean()), len(held), "template")
    yield row("recall chance", float(held.mean()), len(held), "template")


def constancy_rows(texts: CategoryTexts) -> Iterator[Row]:
    """Length of the mean of unit text embeddings: 1 if all texts are one."""
    for name in ("template", "bare"):
        embeds = texts.each[name]
        yield row("constancy", question_constancy(embeds), len(embeds), name)


def attention_rows(
    tower: Tower, sentences: Mapping[str, Sequence[str]], heads: bool
) -> Iterator[Row]:
    """Rows about [SOS], each the mean over the sentences of one kind.

    Measures: "lift" (attention on [SOS] over uniform attention), "log lift" (mean of its logarithm
    after averaging over heads), "carried" (share of [SOS] in what [EOS] receives, by norm), "value
    ratio" (value norm of [SOS] over the median of the other tokens) and "rank" (effective number of
    directions in what [SOS] gives to the texts, over all heads; 1 is a constant). "rank" has no
    rows of single heads. A causal [SOS] has one value for all texts, so a head gives every text the
    same direction and its rank is 1.

    Args:
        tower: Whose text side is read.
        sentences: By kind.
        heads: Whether single heads have rows of "lift", "carried" and "value ratio" beside those of
            all heads together.
    """
    for kind, texts in sentences.items():
        trace = trace_text(tower, texts)
        flow = text_flow(trace)
        lift, carried, ratio, carried_by_head, ratio_by_head = [], [], [], [], []
        for number, last in enumerate(trace.text.eos_index.tolist()):
            at = slice(last + 1)
            seen, together, moved, together_norms, norms = (
                part.numpy().astype(np.float64)
                for part in (
                    flow.weights[:, number, :, last, at],
                    flow.carried_together[:, number, last, at],
                    flow.carried[:, number, :, last, at],
                    flow.value_norms_together[:, number, at],
                    flow.value_norms[:, number, :, at],
                )
            )
            lift.append(attention_measures(seen, NOTHING, NOTHING)["lift"])
            carried.append(carried_shares(together, NOTHING, NOTHING)["norm_share"])
            carried_by_head.append(moved[..., 0] / moved.sum(-1))
            ratio.append(together_norms[:, 0] / np.median(together_norms[:, 1:], axis=-1))
            ratio_by_head.append(norms[..., 0] / np.median(norms[..., 1:], axis=-1))
        lifts = np.array(lift)  # [texts, layers, heads]
        of_all = {
            "lift": lifts.mean(axis=2),
            "log lift": np.log(np.maximum(lifts.mean(axis=2), 1e-6)),
            "carried": np.array(carried),
            "value ratio": np.array(ratio),
            "rank": np.array([sos_ranks(trace)]),
        }
        by_head = {
            "lift": lifts,
            "carried": np.array(carried_by_head),
            "value ratio": np.array(ratio_by_head),
        }
        for layer in range(lifts.shape[1]):
            for measure, values in of_all.items():
                yield mean_row(measure, values[:, layer], kind, layer)
            for head in range(lifts.shape[2] if heads else 0):
                for measure, values in by_head.items():
                    yield mean_row(measure, values[:, layer, head], kind, layer, head)


def image_rows(
    tower: ConditionedTower, table: SceneTable, texts: CategoryTexts, final: bool
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
    texts: CategoryTexts,
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
    scores, free = (
        {name: (tokens @ embeds.t()).numpy().astype(np.float64) for name, embeds in part.items()}
        for part in (texts.each, texts.single)
    )
    values: dict[str, list[float]] = {}
    for referent in found:
        here = _of_referent(referent, scores, free)
        for name, value in here.items():
            values.setdefault(name, []).append(value)
    for name, every in values.items():
        yield mean_row("reversal", every, name, layer)
    if layer == USED:
        alone = [i for i, referent in enumerate(found) if referent.other is None]
        for name in ("true", "absent"):
            if alone:
                only = [values[name][i] for i in alone]
                yield mean_row("reversal", only, name, layer, category=SINGLE)
        yield from _category_rows(found, values, names)


def _of_referent(
    referent: Referent,
    scores: dict[str, Float[Array, "b n c"]],
    free: dict[str, Float[Array, "b n"]],
) -> dict[str, float]:
    vectors: dict[str, list[Float[Array, " n"]]] = {}
    for name, every in scores.items():
        here, template = every[referent.scene], name == "template"
        vectors["true" if template else name] = [here[:, referent.category]]
        vectors["absent" if template else f"{name} absent"] = [
            here[:, place] for place in referent.absent
        ]
    vectors |= {name: [single[referent.scene]] for name, single in free.items()}
    found = {
        name: float(_indices(np.stack(own), referent.labels).mean())
        for name, own in vectors.items()
    }
    if referent.other is not None:
        true = scores["template"][referent.scene][None, :, referent.category]
        found["other mask"] = float(_indices(true, referent.other)[0])
    return found


def _indices(scores: Float[Array, "rows n"], labels: TokenLabels) -> Float[Array, "rows"]:
    return reversal_index(auroc_of_rows(scores, labels.inside, labels.outside))


def _category_rows(
    found: Sequence[Referent], values: dict[str, list[float]], names: Sequence[str]
) -> Iterator[Row]:
    for place, name in enumerate(names):
        own = [i for i, referent in enumerate(found) if referent.category == place]
        for text in _BY_CATEGORY:
            if own and text in values:
                chosen = [values[text][i] for i in own]
                yield mean_row("reversal", chosen, text, USED, category=name)
