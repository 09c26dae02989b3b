"""Rows of the causal sink study: [EOS] without one key, and what that changes in the selection."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from PIL import Image
from pydantic import Field
from torch import Tensor
from torch.nn.functional import cosine_similarity

from litelvlm.analysis.inputs.foreign import ForeignExpression, choose_foreign_texts
from litelvlm.analysis.inputs.labels import label_tokens
from litelvlm.analysis.inputs.samples import askable, naming, target_mask
from litelvlm.analysis.runs.columns import Row
from litelvlm.analysis.runs.config import Budgets, Count, Index, StudyConfig
from litelvlm.analysis.runs.work import ItemResult
from litelvlm.analysis.signals.text_attention import (
    SPLIT_WORDS,
    TRUNCATED,
    UnusableTextError,
    content_positions,
)
from litelvlm.analysis.stats.ranking import auroc, reversal_index
from litelvlm.analysis.studies.reversal.rows import image_targets
from litelvlm.clip.probes.text import Edit, TextTrace, edited_embeds, trace_text
from litelvlm.clip.tower import Tower
from litelvlm.data.dataset import Dataset, Sample
from litelvlm.data.images import open_image
from litelvlm.models.base import GroundingModel
from litelvlm.models.glamm.prompting.prompts import QUESTIONS, question
from litelvlm.pruning.cues import Cues
from litelvlm.pruning.methods.similarity import LowSimilarity
from litelvlm.pruning.ranking import lowest
from litelvlm.pruning.similarity import text_similarity

PLAIN = ("none", "none")
MASKED = ("mask_sos", "zero_sos_value", "mask_content")
"""Interventions that the masks of a subset are predicted under, in all layers."""


class Config(StudyConfig):
    """Configuration of the study.

    Attributes:
        question_index: Question template, 0 to 15.
        budgets: Token counts at which kept sets are compared; None for the published shares.
        donors: Foreign texts per expression.
        pool: Expressions that foreign texts are taken from.
        mask_images: Images whose masks are predicted under the interventions; 0 leaves masks out.
        mask_budget: Tokens kept for those masks; None for a ninth of all.
        margin: Differences of the reversal index below it count as none, settled before any row is
            seen.
    """

    question_index: int = Field(default=0, ge=0, lt=len(QUESTIONS))
    budgets: Budgets | None = None
    donors: Count = 4
    pool: Count = 64
    mask_images: Index = 12
    mask_budget: Count | None = None
    margin: float = Field(default=0.05, gt=0)


class Words(NamedTuple):
    """Where the words of an expression stand in its sentence.

    Attributes:
        content: Positions of all its tokens.
        spans: Positions of each word.
    """

    content: Int[np.ndarray, "_"]
    spans: tuple[Int[np.ndarray, "_"], ...]


@dataclass(frozen=True)
class Context:
    """What every image of a run shares.

    Attributes:
        model: The model.
        data: The split.
        config: Of the study.
        budgets: Token counts.
        mask_budget: Tokens kept for masks.
        foreign: Expressions of other images, whose texts are controls.
        foreign_embeds: By intervention and layer set, the questions about them, embedded.
    """

    model: GroundingModel
    data: Dataset
    config: Config
    budgets: tuple[int, ...]
    mask_budget: int
    foreign: Sequence[ForeignExpression]
    foreign_embeds: Mapping[tuple[str, str], Float[Tensor, "m p"]]


def layer_sets(n_layers: int) -> dict[str, range]:
    """Every layer, the last third of them, and each one alone.

    Example:
        >>> {name: list(layers) for name, layers in layer_sets(3).items()}
        {'all': [0, 1, 2], 'last third': [2], 'layer 0': [0], 'layer 1': [1], 'layer 2': [2]}
    """
    single = {f"layer {layer}": range(layer, layer + 1) for layer in range(n_layers)}
    return {
        "all": range(n_layers),
        "last third": range(n_layers - max(1, n_layers // 3), n_layers),
    } | single


def read_words(
    tower: Tower, sentences: Sequence[str], expressions: Sequence[str]
) -> list[Words | str]:
    """For each sentence the places of its expression's words, or why they cannot be found."""
    if not sentences:
        return []
    (ids, mask, cut), (inner, inner_mask, _) = (
        tower.tokenize(list(sentences)),
        tower.tokenize(list(expressions)),
    )
    found: list[Words | str] = []
    for number, expression in enumerate(expressions):
        sentence = ids[number, : int(mask[number].sum())].tolist()
        try:
            if cut[number]:
                raise UnusableTextError(TRUNCATED)
            content = content_positions(
                sentence, inner[number, 1 : int(inner_mask[number].sum()) - 1].tolist()
            )
            found.append(Words(content, _spans(tower, expression, content)))
        except UnusableTextError as reason:
            found.append(str(reason))
    return found


