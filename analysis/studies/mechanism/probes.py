"""Probes of the mechanism study: rankings of one image's tokens with one thing changed in each."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from PIL import Image
from torch import Tensor

from litelvlm.analysis.inputs.clip_models import embed_texts
from litelvlm.analysis.inputs.foreign import ForeignExpression
from litelvlm.analysis.studies.mechanism.config import Config
from litelvlm.analysis.studies.mechanism.dense import called_classes
from litelvlm.analysis.studies.mechanism.words import split_words
from litelvlm.arrays import Array
from litelvlm.clip.probes import last_blocks as probes
from litelvlm.clip.probes.registers import with_spare_register
from litelvlm.clip.probes.text import texts_by_sos, trace_text
from litelvlm.clip.states import ClipImage
from litelvlm.data.dataset import Dataset
from litelvlm.layout import Layout
from litelvlm.models.base import TowerModel
from litelvlm.pruning.cues import Cues
from litelvlm.pruning.ranking import unit_rows
from litelvlm.pruning.scoring import text_similarity

BASE = "released"
"""The ranking as released, which the others are compared with."""
READOUTS: Mapping[str, Callable[[ClipImage], Tensor]] = {
    BASE: probes.used_layer,
    "last_layer": probes.final_layer,
    "identity_attention": probes.identity_attention,
    "value_path": probes.value_path,
    "surgery": probes.surgery,
    "clear_clip": probes.clear_clip,
    "sclip": probes.s_clip,
}
"""Readouts of the image tower, by probe."""
TEXTS: Mapping[str, str] = {
    "name": "the category's name alone",
    "rest": "the question without the direction that all questions share",
    "no_sos": "the question, [SOS] hidden from [EOS]",
    "more_sos": "the question, with at least 0.68 of the attention of [EOS] on [SOS]",
}
"""Texts beside the question and those of other images with which every readout is crossed."""
PROBES: Mapping[str, str] = {
    BASE: "as released",
    "cosine": "cosine instead of dot",
    "last_layer": "last layer",
    "identity_attention": "last attention set to identity",
    "value_path": "values of the last block alone",
    "surgery": "value-value path of up to six last blocks",
    "clear_clip": "query-query attention, no residual, no MLP",
    "sclip": "query-query plus key-key attention",
    "no_outliers": "outliers left out of the ranking",
    "smoothed_outliers": "outliers replaced by their neighbours' mean",
    "spare_register": "register neurons moved to a spare token",
    "no_large_norms": "outliers beyond a fixed norm left out",
    "no_empty_text": "empty text subtracted",
    "no_mean_text": "mean text projected out",
    "no_image_mean": "image mean subtracted, cosine",
    "no_common_parts": "all three, cosine",
    "noun": "the noun alone",
    "attributes": "the attributes alone",
}
"""Every probe and what it changes; each keeps the rest as released. In this order they are P0, P0c,
P1, P2a, P2b, P3, P4a, P4b, P5a to P5d, P6a to P6d, P7n and P7a of the study's description."""


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
        texts: The same as ``own`` for each of ``TEXTS`` that can be had; empty where no readout of
            the last blocks is the probe.
    """

    own: Float[Array, "t n"]
    foreign: Float[Array, "m n"] | None
    ranked: Bool[Array, "n"]
    called: Int[Array, "n"] | None = None
    texts: Mapping[str, Float[Array, "t n"]] = MappingProxyType({})


class Compared(NamedTuple):
    """What a probe compares, in the joint space.

    Attributes:
        states: Tokens of the image.
        own: The image's own texts.
        foreign: All foreign texts; None if the probe changes the text beyond what they have.
        cosine: Whether by cosines instead of dot products.
        left_out: Tokens that take no part; none if left out.
    """

    states: Float[Tensor, "n p"]
    own: Float[Tensor, "t p"]
    foreign: Float[Tensor, "m p"] | None
    cosine: bool = False
    left_out: Bool[Tensor, "n"] | None = None

    def ranking(self, layout: Layout) -> Ranking:
        """Scores of the tokens for own and foreign texts."""

        def scores(texts: Float[Tensor, "t p"]) -> Float[Array, "t n"]:
            cues = Cues({"patch_embeds": self.states, "text_embeds": texts}, layout)
            return text_similarity(cues, "cosine" if self.cosine else "dot").numpy()

        some = self.foreign is not None and len(self.foreign)
        ranked = np.ones(len(self.states), dtype=bool)
        if self.left_out is not None:
            ranked = ~self.left_out.numpy()
        foreign = scores(self.foreign) if self.foreign is not None and some else None
        return Ranking(scores(self.own), foreign, ranked)


@torch.inference_mode()
def rank_all(
    context: MechanismContext,
    picture: Image.Image,
    sentences: Sequence[str],
    names: Sequence[str],
) -> dict[str, Ranking]:
    """Scores of one image's tokens for own and foreign texts under every probe of the tower.

    Args:
        context: What all images share.
        picture: The image.
        sentences: Its expressions.
        names: Category of what each of them means; empty where the data state none, or several.
    """
    tower, config = context.model.tower, context.config
    layout = context.model.view(picture.height, picture.width).layout
    pixels = tower.pixel_values(picture)
    image = tower.image(pixels)
    asked = [context.model.question(sentence, config.question_index) for sentence in sentences]
    questions = embed_texts(tower, asked)
    patches = {name: readout(image)[0].float().cpu() for name, readout in READOUTS.items()}
    norms = image.patch_tokens[0].float().cpu().norm(dim=-1)
    outliers = probes.norm_outliers(norms, config.deviations)
    beyond = probes.norm_outliers(norms, cutoff=config.fixed_norm * float(norms.mean()))
    smooth = probes.neighbour_mean(image.patch_tokens[0], outliers.to(pixels.device), layout.plane)
    used = Compared(patches[BASE], questions, context.texts)
    wanted = {name: used._replace(states=states) for name, states in patches.items()} | {
        "cosine": used._replace(cosine=True),
        "no_outliers": used._replace(left_out=outliers),
        "smoothed_outliers": used._replace(
            states=probes.to_joint_space(tower, smooth).float().cpu()
        ),
        "no_large_norms": used._replace(left_out=beyond),
    }
    if context.neurons:
        spared = with_spare_register(tower, pixels, context.neurons)[0].float().cpu()
        wanted["spare_register"] = used._replace(states=spared)
    wanted |= _text_probes(context, used)
    found = {name: compared.ranking(layout) for name, compared in wanted.items()}
    found |= _word_probes(context, used, layout, sentences)
    texts = _other_texts(context, questions, asked, names)
    for name, states in patches.items():
        scores = {
            text: used._replace(states=states, own=own, foreign=None).ranking(layout).own
            for text, own in texts.items()
        }
        called = called_classes(states, context.class_texts) if context.named else None
        found[name] = found[name]._replace(called=called, texts=scores)
    return found


def _other_texts(
    context: MechanismContext,
    questions: Float[Tensor, "t p"],
    asked: Sequence[str],
    names: Sequence[str],
) -> dict[str, Float[Tensor, "t p"]]:
    """``TEXTS`` of the image's expressions; rows of nan where no name is known."""
    tower, found = context.model.tower, dict[str, Tensor]()
    if any(names):
        known = torch.tensor([bool(name) for name in names])
        found["name"] = torch.full_like(questions, torch.nan)
        found["name"][known] = embed_texts(tower, [name for name in names if name])
    if len(context.texts):
        mean = unit_rows(context.texts).mean(0)
        found["rest"] = probes.without_direction(questions, mean)
    if "text_attention" not in tower.lacks:
        edited = texts_by_sos(trace_text(tower, asked))
        found |= {name: embeds.float().cpu() for name, embeds in edited.items()}
    return found


