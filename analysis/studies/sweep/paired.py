"""Scores of methods at budgets on the same expressions, with paired differences and tests.

All cells come from the same resamples of images, so differences and ratios between them are paired.
Rows of several seeds are averaged per expression first: their draws are independent between images,
so that resampling images covers the noise of the draw too.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd
from jaxtyping import Float, Shaped

from litelvlm.analysis.inputs.methods import PAPER, PAPER_RULE
from litelvlm.analysis.runs.claims import Claim, make_claim
from litelvlm.analysis.runs.columns import Row
from litelvlm.analysis.stats.bootstrap import RESAMPLES, Bootstrap, bootstrap, contrast
from litelvlm.analysis.stats.crossed import Crossed, crossed_mean
from litelvlm.analysis.stats.ends import Ends
from litelvlm.analysis.stats.significance import paired_swap_test
from litelvlm.analysis.studies.scores import RESAMPLED, Score, Sums, counted, main_score, stated
from litelvlm.analysis.studies.sweep.effect import PairedEffect
from litelvlm.arrays import Array

MethodBudget = tuple[str, int]
ONE_SIDED = 0.90  # two-sided level whose lower end is a one-sided 95 % bound
READINGS = {PAPER: "", PAPER_RULE: "rule."}
"""Both readings of the paper's method (the released code, and the paper's own rule), and what
begins the ids of their claims."""
JUDGED = {**READINGS, "value_path": "value.", "value_path_grid": "grid."}
"""The readings, and the same text read without the reversal."""


@dataclass(frozen=True)
class PairedScores:
    """One line per expression (and official draw), one column per method and budget.

    Attributes:
        cells: Method and budget of each column.
        counts: What each line adds to the sums of scores, by name: means over seeds.
        image_ids: Image of each line.
        scores: What is made of the sums.
        categories: Category of each line's referent; -1 where rows do not say, none if left out.
        resamples: Of the images.
        seed: Of the resamples.
    """

    cells: tuple[MethodBudget, ...]
    counts: Mapping[str, Float[Array, "n c"]]
    image_ids: Shaped[Array, "n"]
    scores: tuple[Score, ...]
    categories: Shaped[Array, "n"] | None = None
    resamples: int = RESAMPLES
    seed: int = 0

    @property
    def compared(self) -> tuple[Score, ...]:
        """Scores whose differences are tested."""
        return tuple(score for score in self.scores if score.compared)

    @property
    def main(self) -> Score:
        """The score that claims are about."""
        return main_score(score.name for score in self.scores)

    @cached_property
    def drawn(self) -> Bootstrap:
        """All cells of all scores, score by score, on all data and on every resample."""
        names = [name for name in self.counts if name != "n"]
        columns = [*(self.counts[name] for name in names), np.ones(len(self.image_ids))]

        def all_scores(sums: Sums) -> Float[Array, "b k"]:
            blocks = dict(zip(names, np.split(sums[:, :-1], len(names), axis=1), strict=True))
            blocks["n"] = np.repeat(sums[:, -1:], len(self.cells), axis=1)
            values = [
                score.estimate(np.stack([blocks[name][:, place] for name in score.columns], -1))
                for score in self.scores
                for place in range(len(self.cells))
            ]
            return np.stack(values, axis=-1)

        stacked = np.column_stack(columns)
        return bootstrap(stacked, self.image_ids, all_scores, self.resamples, self.seed)

    def column(self, cell: MethodBudget) -> int:
        """Number of a cell's column.

        Raises:
            ValueError: If the sweep has no such cell.
        """
        if cell not in self.cells:
            raise ValueError(
                f"the sweep has no cell {cell}; it has {', '.join(map(str, self.cells))}"
            )
        return self.cells.index(cell)

    def place(self, score: Score, cell: MethodBudget) -> int:
        """Place of one cell's score in ``drawn``."""
        return self.scores.index(score) * len(self.cells) + self.column(cell)

    def summands(self, score: Score, cell: MethodBudget) -> Float[Array, "n c"]:
        """What each line adds to the sums of one cell's score."""
        ones, column = np.ones((len(self.image_ids), len(self.cells))), self.column(cell)
        return np.column_stack(
            [self.counts.get(name, ones)[:, column] for name in score.columns]
        ).astype(np.float64)

    def over_images(self, score: Score, terms: Sequence[tuple[float, MethodBudget]]) -> Bootstrap:
        """A weighted sum of the scores of cells, over resamples of images."""
        weights = np.array([weight for weight, _ in terms])
        places = [self.place(score, cell) for _, cell in terms]

        def combine(values: Float[Array, "b k"]) -> Float[Array, "b 1"]:
            total: Array = values[:, places] @ weights[:, None]
            return total

        return contrast(self.drawn, combine)

    def weighted(self, score: Score, terms: Sequence[tuple[float, MethodBudget]]) -> PairedEffect:
        """A weighted sum of the scores of cells."""
        lines = sum(
            (weight * self.linear(score, cell) for weight, cell in terms),
            start=np.zeros(len(self.image_ids)),
        )
        ends = [sorted(weight * end for end in score.reach) for weight, _ in terms]
        least, most = (sum(side) for side in zip(*ends, strict=True))
        crossed = self.crossed(lines, (least, most), self.weights(score, terms))
        return PairedEffect(self.over_images(score, terms), crossed)

    def difference(self, score: Score, first: MethodBudget, second: MethodBudget) -> PairedEffect:
        """Paired difference of two cells."""
        return self.weighted(score, [(1.0, first), (-1.0, second)])

    def difference_line(self, score: Score, first: MethodBudget, second: MethodBudget) -> Row:
        """A difference as ``PairedEffect.line``, its p over images that of a swap of labels."""
        swap_p = self.swap_p_value(score, first, second)
        return self.difference(score, first, second).line(swap_p)

    def retention(self, score: Score, part: MethodBudget, whole: MethodBudget) -> PairedEffect:
        """Share of one cell's score that another one has; nan where the whole is 0."""
        one, two = self.place(score, part), self.place(score, whole)

        def ratio(values: Float[Array, "b k"]) -> Float[Array, "b 1"]:
            top, bottom = values[:, [one]], values[:, [two]]
            kept: Array = np.divide(top, bottom, out=np.full_like(top, np.nan), where=bottom != 0)
            return kept

        return PairedEffect(contrast(self.drawn, ratio), self.crossed_retention(score, part, whole))

    def swap_p_value(self, score: Score, first: MethodBudget, second: MethodBudget) -> float:
        """Two-sided p-value of a difference between two cells, labels swapped image by image."""
        a, b = self.summands(score, first), self.summands(score, second)
        return paired_swap_test(a, b, self.image_ids).p_value

    def linear(self, score: Score, cell: MethodBudget) -> Float[Array, "n"]:
        """Values of lines whose mean is the cell's score, and whose spread is that of its sums."""
        top, bottom = self.summands(score, cell).T
        if not bottom.sum():
            return np.ones(len(bottom))
        value = top.sum() / bottom.sum()
        values: Array = value + (top - value * bottom) / bottom.mean()
        return values

    def weights(
        self, score: Score, terms: Sequence[tuple[float, MethodBudget]]
    ) -> Float[Array, "n"]:
        """What share of a weighted sum of scores each line decides, such as its pixels; mean 1."""
        size = sum(abs(weight) for weight, _ in terms)
        total = np.zeros(len(self.image_ids))
        for weight, cell in terms:
            bottom = self.summands(score, cell)[:, 1]
            total += abs(weight) / size * (bottom / bottom.mean() if bottom.any() else 1.0)
        return total

    def crossed(self, lines: Float[Array, "n"], reach: Ends, weights: Float[Array, "n"]) -> Crossed:
        """Mean over lines, over images and categories; undefined without categories.

        Args:
            lines: As ``linear``: their mean is the score, and each counts by its pixels already.
            reach: The least and the largest mean that can be.
            weights: Of the lines. What a category adds is in proportion to them.
        """
        n, images = len(lines), self.image_ids
        mean = float(lines.mean())
        if self.categories is None or not np.isfinite(lines).all():
            return Crossed(mean, np.nan, np.nan, len(np.unique(images)), 0, n)
        beside = np.divide(lines - mean, weights, out=np.zeros(n), where=weights > 0)
        found = crossed_mean(mean + beside, images, self.categories, reach, weights)
        return replace(found, alike=0)  # masks are not all whole, or all lost, by chance

    def crossed_retention(
        self, score: Score, part: MethodBudget, whole: MethodBudget, less: float = 0.0
    ) -> Crossed:
        """Share of one cell's score that another one has, over images and categories.

        Args:
            score: Which.
            part: Numerator.
            whole: Denominator.
            less: Subtracted from the share; 1 makes it a lead.
        """
        top, bottom = self.linear(score, part), self.linear(score, whole)
        weights = self.weights(score, [(1.0, part), (1.0, whole)])
        reach = (-less, np.inf)
        if not bottom.mean() > 0:
            return self.crossed(np.full_like(top, np.nan), reach, weights)
        share = top.mean() / bottom.mean()
        lines = share - less + (top - share * bottom) / bottom.mean()
        return self.crossed(lines, reach, weights)


