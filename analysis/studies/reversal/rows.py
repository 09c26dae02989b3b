"""Rows of the reversal study: one image's tokens scored by its texts in every layer and wording."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy import stats
from torch import Tensor

from litelvlm.analysis.inputs.foreign import ForeignExpression
from litelvlm.analysis.inputs.labels import label_tokens
from litelvlm.analysis.runs.columns import CONDITION, EXPRESSION, LABELS, TOWER, Column, Row
from litelvlm.analysis.stats.ends import INDEX, POSITIVE, SHARE
from litelvlm.analysis.stats.ranking import at_budgets, auroc, reversal_index, score_contrast
from litelvlm.analysis.studies.constructions import PRIMARY, Construction
from litelvlm.analysis.studies.reversal.config import Config
from litelvlm.analysis.studies.reversal.patches import Patches
from litelvlm.arrays import Array
from litelvlm.clip.tower import Tower
from litelvlm.data.dataset import Dataset
from litelvlm.models.base import StudiedModel, TowerModel

COLUMNS: tuple[Column, ...] = (
    *EXPRESSION,
    *LABELS,
    *TOWER,
    Column(
        "rank_agreement", float, "Mean rank correlation with the rankings by other texts.", INDEX
    ),
    Column(
        "probe", str, "Ranked by: 'released', a substitute, or another score by name.", CONDITION
    ),
    Column(
        "layer", int, "Layer of the image tower from the end: -1 is the last; 0 is none.", CONDITION
    ),
    Column("sim", str, "Similarity: 'dot', 'cos' or 'none'.", CONDITION),
    Column(
        "text_mode",
        str,
        "Which text: the 'template', the bare 'expression' or another one.",
        CONDITION,
    ),
    Column("control", str, "Control, 'oracle', or 'none' for the true text and mask.", CONDITION),
    Column("labels", str, "Coverage that counts as inside: 'primary', which is half.", CONDITION),
    Column("n_draws", int, "Draws that the row is the mean of.", POSITIVE),
    Column("auroc", float, "Probability that an inside token scores above an outside one.", SHARE),
    Column(
        "ri", float, "Reversal index 1 - 2 AUROC, -1 to 1; positive where the inside is low.", INDEX
    ),
    Column("gap", float, "Mean score inside minus mean score outside."),
    Column(
        "msc",
        float,
        "The same of scores scaled to 0 to 1 over the image; negative: reversed.",
        INDEX,
    ),
    Column("rec_low_{budget}", float, "Recall of the lowest scores at a budget.", SHARE),
    Column("rec_high_{budget}", float, "Recall of the highest scores at a budget.", SHARE),
    Column("chance_rec_{budget}", float, "Recall of random tokens at a budget.", SHARE),
    Column("same_category", bool, "The foreign text or mask is of the referent's category."),
)

TEXT_FREE = ("centre_distance", "state_norm", "value_norm", "cls_cosine", "context")


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
    n_draws: int = 1,
) -> Row:
    """Columns that say how a row's ranking and labels were made."""
    return {
        "probe": probe,
        "layer": layer,
        "sim": sim,
        "text_mode": text_mode,
        "control": control,
        "labels": "primary",
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
        "gap": float(scores[inside].mean() - scores[outside].mean()),
        "msc": score_contrast(scores, inside, outside),
    }
    for k, found in zip(budgets, at_budgets(scores, inside, outside, budgets), strict=True):
        row |= {f"{name}_{k}": value for name, value in found.items()}
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
        clip: What ranks, as the column ``clip_model`` names it.
    """

    wordings: Mapping[Construction, Float[Array, "t n"]]
    lens: Mapping[int, Float[Array, "t n"]]
    agreement: Float[Array, "t"]
    budgets: tuple[int, ...]
    key: Construction = PRIMARY
    clip: str = ""

    @property
    def primary(self) -> Float[Array, "t n"]:
        """Scores that the controls are about."""
        return self.wordings[self.key]

    def keys(self, number: int) -> Row:
        """Columns that all rows of one text share."""
        return {"rank_agreement": float(self.agreement[number]), "clip_model": self.clip}

    def rows(self, number: int, covered: Float[Array, "n"]) -> list[Row]:
        """Rows of one text against its own mask."""
        found = [
            tags(*key) | measures(s[number], covered, self.budgets)
            for key, s in self.wordings.items()
        ]
        inside, outside, _ = label_tokens(covered)
        return found + [
            tags("lens", layer, "dot", "template") | area(auroc(s[number], inside, outside))
            for layer, s in self.lens.items()
        ]


def wording_rows(
    patches: Patches,
    questions: Float[Tensor, "t p"],
    bare: Float[Tensor, "t p"],
    budgets: Sequence[int],
    clip: str,
) -> RankingRows:
    """Rankings by the true text in every layer and wording, for all texts of one image at once."""
    wordings: Mapping[Construction, Float[Array, "t n"]] = {
        PRIMARY: patches.scores(questions),
        (*PRIMARY[:3], "expression"): patches.scores(bare),
        ("cosine", -2, "cos", "template"): patches.scores(questions, kind="cosine"),
        ("last_layer", -1, "dot", "template"): patches.scores(questions, -1),
    }
    lens = {
        layer: patches.scores(questions, layer) for layer in patches.layers if layer not in (-1, -2)
    }
    agreed = agreement(wordings[PRIMARY])
    return RankingRows(wordings, lens, agreed, tuple(budgets), clip=clip)


def agreement(scores: Float[Array, "t n"]) -> Float[Array, "t"]:
    """Mean Spearman correlation of each ranking with the others; nan without others or variance."""
    if len(scores) < 2 or (np.ptp(scores, axis=1) == 0).any():
        return np.full(len(scores), np.nan)
    correlation = np.corrcoef(stats.rankdata(scores, axis=1))
    means: Array = (correlation.sum(1) - 1) / (len(scores) - 1)
    return means
