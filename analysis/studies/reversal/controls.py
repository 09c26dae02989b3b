"""Controls of the reversal study: each removes one other explanation of the ranking."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Int
from PIL import Image

from litelvlm.analysis.inputs.clip_models import embed_texts
from litelvlm.analysis.inputs.foreign import choose_foreign_masks, choose_foreign_texts
from litelvlm.analysis.inputs.labelled import image_targets
from litelvlm.analysis.inputs.labels import (
    label_tokens,
    random_blob,
    shift_labels,
    skip_reason,
    toroidal_shifts,
)
from litelvlm.analysis.inputs.samples import askable, naming, target_mask, token_coverage
from litelvlm.analysis.runs.columns import Row
from litelvlm.analysis.runs.work import ItemResult
from litelvlm.analysis.stats.ranking import auroc
from litelvlm.analysis.studies.reversal.patches import Patches, embed_patches
from litelvlm.analysis.studies.reversal.rows import (
    PRIMARY,
    Construction,
    ReversalContext,
    Shared,
    Texts,
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
    tower = context.model.tower
    sample, excluded = askable(context.data[index])
    targets, skipped = image_targets(context.data, context.model, sample, context.clip)
    if not targets:
        return ItemResult([], excluded + skipped)
    picture = open_image(sample.image())
    questions = [
        context.model.question(expression.sent, context.config.question_index)
        for expression in sample.expressions
    ]
    bare = embed_texts(
        tower, [expression.sent.strip().lower() for expression in sample.expressions]
    )
    with naming(sample, sample.expressions[0]):
        patches = embed_patches(tower, picture)
        rankings = wording_rows(patches, embed_texts(tower, questions), bare, context.budgets)
        random = random_scores(context, picture, questions)
    rows: list[Row] = []
    for number, expression, keys, covered in targets:
        with naming(sample, expression):
            foreign = foreign_texts(context, sample, expression, same_category=False)
            texts = EmbeddedTexts(context.texts, patches)
            found = rankings.rows(number, covered)
            found += text_controls(context, texts, sample, expression, covered, foreign)
            found += mask_controls(context, rankings.primary[number], sample, expression, covered)
            found += text_free(patches.free, covered, context.budgets)
            found += random_weights(random, number, foreign, covered)
            keys |= {"rank_agreement": float(rankings.agreement[number])}
            rows += [keys | row for row in found]
    return ItemResult(rows, excluded + skipped)


def _averaged(found: Sequence[dict[str, float]]) -> dict[str, float]:
    return {name: float(np.mean([row[name] for row in found])) for name in found[0]}


def foreign_texts(
    context: Shared, sample: Sample, expression: Expression, same_category: bool
) -> Int[Array, "m"]:
    """Numbers of the foreign texts that stand in for an expression's own."""
    rng = _generator(context, expression, 4 if same_category else 1)
    return choose_foreign_texts(
        context.foreign, sample, expression, context.config.donors, same_category, rng
    )


@runtime_checkable
class ScoredTexts(Protocol):
    """Scores of one image's tokens by texts that are not its own."""

    def foreign(self, chosen: Int[Array, "m"]) -> Float[Array, "m n"]:
        """By questions about some foreign expressions, by their numbers."""

    def free(self) -> Mapping[str, Float[Array, "n"]]:
        """By texts that name nothing in the image, by text mode."""

    def category(self, number: int) -> Float[Array, "n"] | None:
        """By the question about a category's name; None for an unknown one."""


@dataclass(frozen=True)
class EmbeddedTexts:
    """The same by CLIP's text tower.

    Attributes:
        texts: Shared texts in the joint space.
        patches: Tokens in it.
    """

    texts: Texts
    patches: Patches

    def foreign(self, chosen: Int[Array, "m"]) -> Float[Array, "m n"]:
        """By questions about some foreign expressions, by their numbers."""
        return self.patches.scores(self.texts.foreign[torch.from_numpy(chosen)])

    def free(self) -> Mapping[str, Float[Array, "n"]]:
        """By texts that name nothing in the image, by text mode."""
        embeds = self.texts.free
        scores = self.patches.scores(torch.stack(list(embeds.values())))
        return dict(zip(embeds, scores, strict=True))

    def category(self, number: int) -> Float[Array, "n"] | None:
        """By the question about a category's name; None for an unknown one."""
        embed = self.texts.categories.get(number)
        return None if embed is None else self.patches.scores(embed[None])[0]


def text_controls(
    context: Shared,
    texts: ScoredTexts,
    sample: Sample,
    expression: Expression,
    covered: Float[Array, "n"],
    foreign: Int[Array, "f"],
    key: Construction = PRIMARY,
) -> list[Row]:
    """N1, N1c, N2 and the category's name: the same mask, other texts (averaged if several)."""
    rows, kind = [], key[:3]
    same = foreign_texts(context, sample, expression, same_category=True)
    for control, chosen in (("N1", foreign), ("N1c", same)):
        if len(chosen):
            scores = texts.foreign(chosen)
            found = [measures(values, covered, context.budgets) for values in scores]
            row = tags(*kind, "shuffled", control, n_draws=len(chosen)) | _averaged(found)
            rows.append(
                row | {"same_category": control == "N1c" if expression.category_id else None}
            )
    wordings = [(mode, "N2", values) for mode, values in texts.free().items()]
    stated = expression.category_id
    category = texts.category(stated[0]) if len(stated) == 1 else None
    if category is not None:
        wordings.append(("category", "none", category))
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
    key: Construction = PRIMARY,
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
        rows.append(tags(*key, "N3", n_draws=len(others)) | area(auroc(scores, inside, outside)))
    shifts = toroidal_shifts(grid, context.config.shifts, rng)
    moved = auroc(
        scores,
        shift_labels(labels.inside, grid, shifts),
        shift_labels(labels.outside, grid, shifts),
    )
    rows.append(tags(*key, "N4", n_draws=len(shifts)) | area(moved))
    if context.config.blobs:
        blobs = np.stack([random_blob(grid, labels.n_in, rng) for _ in range(context.config.blobs)])
        rows.append(tags(*key, "N5", n_draws=len(blobs)) | area(auroc(scores, blobs, ~blobs)))
    for purpose, control, same_category in ((5, "N6", True), (6, "N6o", False)):
        other = distractor(
            context.model,
            sample,
            expression,
            same_category,
            _generator(context, expression, purpose),
        )
        if other is not None:
            row = tags(*key, control) | measures(scores, other, context.budgets)
            rows.append(row | {"same_category": same_category if expression.category_id else None})
    return rows


def text_free(
    free: Mapping[str, Float[Array, "n"]], covered: Float[Array, "n"], budgets: Sequence[int]
) -> list[Row]:
    """N7, and the oracle that ranks tokens by the true mask itself."""
    rows = [
        tags(name, -2, "none", "none", "N7") | measures(values, covered, budgets)
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
    random: Sequence[Scored],
    number: int,
    foreign: Int[Array, "f"],
    covered: Float[Array, "n"],
) -> list[Row]:
    """N8: true and foreign texts under random weights, mean over towers; the two must be equal."""
    if not random or not len(foreign):
        return []
    inside, outside, _ = label_tokens(covered)
    true = [auroc(own[number], inside, outside) for own, _ in random]
    shuffled = [auroc(others[i], inside, outside) for _, others in random for i in foreign]
    return [
        tags("P0", -2, "dot", mode, "N8", n_draws=len(areas)) | area(np.stack(areas))
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
