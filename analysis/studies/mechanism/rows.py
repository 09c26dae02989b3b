"""Rows of the mechanism study: one expression's reversal under every probe."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from PIL import Image
from pydantic import Field
from torch import Tensor

from litelvlm.analysis.inputs.clip_models import embed_texts
from litelvlm.analysis.inputs.foreign import ForeignExpression, choose_foreign_texts
from litelvlm.analysis.inputs.labelled import image_targets
from litelvlm.analysis.inputs.labels import label_tokens
from litelvlm.analysis.inputs.questions import QuestionConfig
from litelvlm.analysis.inputs.samples import askable, naming
from litelvlm.analysis.runs.columns import Row
from litelvlm.analysis.runs.config import Count, Index
from litelvlm.analysis.runs.work import ItemResult
from litelvlm.analysis.stats.ranking import auroc, pointing_game, reversal_index
from litelvlm.analysis.studies.mechanism.dense import called_classes, class_columns
from litelvlm.analysis.studies.mechanism.words import split_words
from litelvlm.arrays import Array
from litelvlm.clip.probes import last_blocks as probes
from litelvlm.clip.probes.registers import with_spare_register
from litelvlm.clip.states import ClipImage
from litelvlm.data.dataset import Dataset
from litelvlm.data.images import open_image
from litelvlm.models.base import TowerModel
from litelvlm.pruning.cues import Cues
from litelvlm.pruning.features import unit_rows
from litelvlm.pruning.scoring import text_similarity

READOUTS: Mapping[str, Callable[[ClipImage], Tensor]] = {
    "P0": probes.used_layer,
    "P1": probes.final_layer,
    "P2a": probes.identity_attention,
    "P2b": probes.value_path,
    "P3": probes.surgery,
    "P4a": probes.clear_clip,
    "P4b": probes.s_clip,
}
"""Readouts of the image tower, by probe."""
PROBES: Mapping[str, str] = {
    "P0": "as released",
    "P0c": "cosine instead of dot",
    "P1": "last layer",
    "P2a": "last attention set to identity",
    "P2b": "values of the last block alone",
    "P3": "value-value path of the last six blocks",
    "P4a": "query-query attention, no residual, no MLP",
    "P4b": "query-query plus key-key attention",
    "P5a": "outliers left out of the ranking",
    "P5b": "outliers replaced by their neighbours' mean",
    "P5c": "register neurons moved to a spare token",
    "P5d": "outliers beyond a fixed norm left out",
    "P6a": "empty text subtracted",
    "P6b": "mean text projected out",
    "P6c": "image mean subtracted, cosine",
    "P6d": "all three, cosine",
    "P7n": "the noun alone",
    "P7a": "the attributes alone",
}
"""Every probe and what it changes; each keeps the rest as released."""
BASE = "P0"
"""The released ranking, which the others are compared with."""


class Config(QuestionConfig):
    """Configuration of the study.

    Attributes:
        donors: Foreign texts per expression.
        pool: Expressions that foreign texts are taken from.
        deviations: Median absolute deviations above the median from which a token's norm makes it
            an outlier.
        fixed_norm: Share of the mean norm beyond which a token counts as an outlier in the
            sensitivity probe.
        neurons: Register neurons that are moved.
        neuron_images: Images in which they are found.
        clip: Other CLIP models to read as well, by the names of
            ``litelvlm.clip.load.load_tower``.
    """

    donors: Count = 4
    pool: Count = 64
    deviations: float = Field(default=5.0, gt=0)
    fixed_norm: float = Field(default=1.5, gt=1)
    neurons: Count = 10
    neuron_images: Index = 16
    clip: tuple[str, ...] = ()


@dataclass(frozen=True)
class MechanismContext:
    """What every image of a run shares, for one CLIP model.

    Attributes:
        model: The model; only its towers are read.
        data: The split.
        config: Of the study.
        clip: Name of another CLIP model; empty for the model's own.
        foreign: Expressions of other images, whose texts are controls.
        texts: Questions about the foreign expressions, embedded.
        empty: The empty text, embedded.
        neurons: Register neurons by block; none if no image has an outlier or the tower rotates
            positions.
        named: Categories that a patch can be called, by id.
        class_texts: Their names in a prompt, embedded in that order.
    """

    model: TowerModel
    data: Dataset
    config: Config
    clip: str
    foreign: Sequence[ForeignExpression]
    texts: Float[Tensor, "m p"]
    empty: Float[Tensor, "p"]
    neurons: Mapping[int, Sequence[int]]
    named: Mapping[int, str]
    class_texts: Float[Tensor, "c p"]


class Ranking(NamedTuple):
    """Scores of one image's tokens under one probe.

    Attributes:
        own: For the image's own texts; a row of nan where the probe has no text for an expression.
        foreign: For all foreign texts; None if the probe changes the text beyond what they
            have.
        ranked: Tokens that take part.
        called: Number of the category that each token is called; None where no readout of the last
            blocks is the probe, or the data state no categories.
    """

    own: Float[Array, "t n"]
    foreign: Float[Array, "m n"] | None
    ranked: Bool[Array, "n"]
    called: Int[Array, "n"] | None = None


def clip_rows(context: MechanismContext, index: int) -> ItemResult:
    """All rows of one image seen by one CLIP model."""
    sample, excluded = askable(context.data[index])
    targets, skipped = image_targets(context.data, context.model, sample, context.clip)
    rows: list[Row] = []
    if targets:
        with naming(sample, sample.expressions[0]):
            rankings = rank_all(
                context, open_image(sample.image()), [e.sent for e in sample.expressions]
            )
        for number, expression, keys, covered in targets:
            rng = np.random.default_rng([context.config.seed, int(expression.sent_id), 1])
            chosen = choose_foreign_texts(
                context.foreign, sample, expression, context.config.donors, False, rng
            )
            with naming(sample, expression):
                rows += [
                    keys | {"probe": probe} | found | _calls(context, ranking, covered)
                    for probe, ranking in rankings.items()
                    if (found := probe_row(ranking, number, chosen, covered)) is not None
                ]
    return ItemResult(rows, excluded + skipped)


def _calls(context: MechanismContext, ranking: Ranking, covered: Float[Array, "n"]) -> Row:
    return {} if ranking.called is None else class_columns(ranking.called, covered, context.named)


def probe_row(
    ranking: Ranking, number: int, chosen: Int[Array, "f"], covered: Float[Array, "n"]
) -> dict[str, float] | None:
    """Measures of one expression under one probe; None without a text or a ranked token there."""
    inside, outside, _ = label_tokens(covered)
    inside, outside, scores = inside & ranking.ranked, outside & ranking.ranked, ranking.own[number]
    if np.isnan(scores).all() or not inside.any() or not outside.any():
        return None
    row = {"ri": float(reversal_index(auroc(scores, inside, outside)))}
    row["pointing"] = pointing_game(scores, inside, outside)
    row["n_ranked"] = int(ranking.ranked.sum())
    if ranking.foreign is not None and len(chosen):
        others = [reversal_index(auroc(ranking.foreign[i], inside, outside)) for i in chosen]
        row["ri_foreign"] = float(np.mean(others))
    return row


@runtime_checkable
class Rank(Protocol):
    """Scores one image's tokens for its own and for foreign texts."""

    def __call__(
        self, states: Tensor, own: Tensor = ..., foreign: Tensor | None = ..., cosine: bool = False
    ) -> Ranking:
        """Similarities of patch states [N, P] to texts [T, P]; dot products, or cosines."""


