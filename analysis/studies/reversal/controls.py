"""Controls of the reversal study: each removes one other explanation of the ranking."""

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Int
from PIL import Image

from litelvlm.analysis.inputs.clip_models import embed_texts
from litelvlm.analysis.inputs.foreign import choose_foreign_masks, foreign_texts_of
from litelvlm.analysis.inputs.labels import (
    label_tokens,
    random_blob,
    shift_labels,
    skip_reason,
    toroidal_shifts,
)
from litelvlm.analysis.inputs.samples import (
    LabelledExpression,
    askable,
    image_targets,
    naming,
    target_mask,
    token_coverage,
)
from litelvlm.analysis.runs.columns import Row
from litelvlm.analysis.runs.work import ItemResult
from litelvlm.analysis.stats.ranking import auroc
from litelvlm.analysis.studies.constructions import PRIMARY, Construction
from litelvlm.analysis.studies.reversal.patches import embed_patches
from litelvlm.analysis.studies.reversal.rows import (
    RankingRows,
    ReversalContext,
    Shared,
    area,
    measures,
    tags,
    wording_rows,
)
from litelvlm.arrays import Array
from litelvlm.data.dataset import Expression, Sample
from litelvlm.data.images import open_image
from litelvlm.models.base import StudiedModel

# Scores of an image's own texts [T, N] and of all foreign texts [M, N] under one tower.
Scored = tuple[Float[Array, "t n"], Float[Array, "m n"]]


def clip_rows(context: ReversalContext, index: int) -> ItemResult:
    """All rows of one image seen by one CLIP model."""
    tower, shared = context.model.tower, context.texts
    sample, excluded = askable(context.data[index])
    targets, skipped = image_targets(context.data, context.model, sample, context.clip)
    if not targets:
        return ItemResult([], excluded + skipped)
    picture = open_image(sample.image())
    sents = [expression.sent for expression in sample.expressions]
    questions = [context.model.question(sent, context.config.question_index) for sent in sents]
    bare = embed_texts(tower, [sent.strip().lower() for sent in sents])
    with naming(sample, sample.expressions[0]):
        patches = embed_patches(tower, picture)
        asked = embed_texts(tower, questions)
        rankings = wording_rows(patches, asked, bare, context.budgets, context.clip)
        free = patches.scores(torch.stack(list(shared.free.values())))
        random = random_scores(context, picture, questions)
    texts = OtherTexts(
        lambda chosen: patches.scores(shared.foreign[torch.from_numpy(chosen)]),
        dict(zip(shared.free, free, strict=True)),
        lambda number: patches.scores(shared.categories[number][None])[0],
        shared.categories,
    )
    rows: list[Row] = []
    for target in targets:
        with naming(sample, target.expression):
            rows += target_rows(context, sample, target, rankings, texts)
            foreign = foreign_texts(context, sample, target.expression, same_category=False)
            more = text_free(patches.free, target.covered, context.budgets)
            more += random_weights(random, target.number, foreign, target.covered)
            keys = target.keys | rankings.keys(target.number)
            rows += [keys | row for row in more]
    return ItemResult(rows, excluded + skipped)


@dataclass(frozen=True)
class OtherTexts:
    """Scores of one image's tokens by texts that are not its own.

    Attributes:
        foreign: By questions about some foreign expressions, by their numbers, to [M, N].
        free: By texts that name nothing in the image, by text mode.
        category: By the question about a category's name, by its number.
        categories: Numbers of the categories that have a name.
    """

    foreign: Callable[[Int[Array, "m"]], Float[Array, "m n"]]
    free: Mapping[str, Float[Array, "n"]]
    category: Callable[[int], Float[Array, "n"]]
    categories: Container[int]


def target_rows(
    context: Shared,
    sample: Sample,
    target: LabelledExpression,
    rankings: RankingRows,
    texts: OtherTexts | None,
) -> list[Row]:
    """Rows of one expression by one ranker: its own text and mask, then those of its controls.

    Args:
        context: Of the run.
        sample: The image.
        target: The expression and its labels.
        rankings: By the image's own texts.
        texts: By other ones; None where no text changes the scores.
    """
    number, expression, keys, covered = target
    found = rankings.rows(number, covered)
    if texts is not None:
        found += text_controls(context, texts, sample, expression, covered, rankings.key)
    scores = rankings.primary[number]
    found += mask_controls(context, scores, sample, expression, covered, rankings.key)
    return [keys | rankings.keys(number) | row for row in found]


def _averaged(found: Sequence[dict[str, float]]) -> dict[str, float]:
    return {name: float(np.mean([row[name] for row in found])) for name in found[0]}


def foreign_texts(
    context: Shared, sample: Sample, expression: Expression, same_category: bool
) -> Int[Array, "m"]:
    """Numbers of the foreign texts that stand in for an expression's own."""
    config = context.config
    return foreign_texts_of(
        context.foreign, sample, expression, config.donors, config.seed, same_category
    )