def _spans(
    tower: Tower, expression: str, content: Int[np.ndarray, "_"]
) -> tuple[Int[np.ndarray, "_"], ...]:
    """Positions of each word; a word's tokens are those that it has when read alone."""
    lengths = (tower.tokenize(expression.split())[1].sum(1) - 2).cpu().numpy()
    if lengths.sum() != len(content):
        raise UnusableTextError(SPLIT_WORDS)
    return tuple(span for span in np.split(content, np.cumsum(lengths)[:-1]) if len(span))


def readable(
    tower: Tower, sample: Sample, question_index: int
) -> tuple[Sample, list[str], list[Words], tuple[str, ...]]:
    """An image with those of its expressions that can be asked and read word by word.

    Returns:
        The image, the questions, their words, and why each other expression was left out.
    """
    sample, excluded = askable(sample)
    bare = [expression.sent.strip().lower() for expression in sample.expressions]
    questions = [question(text, question_index) for text in bare]
    found = list(
        zip(sample.expressions, questions, read_words(tower, questions, bare), strict=True)
    )
    kept = [
        (expression, sentence, words)
        for expression, sentence, words in found
        if not isinstance(words, str)
    ]
    unread = tuple(words for _, _, words in found if isinstance(words, str))
    sample = sample.with_expressions(tuple(expression for expression, _, _ in kept))
    return (
        sample,
        [sentence for _, sentence, _ in kept],
        [words for _, _, words in kept],
        excluded + unread,
    )


@torch.inference_mode()
def edited(
    trace: TextTrace, words: Sequence[Words], seeds: Sequence[Sequence[int]]
) -> dict[tuple[str, str], Float[Tensor, "t p"]]:
    """Embeddings of all sentences under every intervention and layer set; float32, on the CPU.

    The plain ones come first.

    Args:
        trace: Of the sentences.
        words: Of each sentence.
        seeds: Of each sentence, for the content token that is hidden.
    """
    sos = torch.zeros_like(trace.beyond)
    sos[:, 0] = True
    drawn = torch.zeros_like(sos)
    for number, (own, seed) in enumerate(zip(words, seeds, strict=True)):
        drawn[number, int(np.random.default_rng(seed).choice(own.content))] = True
    edits = {
        "mask_sos": Edit(masked=sos),
        "zero_sos_value": Edit(silenced=sos),
        "mean_sos_value": Edit(mean_sos=True),
        "mask_content": Edit(masked=drawn),
    }
    found = {PLAIN: trace.text.text_embeds.float().cpu()}
    for place, layers in layer_sets(len(trace.inputs)).items():
        for name, edit in edits.items():
            found[name, place] = edited_embeds(trace, edit, layers).float().cpu()
    return found


@torch.inference_mode()
def without_each_word(trace: TextTrace, words: Sequence[Words]) -> list[Float[Tensor, "w p"]]:
    """Per sentence, its embeddings with each of its words hidden from [EOS] in all layers."""
    by_sentence: list[list[Tensor]] = [[] for _ in words]
    for place in range(max(len(own.spans) for own in words)):
        masked = torch.zeros_like(trace.beyond)
        for number, own in enumerate(words):
            if place < len(own.spans):
                masked[number, torch.from_numpy(own.spans[place]).to(masked.device)] = True
        embeds = edited_embeds(trace, Edit(masked=masked), range(len(trace.inputs))).float().cpu()
        for number, own in enumerate(words):
            if place < len(own.spans):
                by_sentence[number].append(embeds[number])
    return [torch.stack(embeds) for embeds in by_sentence]


