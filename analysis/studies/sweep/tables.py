"""Tables of a sweep: scores, comparisons with the unpruned model and random tokens, strata."""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from litelvlm.analysis.inputs.methods import RANDOM, UNPRUNED
from litelvlm.analysis.runs.columns import Row
from litelvlm.analysis.stats.lines import adjusted, lines_of, wider_ends
from litelvlm.analysis.stats.significance import holm
from litelvlm.analysis.studies.scores import (
    NO_TARGET_SCORES,
    RESAMPLED,
    SCORES,
    WITHOUT_SEG,
    Score,
    without_target,
)
from litelvlm.analysis.studies.sweep.config import Config
from litelvlm.analysis.studies.sweep.paired import (
    ONE_SIDED,
    READINGS,
    MethodBudget,
    PairedScores,
    budgets_of,
    line_columns,
    pair_scores,
)

AGREEMENT = SCORES["agreement"]
LONG = 5
"""Most words of a short expression."""


def make_tables(rows: pd.DataFrame, config: Config) -> dict[str, pd.DataFrame]:
    """Tables for figures.

    Returns:
        "scores" (every score per cell, the tokens read, the answers without [SEG]), "comparisons"
        (paired differences and retention), "seeds" (each draw alone), "agreement" (with the
        unpruned masks, beside the accuracy and the tokens read) and, where there are such
        expressions or methods, "kinds" (scores by kind), "no_target" (N-acc, T-acc and the scores
        that go with them) and "strata" (lead over random tokens by kind, size and words).
    """
    paired = pair_scores(rows)
    score = paired.main
    found = {
        "scores": score_table(paired).merge(cell_columns(rows), on=["method", "budget"]),
        "comparisons": comparison_table(paired),
        "seeds": seed_table(rows, score),
    }
    if "agreement" in rows:
        found["agreement"] = agreement_table(rows, score)
    if rows["kind"].nunique() > 1:
        found["kinds"] = kind_table(rows)
    if without_target(rows).any():
        found["no_target"] = no_target_table(rows)
    strata = strata_table(rows, score)
    return found if strata.empty else found | {"strata": strata}


def score_table(paired: PairedScores) -> pd.DataFrame:
    """One line per method, budget and score: value with interval."""
    labels = [(*cell, score.name) for score in paired.scores for cell in paired.cells]
    names = ["method", "budget", "metric"]
    return lines_of(paired.drawn, pd.MultiIndex.from_tuples(labels, names=names), "value")


def cell_columns(rows: pd.DataFrame) -> pd.DataFrame:
    """What all scores of a method and budget share: the tokens read, and the answers.

    Columns: method, budget, n_kept (tokens that enter the language model), n_answers (of all
    draws), n_without_seg.
    """
    cells = rows.groupby(["method", "budget"], sort=True)
    found: pd.DataFrame = cells.agg(
        n_kept=("n_kept", shared_value),
        n_answers=("seg_found", "size"),
        **{WITHOUT_SEG: ("seg_found", lambda has_seg: int((~has_seg).sum()))},
    ).reset_index()
    return found


def comparison_table(paired: PairedScores) -> pd.DataFrame:
    """Differences to the unpruned model and to random tokens at the same budget, score by score.

    Differences are those of ``PairedEffect.line``; p_holm is adjusted over all lines of
    one score and one reference. The lines against the unpruned model also hold the share of its
    score that is kept, with a one-sided 95 % bound.
    """
    lines = []
    for score in paired.compared:
        for reference in (UNPRUNED, RANDOM):
            for cell in paired.cells:
                other = reference_cell(paired.cells, cell, reference)
                if other is None:
                    continue
                line: Row = {"method": cell[0], "budget": cell[1], "metric": score.name}
                line |= {"reference": reference} | paired.difference_line(score, cell, other)
                if reference == UNPRUNED:
                    kept = paired.retention(score, cell, other).over_images.estimates(ONE_SIDED)[0]
                    line |= {"retention": kept.value, "retention_bound": kept.low}
                lines.append(line)
    table = pd.DataFrame(lines)
    if table.empty:
        return table
    return table.assign(p_holm=adjusted(table, holm, ["metric", "reference"]))


def reference_cell(
    cells: Sequence[MethodBudget], cell: MethodBudget, reference: str
) -> MethodBudget | None:
    """The cell to compare with: the unpruned model, or random tokens at the same budget."""
    candidates = [
        c for c in cells if c[0] == reference and (reference == UNPRUNED or c[1] == cell[1])
    ]
    return candidates[0] if candidates and cell[0] not in (reference, UNPRUNED) else None