@torch.inference_mode()
def rank_all(
    context: MechanismContext, picture: Image.Image, sentences: Sequence[str]
) -> dict[str, Ranking]:
    """Scores of one image's tokens for own and foreign texts under every probe of the tower."""
    tower, config = context.model.tower, context.config
    layout = context.model.view(picture.height, picture.width).layout
    pixels = tower.pixel_values(picture)
    image = tower.image(pixels)
    asked = [context.model.question(sentence, config.question_index) for sentence in sentences]
    questions = embed_texts(tower, asked)
    patches = {name: readout(image)[0].float().cpu() for name, readout in READOUTS.items()}
    tokens = image.patch_tokens[0].float().cpu()
    norms = tokens.norm(dim=-1)
    outliers = probes.norm_outliers(norms, config.deviations)
    beyond = probes.norm_outliers(norms, cutoff=config.fixed_norm * float(norms.mean()))
    all_tokens = np.ones(len(tokens), dtype=bool)

    def ranked(
        states: Tensor,
        own: Tensor = questions,
        foreign: Tensor | None = context.texts,
        cosine: bool = False,
    ) -> Ranking:
        scores = [
            None
            if texts is None or not len(texts)
            else text_similarity(
                Cues({"patch_embeds": states, "text_embeds": texts}, layout),
                "cosine" if cosine else "dot",
            ).numpy()
            for texts in (own, foreign)
        ]
        return Ranking(scores[0], scores[1], all_tokens)  # type: ignore[arg-type]  # there is an own text

    used = patches["P0"]
    found = {name: ranked(states) for name, states in patches.items()}
    found["P0c"] = ranked(used, cosine=True)
    found["P5a"] = found["P0"]._replace(ranked=~outliers.numpy())
    smooth = probes.neighbour_mean(image.patch_tokens[0], outliers.to(pixels.device), layout.plane)
    found["P5b"] = ranked(probes.to_joint_space(tower, smooth).float().cpu())
    found["P5d"] = found["P0"]._replace(ranked=~beyond.numpy())
    if context.neurons:
        found["P5c"] = ranked(with_spare_register(tower, pixels, context.neurons)[0].float().cpu())
    found |= _text_probes(context, ranked, used, questions)
    found |= _word_probes(context, ranked, used, sentences)
    if context.named:
        for name, states in patches.items():
            called = called_classes(states, context.class_texts)
            found[name] = found[name]._replace(called=called)
    return found


