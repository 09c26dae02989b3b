"""Rows of the reversal study: one image's tokens scored by its texts in every layer and wording."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from jaxtyping import Float
from pydantic import Field
from scipy import stats
from torch import Tensor

from litelvlm.analysis.inputs.foreign import ForeignExpression
from litelvlm.analysis.inputs.labels import label_tokens, skip_reason, soft_labels
from litelvlm.analysis.inputs.questions import QuestionConfig
from litelvlm.analysis.runs.columns import Row
from litelvlm.analysis.runs.config import Budgets, Count, Index
from litelvlm.analysis.stats.ranking import (
    at_budgets,
    auroc,
    hedges_g,
    pointing_game,
    reversal_index,
    score_contrast,
    soft_recall,
    tie_fraction,
)
from litelvlm.analysis.studies.reversal.patches import Patches
from litelvlm.arrays import Array
from litelvlm.clip.tower import Tower
from litelvlm.data.dataset import Dataset
from litelvlm.models.base import StudiedModel, TowerModel

Construction = tuple[str, int, str, str]
"""Probe, layer, similarity and text: what a ranking is made of."""
PRIMARY: Construction = ("P0", -2, "dot", "template")
"""The primary ranking: that of the released method."""
SUBSTITUTES: Mapping[str, Construction] = MappingProxyType(
    {
        "input_similarity": ("U2", 0, "cos", "template"),
        "llm_attention": ("U5", 0, "none", "template"),
        "received_attention": ("U3", 0, "none", "none"),
        "tower_value_norm": ("U4", 0, "none", "none"),
    }
)
"""The primary ranking of each score that stands in for CLIP's; the first one leads."""
TEXT_FREE = ("centre_distance", "state_norm", "value_norm", "cls_cosine", "context")


class Config(QuestionConfig):
    """Configuration of the study.

    Attributes:
        budgets: Token counts at which precision and recall are taken; None for the published
            shares.
        shifts: Moves of the mask round the grid (N4).
        blobs: Random blobs per expression (N5).
        donors: Foreign texts per expression (N1).
        pool: Expressions that foreign texts and masks are taken from.
        random_seeds: Towers with random weights (N8); 0 leaves them out.
        clip: Other CLIP models to read as well, by the names of
            ``litelvlm.clip.load.load_tower``.
        margin: Differences of the reversal index below it count as none, settled before any row is
            seen.
    """

    budgets: Budgets | None = None
    shifts: Count = 200
    blobs: Index = 20
    donors: Count = 4
    pool: Count = 256
    random_seeds: Index = 3
    clip: tuple[str, ...] = ()
    margin: float = Field(default=0.05, gt=0)


@dataclass(frozen=True)
class Texts:
    """Embedded texts that every image of a run shares, in one tower's joint space.

    Attributes:
        foreign: Questions about the foreign expressions.
        free: By text mode, texts that name nothing in the image.
        categories: By category id, the question about the category's name.
    """

    foreign: Float[Tensor, "m p"]
    free: Mapping[str, Float[Tensor, "p"]]
    categories: Mapping[int, Float[Tensor, "p"]]


@dataclass(frozen=True)
class Shared:
    """What every image of a run shares, whatever ranks its tokens.

    Attributes:
        model: The model whose tokens are ranked.
        data: The split.
        config: Of the study.
        clip: Name of another CLIP model; empty for the model's own.
        budgets: Token counts; none for other CLIP models, whose grids differ.
        foreign: Expressions of other images, whose texts and masks are controls.
    """

    model: StudiedModel
    data: Dataset
    config: Config
    clip: str
    budgets: tuple[int, ...]
    foreign: Sequence[ForeignExpression]


@dataclass(frozen=True)
class ReversalContext(Shared):
    """The same for one CLIP model.

    Attributes:
        model: The model; only its towers are read.
        texts: Shared texts in its joint space.
        random: Towers of the same shape with random weights, each with its embedded foreign texts.
    """

    model: TowerModel
    texts: Texts
    random: Sequence[tuple[Tower, Float[Tensor, "m p"]]] = ()


def tags(
    probe: str,
    layer: int,
    sim: str,
    text_mode: str,
    control: str = "none",
    labels: str = "primary",
    n_draws: int = 1,
) -> Row:
    """Columns that say how a row's ranking and labels were made."""
    return {
        "probe": probe,
        "layer": layer,
        "sim": sim,
        "text_mode": text_mode,
        "control": control,
        "labels": labels,
        "n_draws": n_draws,
    }