def no_target_table(rows: pd.DataFrame) -> pd.DataFrame:
    """One line per method, budget and metric: the gRefCOCO scores with image-bootstrap intervals.

    N-acc is the share of expressions without a target that are answered with nothing (fewer than 50
    pixels), T-acc the share of the others that are answered with something. A refused expression
    predicts no pixel. n counts expressions (in the official protocol, those drawn): of N-acc those
    without a target, of T-acc the others.
    """
    table = score_table(pair_scores(rows, NO_TARGET_SCORES))
    lines = rows.drop_duplicates(line_columns(rows))
    empty = without_target(lines)
    for metric, among in (("n_acc", lines[empty]), ("t_acc", lines[~empty])):
        own = table["metric"] == metric
        table.loc[own, ["n_images", "n"]] = among["image_id"].nunique(), len(among)
    return table.sort_values(["method", "budget"], kind="stable", ignore_index=True)


def kind_table(rows: pd.DataFrame, scores: Sequence[Score] = RESAMPLED) -> pd.DataFrame:
    """``score_table`` within each kind of expression."""
    parts = [
        score_table(pair_scores(group, scores)).assign(kind=kind)
        for kind, group in rows.groupby("kind", sort=True)
    ]
    return pd.concat(parts, ignore_index=True)


def seed_table(rows: pd.DataFrame, score: Score) -> pd.DataFrame:
    """Every single seed by its score, without interval: how much one draw moves it."""
    lines = [
        {"method": method, "budget": budget, "seed": seed, score.name: score.of(part)}
        for (method, budget, seed), part in rows.groupby(["method", "budget", "seed"], sort=True)
    ]
    return pd.DataFrame(lines)


def agreement_table(rows: pd.DataFrame, score: Score) -> pd.DataFrame:
    """Agreement with the unpruned masks, beside accuracy and what the language model read.

    A method may keep the accuracy and change the masks, or keep the masks of a model that errs.
    Columns: agreement (sum of intersections with the unpruned masks over sum of unions) with its
    interval over images, the score against the true masks, n_kept tokens that enter the language
    model, n_average tokens per layer.
    """
    lines = []
    for (method, budget), cell in rows.groupby(["method", "budget"], sort=True):
        (found,) = pair_scores(cell, (AGREEMENT,)).drawn.estimates()
        lines.append(
            {
                "method": method,
                "budget": budget,
                **found.line(AGREEMENT.name),
                score.name: score.of(cell),
                "n_kept": shared_value(cell["n_kept"]),
                "n_average": float(shared_value(cell["n_average"])),
            }
        )
    return pd.DataFrame(lines)


def shared_value(values: "pd.Series[float]") -> float | int:
    """The one value that all rows have, else their mean; a shared count stays a whole number."""
    first, *others = values.tolist()
    return float(values.mean()) if any(value != first for value in others) else first


def leads(rows: pd.DataFrame, score: Score) -> Iterator[Row]:
    """Lead in a score over random tokens at each budget, over images and over categories too.

    A line for each reading of the method; none for a reading that was not run, or without random
    tokens.
    """
    chosen = rows[rows["method"].isin([*READINGS, RANDOM])]
    run = set(chosen["method"])
    if RANDOM not in run or len(run) < 2:
        return
    paired = pair_scores(chosen)
    for method in READINGS:
        for budget in budgets_of(paired.cells, method):
            cells = (method, budget), (RANDOM, budget)
            images, crossed = paired.difference(score, *cells)
            (delta,) = images.estimates()
            line = {"method": method, "budget": budget} | delta.line("delta")
            yield line | wider_ends(delta, crossed)


def strata_table(rows: pd.DataFrame, score: Score) -> pd.DataFrame:
    """Lead of the paper's method over random tokens by kind, size of the target and words.

    Sizes are thirds of the expressions that mean something in their image; the others are a group
    of their own. The table is empty if random tokens or the method were not run.

    Columns: stratum ("kind", "size" or "words"), group, method, budget, delta (of the score), low,
    high, n_images, n, low_categories, high_categories, n_categories.
    """
    meant = rows[~without_target(rows)]
    area = meant.drop_duplicates("sent_id").set_index("sent_id")["area_frac"].rank(pct=True)
    third = pd.cut(area, [0, 1 / 3, 2 / 3, 1], labels=["small", "medium", "large"]).astype(str)
    strata = rows.assign(
        size=rows["sent_id"].map(third).fillna("no target"),
        words=np.where(rows["n_words"] > LONG, f"over {LONG} words", f"up to {LONG} words"),
    )
    lines = [
        {"stratum": stratum, "group": str(group)} | line
        for stratum in ("kind", "size", "words")
        for group, part in strata.groupby(stratum, sort=True)
        for line in leads(part, score)
    ]
    return pd.DataFrame(lines)