def better_claim(
    id: str,
    statement: str,
    paired: PairedScores,
    score: Score,
    cells: tuple[MethodBudget, MethodBudget],
    null_description: str,
    margin: float = float("nan"),
) -> Claim:
    """A claim that the first of two cells has the higher score.

    Args:
        id: Of the claim.
        statement: As a full sentence.
        paired: Scores of all cells.
        score: Which of them.
        cells: The two.
        null_description: What the second stands for.
        margin: Differences below it count as none; nan if nothing was settled.
    """
    images, crossed = paired.difference(score, *cells)
    return make_claim(
        id,
        statement,
        images.estimates()[0],
        0.0,
        null_description,
        p_value=paired.swap_p_value(score, *cells),
        margin=margin,
        p_equivalent=float(images.p_equivalent(margin)[0]) if margin > 0 else float("nan"),
        crossed=crossed,
    )


def pair_scores(rows: pd.DataFrame, scores: Sequence[Score] = RESAMPLED) -> PairedScores:
    """Bring rows to one line per expression, or per drawn expression in the official protocol.

    Scores that only clips have are left out where the rows are of images.

    Raises:
        ValueError: If an expression lacks a cell that others have, or rows of two protocols are
            mixed.
    """
    scores = stated(rows, scores)
    keys = rows[[*line_columns(rows), "method", "budget"]]
    summands = counted(rows, scores)
    means = summands.groupby([keys[name] for name in keys.columns], sort=True).mean()
    wide = means.unstack(["method", "budget"])
    missing = np.argwhere(wide.isna().to_numpy())
    if len(missing):
        sent_id = wide.index.get_level_values("sent_id")[int(missing[0, 0])]
        raise ValueError(f"expression {sent_id} lacks methods or budgets that others have")
    found = {
        (str(method), int(budget))
        for method, budget in zip(rows["method"], rows["budget"], strict=True)
    }
    cells = sorted(found, key=lambda cell: (cell[0], -cell[1]))
    names = [str(name) for name in summands.columns]
    counts = {name: wide[name][cells].to_numpy(dtype=np.float64) for name in names}
    categories = None
    if "category_id" in rows:
        first = rows.groupby(line_columns(rows), sort=True)["category_id"].first()
        categories = first.reindex(wide.index).to_numpy()
    images = wide.index.get_level_values("image_id").to_numpy()
    return PairedScores(tuple(cells), counts, images, scores, categories)


def line_columns(rows: pd.DataFrame) -> list[str]:
    """Columns that tell the lines of a table apart.

    Raises:
        ValueError: If rows of two protocols are mixed.
    """
    return ["image_id", "sent_id", *(["seed"] if protocol_name(rows) == "official" else [])]


def protocol_name(rows: pd.DataFrame) -> str:
    """The protocol of rows; "single" where they do not say.

    Raises:
        ValueError: If rows of two protocols are mixed.
    """
    protocols = sorted(rows["protocol"].unique()) if "protocol" in rows else ["single"]
    if len(protocols) > 1:
        raise ValueError(
            f"rows of protocols {' and '.join(protocols)} are mixed; make a table of each"
        )
    return str(protocols[0])


def budgets_of(cells: Sequence[MethodBudget], method: str) -> list[int]:
    """Budgets of a method, largest first."""
    return sorted((budget for name, budget in cells if name == method), reverse=True)