def text_controls(
    context: Shared,
    texts: OtherTexts,
    sample: Sample,
    expression: Expression,
    covered: Float[Array, "n"],
    key: Construction,
) -> list[Row]:
    """N1, N1c, N2 and the category's name: the same mask, other texts (averaged if several)."""
    rows, kind, stated = [], key[:3], expression.category_id
    for control, same in (("other_text", False), ("same_category_text", True)):
        chosen = foreign_texts(context, sample, expression, same)
        if len(chosen):
            found = [measures(s, covered, context.budgets) for s in texts.foreign(chosen)]
            row = tags(*kind, "shuffled", control, n_draws=len(chosen)) | _averaged(found)
            rows.append(row | {"same_category": same if stated else None})
    wordings = [(mode, "no_text", values) for mode, values in texts.free.items()]
    if len(stated) == 1 and stated[0] in texts.categories:
        wordings.append(("category", "none", texts.category(stated[0])))
    rows += [
        tags(*kind, mode, control) | measures(values, covered, context.budgets)
        for mode, control, values in wordings
    ]
    return rows


def mask_controls(
    context: Shared,
    scores: Float[Array, "n"],
    sample: Sample,
    expression: Expression,
    covered: Float[Array, "n"],
    key: Construction,
) -> list[Row]:
    """N3 to N6 and N6o: the true text, other masks; areas of several foreign masks are averaged."""
    layout = context.model.view(sample.height, sample.width).layout
    grid = layout.plane
    rng = _generator(context, expression, 2)
    labels = label_tokens(covered)
    rows = []
    foreign = choose_foreign_masks(
        context.foreign, sample, labels.n_in, len(covered), _generator(context, expression, 3)
    )
    # On another grid a small mask may have lost its last token.
    moved_masks = [context.foreign[i].on(layout) for i in foreign]
    others = [label_tokens(mask) for mask in moved_masks if skip_reason(mask) is None]
    if others:
        inside, outside = (
            np.stack([getattr(other, side) for other in others]) for side in ("inside", "outside")
        )
        rows.append(
            tags(*key, "other_masks", n_draws=len(others)) | area(auroc(scores, inside, outside))
        )
    shifts = toroidal_shifts(grid, context.config.shifts, rng)
    moved = auroc(
        scores,
        shift_labels(labels.inside, grid, shifts),
        shift_labels(labels.outside, grid, shifts),
    )
    rows.append(tags(*key, "moved_mask", n_draws=len(shifts)) | area(moved))
    if context.config.blobs:
        blobs = np.stack([random_blob(grid, labels.n_in, rng) for _ in range(context.config.blobs)])
        rows.append(
            tags(*key, "random_blobs", n_draws=len(blobs)) | area(auroc(scores, blobs, ~blobs))
        )
    for purpose, control, same_category in (
        (5, "same_category_object", True),
        (6, "other_category_object", False),
    ):
        rng = _generator(context, expression, purpose)
        other = distractor(context.model, sample, expression, same_category, rng)
        if other is not None:
            row = tags(*key, control) | measures(scores, other, context.budgets)
            rows.append(row | {"same_category": same_category if expression.category_id else None})
    return rows


def text_free(
    free: Mapping[str, Float[Array, "n"]], covered: Float[Array, "n"], budgets: Sequence[int]
) -> list[Row]:
    """N7, and the oracle that ranks tokens by the true mask itself."""
    rows = [
        tags(name, -2, "none", "none", "text_free") | measures(values, covered, budgets)
        for name, values in free.items()
    ]
    return [*rows, tags("mask", -2, "none", "none", "oracle") | measures(covered, covered, budgets)]


def random_scores(
    context: ReversalContext, picture: Image.Image, questions: Sequence[str]
) -> list[Scored]:
    """Scores of one image's own and of all foreign texts under each tower with random weights."""
    found = []
    for tower, foreign in context.random:
        patches = embed_patches(tower, picture, every_layer=False)
        found.append((patches.scores(embed_texts(tower, questions)), patches.scores(foreign)))
    return found


def random_weights(
    random: Sequence[Scored], number: int, foreign: Int[Array, "f"], covered: Float[Array, "n"]
) -> list[Row]:
    """N8: true and foreign texts under random weights, mean over towers; the two must be equal."""
    if not random or not len(foreign):
        return []
    inside, outside, _ = label_tokens(covered)
    true = [auroc(own[number], inside, outside) for own, _ in random]
    shuffled = [auroc(others[i], inside, outside) for _, others in random for i in foreign]
    return [
        tags(*PRIMARY[:3], mode, "random_weights", n_draws=len(areas)) | area(np.stack(areas))
        for mode, areas in (("template", true), ("shuffled", shuffled))
    ]


def distractor(
    model: StudiedModel,
    sample: Sample,
    expression: Expression,
    same_category: bool,
    rng: np.random.Generator,
) -> Float[Array, "n"] | None:
    """Coverage of a random other object of the same or of another category; None without one.

    A crowd is no object: its outline is that of many, the referent perhaps among them.
    """
    categories = set(expression.category_id)
    others = sorted(
        ann_id
        for ann_id, annotation in sample.annotations.items()
        if ann_id not in expression.ann_ids
        and not annotation.crowd
        and (annotation.category_id in categories) == same_category
    )
    for ann_id in rng.permutation(others).tolist():
        covered = token_coverage(target_mask(sample, replace(expression, ann_ids=(ann_id,))), model)
        if skip_reason(covered) is None:
            return covered
    return None


def _generator(context: Shared, expression: Expression, purpose: int) -> np.random.Generator:
    """Random numbers of one expression, the same in whatever order or process it is computed."""
    return np.random.default_rng([context.config.seed, int(expression.sent_id), purpose])