def measures(
    scores: Float[Array, "n"], covered: Float[Array, "n"], budgets: Sequence[int]
) -> dict[str, float]:
    """Every measure of one ranking against one mask; columns that depend on a budget end in it.

    Raises:
        ValueError: If a score is not finite.
    """
    inside, outside, _ = label_tokens(covered)
    row = area(auroc(scores, inside, outside)) | {
        "hedges_g": hedges_g(scores, inside, outside),
        "gap": float(scores[inside].mean() - scores[outside].mean()),
        "msc": score_contrast(scores, inside, outside),
        "pointing": pointing_game(scores, inside, outside),
        "chance_pointing": float(inside.sum() / (inside | outside).sum()),
        "tie_frac": tie_fraction(scores),
    }
    for k, found in zip(budgets, at_budgets(scores, inside, outside, budgets), strict=True):
        row |= {f"{name}_{k}": value for name, value in found.items()}
        row[f"soft_rec_low_{k}"] = soft_recall(scores, covered, k)
    return row


def area(areas: Float[Array, "*m"]) -> dict[str, float]:
    """Mean AUROC over masks or texts, and its reversal index."""
    mean = np.asarray(np.mean(areas))
    return {"auroc": float(mean), "ri": float(reversal_index(mean))}


@dataclass(frozen=True)
class RankingRows:
    """Rankings of one image's tokens by each of its texts.

    Attributes:
        wordings: By tags, scores [T, N].
        lens: By layer, scores [T, N].
        agreement: Mean rank correlation of each text's ranking with the other texts'; nan if there
            is none.
        budgets: Token counts.
        key: Tags of the primary ranking.
    """

    wordings: Mapping[Construction, Float[Array, "t n"]]
    lens: Mapping[int, Float[Array, "t n"]]
    agreement: Float[Array, "t"]
    budgets: tuple[int, ...]
    key: Construction = PRIMARY

    @property
    def primary(self) -> Float[Array, "t n"]:
        """Scores that the controls are about."""
        return self.wordings[self.key]

    def rows(self, number: int, covered: Float[Array, "n"]) -> list[Row]:
        """Rows of one text against its own mask, with the primary ranking under other labels."""
        found = [
            tags(*key) | measures(s[number], covered, self.budgets)
            for key, s in self.wordings.items()
        ]
        inside, outside, _ = label_tokens(covered)
        found += [
            tags("lens", layer, "dot", "template") | area(auroc(s[number], inside, outside))
            for layer, s in self.lens.items()
        ]
        scores = self.primary[number]
        if skip_reason(covered, low=0.25) is None:
            inside, outside, _ = label_tokens(covered, high=0.75, low=0.25)
            found.append(tags(*self.key, labels="0.25/0.75") | area(auroc(scores, inside, outside)))
        found.append(tags(*self.key, labels="soft") | area(auroc(scores, *soft_labels(covered))))
        return found


def wording_rows(
    patches: Patches,
    questions: Float[Tensor, "t p"],
    bare: Float[Tensor, "t p"],
    budgets: Sequence[int],
) -> RankingRows:
    """Rankings by the true text in every layer and wording, for all texts of one image at once."""
    wordings: Mapping[Construction, Float[Array, "t n"]] = {
        PRIMARY: patches.scores(questions),
        ("P0", -2, "dot", "expression"): patches.scores(bare),
        ("P0c", -2, "cos", "template"): patches.scores(questions, kind="cosine"),
        ("P1", -1, "dot", "template"): patches.scores(questions, -1),
    }
    lens = {
        layer: patches.scores(questions, layer) for layer in patches.layers if layer not in (-1, -2)
    }
    return RankingRows(wordings, lens, agreement(wordings[PRIMARY]), tuple(budgets))


def agreement(scores: Float[Array, "t n"]) -> Float[Array, "t"]:
    """Mean Spearman correlation of each ranking with the others; nan without others or variance."""
    if len(scores) < 2 or (np.ptp(scores, axis=1) == 0).any():
        return np.full(len(scores), np.nan)
    correlation = np.corrcoef(stats.rankdata(scores, axis=1))
    means: Array = (correlation.sum(1) - 1) / (len(scores) - 1)
    return means