def image_rows(context: Context, index: int) -> ItemResult:
    """All rows of one image."""
    tower = context.model.tower
    sample, questions, words, unread = readable(
        tower, context.data[index], context.config.question_index
    )
    targets, skipped = image_targets(context.data, context.model, sample)
    skipped = unread + skipped
    if not targets:
        return ItemResult([], skipped)
    trace = trace_text(tower, questions)
    embeds = edited(
        trace, words, [[context.config.seed, int(e.sent_id), 5] for e in sample.expressions]
    )
    each_word = without_each_word(trace, words)
    picture = open_image(sample.image())
    with torch.inference_mode():
        patches = tower.image(tower.pixel_values(picture)).patch_embeds[0].float().cpu()
    ious = (
        mask_ious(context, sample, picture, patches, embeds)
        if index < context.config.mask_images
        else {}
    )
    with naming(sample, sample.expressions[0]):
        scores = {key: _scores(context, patches, texts) for key, texts in embeds.items()}
        foreign_scores = {
            key: _scores(context, patches, texts) for key, texts in context.foreign_embeds.items()
        }
    rows: list[Row] = []
    for number, expression, keys, covered in targets:
        inside, outside, _ = label_tokens(covered)
        chosen = choose_foreign_texts(
            context.foreign,
            sample,
            expression,
            context.config.donors,
            False,
            np.random.default_rng([context.config.seed, int(expression.sent_id), 1]),
        )
        plain = scores[PLAIN][number]
        base = _index(plain[None], inside, outside)
        base_foreign = (
            _index(foreign_scores[PLAIN][chosen], inside, outside) if len(chosen) else None
        )
        keys |= {"ri": base, "n_tokens": int(trace.text.eos_index[number]) + 1}
        for (name, place), texts in embeds.items():
            if (name, place) == PLAIN:
                continue
            row = compared(
                context.budgets, scores[name, place][number][None], plain, inside, outside
            )
            row["cos_eos"] = _cosine(texts[number : number + 1], embeds[PLAIN][number])
            if base_foreign is not None:
                moved = _index(foreign_scores[name, place][chosen], inside, outside) - base_foreign
                row["d_ts"] = row["d_ri"] - moved
            if place == "all" and (name, number) in ious:
                row["iou"], row["d_iou"] = (
                    ious[name, number],
                    ious[name, number] - ious["none", number],
                )
            rows.append(keys | {"intervention": name, "layer_set": place, "n_draws": 1} | row)
        texts = each_word[number]
        row = compared(context.budgets, _scores(context, patches, texts), plain, inside, outside)
        row["cos_eos"] = _cosine(texts, embeds[PLAIN][number])
        rows.append(
            keys | {"intervention": "mask_word", "layer_set": "all", "n_draws": len(texts)} | row
        )
    return ItemResult(rows, skipped)


def compared(
    budgets: Sequence[int],
    scores: Float[np.ndarray, "v n"],
    plain: Float[np.ndarray, "n"],
    inside: Bool[np.ndarray, "n"],
    outside: Bool[np.ndarray, "n"],
) -> dict[str, float]:
    """Change of the reversal index and Jaccard overlap of kept tokens, mean over the variants."""
    row = {"d_ri": _index(scores, inside, outside) - _index(plain[None], inside, outside)}
    for k in budgets:
        before = set(lowest(torch.from_numpy(plain), k).tolist())
        after = [set(kept) for kept in lowest(torch.from_numpy(scores), k).tolist()]
        row[f"jaccard_{k}"] = float(
            np.mean([len(before & kept) / len(before | kept) for kept in after])
        )
    return row


@torch.inference_mode()
def mask_ious(
    context: Context,
    sample: Sample,
    picture: Image.Image,
    patches: Float[Tensor, "n p"],
    embeds: Mapping[tuple[str, str], Float[Tensor, "t p"]],
) -> dict[tuple[str, int], float]:
    """IoU of the masks from the tokens kept under each intervention, by name and expression."""
    model, found = context.model, {}
    state = model.encode_image(picture)
    conversations = [
        model.conversation([expression.sent], context.config.question_index)
        for expression in sample.expressions
    ]
    for name in ("none", *MASKED):
        texts = embeds[PLAIN if name == "none" else (name, "all")]
        selections = [
            LowSimilarity().select(
                Cues({"patch_embeds": patches, "text_embeds": texts[n : n + 1]}, model.grid),
                context.mask_budget,
            )
            for n in range(len(conversations))
        ]
        results = model.ground([state] * len(conversations), conversations, selections)
        for number, (expression, result) in enumerate(
            zip(sample.expressions, results, strict=True)
        ):
            true, mask = target_mask(sample, expression) > 0, result.mask[0].cpu().numpy()
            union = int((true | mask).sum())
            found[name, number] = float((true & mask).sum() / union) if union else 1.0
    return found


def _scores(context: Context, patches: Tensor, texts: Tensor) -> Float[np.ndarray, "t n"]:
    return text_similarity(
        Cues({"patch_embeds": patches, "text_embeds": texts}, context.model.grid)
    ).numpy()


def _index(
    scores: Float[np.ndarray, "v n"], inside: Bool[np.ndarray, "n"], outside: Bool[np.ndarray, "n"]
) -> float:
    return float(np.mean([reversal_index(auroc(row, inside, outside)) for row in scores]))


def _cosine(texts: Float[Tensor, "v p"], plain: Float[Tensor, "p"]) -> float:
    return float(cosine_similarity(texts, plain[None]).mean())