def _text_probes(context: MechanismContext, used: Compared) -> dict[str, Compared]:
    """What all texts, or all patches of the image, have in common taken away.

    Subtracting the image's mean patch shifts all dot products of a text alike, so it can only
    matter to a cosine.
    """
    empty = unit_rows(context.empty[None])
    mean = unit_rows(context.texts).mean(0) if len(context.texts) else empty[0]
    texts = (used.own, context.texts)
    own_less_empty, foreign_less_empty = (unit_rows(some) - empty for some in texts)
    own_less_mean, foreign_less_mean = (probes.without_direction(some, mean) for some in texts)
    own_less_both, foreign_less_both = (
        probes.without_direction(some, mean) for some in (own_less_empty, foreign_less_empty)
    )
    centred = used.states - used.states.mean(0)
    return {
        "no_empty_text": used._replace(own=own_less_empty, foreign=foreign_less_empty),
        "no_mean_text": used._replace(own=own_less_mean, foreign=foreign_less_mean),
        "no_image_mean": used._replace(states=centred, cosine=True),
        "no_common_parts": Compared(centred, own_less_both, foreign_less_both, cosine=True),
    }


def _word_probes(
    context: MechanismContext, used: Compared, layout: Layout, sentences: Sequence[str]
) -> dict[str, Ranking]:
    """The question about some of the words; nan where an expression has none of that kind."""
    found = {}
    for part in ("noun", "attributes"):
        words = [getattr(split_words(sentence), part) for sentence in sentences]
        known = [number for number, word in enumerate(words) if word]
        if not known:
            continue
        model, asked = context.model, context.config.question_index
        texts = embed_texts(model.tower, [model.question(words[n], asked) for n in known])
        ranking = used._replace(own=texts, foreign=None).ranking(layout)
        own = np.full((len(sentences), len(used.states)), np.nan, dtype=np.float32)
        own[known] = ranking.own
        found[part] = ranking._replace(own=own)
    return found