def _text_probes(
    context: MechanismContext,
    ranked: Rank,
    used: Float[Tensor, "n p"],
    questions: Float[Tensor, "t p"],
) -> dict[str, Ranking]:
    """P6: what all texts, or all patches of the image, have in common taken away.

    Subtracting the image's mean patch shifts all dot products of a text alike, so it can only
    matter to a cosine.
    """
    empty = unit_rows(context.empty[None])
    mean = unit_rows(context.texts).mean(0) if len(context.texts) else empty[0]
    texts = (questions, context.texts)
    own_less_empty, foreign_less_empty = (unit_rows(some) - empty for some in texts)
    own_less_mean, foreign_less_mean = (probes.without_direction(some, mean) for some in texts)
    own_less_both, foreign_less_both = (
        probes.without_direction(some, mean) for some in (own_less_empty, foreign_less_empty)
    )
    centred = used - used.mean(0)
    return {
        "P6a": ranked(used, own_less_empty, foreign_less_empty),
        "P6b": ranked(used, own_less_mean, foreign_less_mean),
        "P6c": ranked(centred, cosine=True),
        "P6d": ranked(centred, own_less_both, foreign_less_both, cosine=True),
    }


def _word_probes(
    context: MechanismContext,
    ranked: Rank,
    used: Float[Tensor, "n p"],
    sentences: Sequence[str],
) -> dict[str, Ranking]:
    """P7: the question about some of the words; nan where an expression has none of that kind."""
    found = {}
    for probe, part in (("P7n", "noun"), ("P7a", "attributes")):
        words = [getattr(split_words(sentence), part) for sentence in sentences]
        known = [number for number, word in enumerate(words) if word]
        if not known:
            continue
        model, number = context.model, context.config.question_index
        texts = embed_texts(model.tower, [model.question(words[n], number) for n in known])
        scores = ranked(used, texts, None)
        own = np.full((len(sentences), len(used)), np.nan, dtype=np.float32)
        own[known] = scores.own
        found[probe] = scores._replace(own=own)
    return found
