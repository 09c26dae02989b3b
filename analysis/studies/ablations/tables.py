"""Tables of the ablations: paired differences, lead by reversal, correlations, rounding."""

import numpy as np
import pandas as pd
from jaxtyping import Float

from litelvlm.analysis.inputs.methods import PAPER, UNPRUNED
from litelvlm.analysis.runs.claims import ALPHA
from litelvlm.analysis.runs.columns import Row
from litelvlm.analysis.stats.bootstrap import (
    Estimate,
    bootstrap,
    mean_estimate,
)
from litelvlm.analysis.stats.lines import adjusted, mean_line, wider_p
from litelvlm.analysis.stats.precision import minimum_detectable
from litelvlm.analysis.stats.significance import holm
from litelvlm.analysis.studies.ablations.config import REFERENCES, Config, request_of, shuffled
from litelvlm.analysis.studies.ablations.pairs import official_table
from litelvlm.analysis.studies.ablations.protocols import protocol_table
from litelvlm.analysis.studies.ablations.rows import METHODS_PART, PROTOCOLS_PART, SUMS
from litelvlm.analysis.studies.scores import Score
from litelvlm.analysis.studies.sweep.paired import (
    ONE_SIDED,
    PairedScores,
    pair_scores,
)
from litelvlm.analysis.studies.sweep.tables import leads, score_table
from litelvlm.arrays import Array

PER_SAMPLE = "Pearson, mean over samples"
QUARTERS = ("lowest quarter", "second", "third", "highest quarter")


def make_tables(rows: pd.DataFrame, config: Config) -> dict[str, pd.DataFrame]:
    """Tables for figures.

    Returns:
        "scores" per method and budget; "deltas" to the paper's method with Holm's adjustment;
        "retention" of the unpruned score; "gain", the lead over random tokens by reversal index;
        "protocols", how much draws of the official protocol move the scores, and "official", which
        part carries them there; "attention", the reversed similarity against it; "precision", what
        bfloat16 changes; "reads_text", what each method loses with the text of another image. A
        table without lines is left out.
    """
    if METHODS_PART not in set(rows["part"]):  # where no chosen expression can be asked
        return {}
    alone = rows[rows["part"] == METHODS_PART]
    paired = pair_scores(alone)
    score = paired.main
    found = {
        "scores": score_table(paired),
        "deltas": delta_table(paired, config.margin),
        "retention": retention_table(paired, score),
        "gain": gain_table(every_expression(rows), score),
        "protocols": protocol_table(rows, score),
        "official": official_table(rows),
        "attention": attention_table(alone),
        "precision": precision_table(alone),
        "reads_text": reads_text_table(paired, score, config.margin),
    }
    return {name: table for name, table in found.items() if not table.empty}


def delta_table(paired: PairedScores, margin: float) -> pd.DataFrame:
    """Every method minus its reference at the same budget, score by score.

    The reference is the paper's method unless ``REFERENCES`` names another one. Differences are
    those of ``PairedEffect.line``; p_holm is adjusted over all lines of one score.

    within_a_point says that the whole of the wider interval lies above minus the margin;
    p_equivalent is that of two one-sided tests of delta against the margin, the larger of that over
    images and that over images and categories. mde is the smallest difference that n images would
    show with a power of 0.8.
    """
    lines = []
    for score in paired.compared:
        for cell in paired.cells:
            method, budget = cell
            other = (REFERENCES.get(method, PAPER), budget)
            if method in (UNPRUNED, PAPER) or other not in paired.cells:
                continue
            effect = paired.difference(score, cell, other)
            low = effect.widest.low
            line: Row = {"request": request_of(method), "method": method, "reference": other[0]}
            line |= {"budget": budget, "metric": score.name}
            line |= effect.line(paired.swap_p_value(score, cell, other))
            lines.append(
                line
                | {
                    "mde": float(minimum_detectable(effect.over_images)[0]),
                    "within_a_point": bool(low > -margin),
                    "p_equivalent": effect.p_equivalent(margin),
                }
            )
    table = pd.DataFrame(lines)
    return table if table.empty else table.assign(p_holm=adjusted(table, holm, ["metric"]))


def reads_text_table(paired: PairedScores, score: Score, margin: float) -> pd.DataFrame:
    """What each method loses when its ranking reads the text of another image.

    delta is the score with the own text minus that with the foreign one; low, high and p are the
    wider ones of those over images and those over images and categories. reads is "yes" where
    delta lies above 0 after Holm's adjustment over all lines, "yes, to its harm" where it lies
    below, "no" where the interval lies within the margin on both sides, else "cannot tell".
    """
    lines = []
    for method, budget in paired.cells:
        other = (shuffled(method), budget)
        if other not in paired.cells:
            continue
        cell = (method, budget)
        effect = paired.difference(score, cell, other)
        own, foreign = paired.drawn.value[[paired.place(score, one) for one in (cell, other)]]
        line: Row = {"method": method, "budget": budget}
        line |= {"own": float(own), "foreign": float(foreign)}
        p = wider_p(paired.swap_p_value(score, cell, other), effect.crossed)
        lines.append(line | effect.widest.line("delta") | {"p": p})
    if not lines:
        return pd.DataFrame()
    table = pd.DataFrame(lines)
    table["p_holm"] = adjusted(table, holm)
    return table.assign(reads=reading(table, margin))


def reading(table: pd.DataFrame, margin: float) -> list[str]:
    """Whether each ranking reads its text, in words, from columns low, high and p_holm.

    Example:
        >>> own_minus_foreign = {"low": [0.1, -0.3, -0.004], "high": [0.3, -0.1, 0.003]}
        >>> reading(pd.DataFrame(own_minus_foreign | {"p_holm": [0.01, 0.01, 1.0]}), 0.01)
        ['yes', 'yes, to its harm', 'no']
    """
    shown, low, high = table["p_holm"] <= ALPHA, table["low"], table["high"]
    cases = [shown & (low > 0), shown & (high < 0), (low > -margin) & (high < margin)]
    words: list[str] = np.select(cases, ["yes", "yes, to its harm", "no"], "cannot tell").tolist()
    return words


def retention_table(paired: PairedScores, score: Score) -> pd.DataFrame:
    """Share of the unpruned score that each method keeps, with interval and one-sided bound."""
    (whole,) = (cell for cell in paired.cells if cell[0] == UNPRUNED)
    lines = []
    for cell in paired.cells:
        if cell == whole:
            continue
        result = paired.retention(score, cell, whole).over_images
        if np.isfinite(result.value).all() and np.isfinite(result.draws).all():
            line = {"request": request_of(cell[0]), "method": cell[0], "budget": cell[1]}
            line |= result.estimates()[0].line("kept")
            lines.append(line | {"bound": result.estimates(ONE_SIDED)[0].low})
    return pd.DataFrame(lines)


def every_expression(rows: pd.DataFrame) -> pd.DataFrame:
    """Single-protocol rows of every expression of the images, if protocols were compared.

    Else those of the chosen expressions.
    """
    compared = rows[(rows["part"] == PROTOCOLS_PART) & (rows["protocol"] == "single")]
    return rows[rows["part"] == METHODS_PART] if compared.empty else compared


def gain_table(every: pd.DataFrame, score: Score) -> pd.DataFrame:
    """Lead over random tokens by quarters of the reversal index: does reversal predict it?"""
    index = every[every["method"] == UNPRUNED].set_index("sent_id")["ri"].dropna()
    quarter = pd.cut(index.rank(pct=True, method="first"), [0, 0.25, 0.5, 0.75, 1], labels=QUARTERS)
    return pd.DataFrame(
        [
            {"quarter": name, "ri": float(index[members.index].mean())} | lead
            for name, members in quarter.groupby(quarter, observed=True)
            for lead in leads(every[every["sent_id"].isin(members.index)], score)
        ]
    )


def attention_table(alone: pd.DataFrame) -> pd.DataFrame:
    """Correlations of the reversed similarity with attention, three ways; empty if not measured."""
    found, undefined = attention_estimates(alone)
    lines = [{"measure": name} | e.line("correlation") for name, e in found.items()]
    return pd.DataFrame(lines).assign(undefined=undefined) if lines else pd.DataFrame()


def attention_estimates(alone: pd.DataFrame) -> tuple[dict[str, Estimate], int]:
    """Correlations of the reversed similarity with the language model's attention.

    Returns:
        Mean over samples of Pearson's and of Spearman's coefficient, and Pearson's over the tokens
        of all samples together, which differences between images enter as well; and the number of
        samples that were left out because a side is constant.
    """
    if "pearson" not in alone:
        return {}, 0
    measured = alone[alone["method"] == UNPRUNED]
    usable = measured.dropna(subset=["pearson", "spearman"])
    if usable.empty:
        return {}, len(measured)
    images = usable["image_id"].to_numpy()
    sums = usable[[f"sum_{name}" for name in SUMS]].to_numpy(dtype=np.float64)
    found = {
        PER_SAMPLE: mean_estimate(usable["pearson"].to_numpy(), images),
        "Spearman, mean over samples": mean_estimate(usable["spearman"].to_numpy(), images),
        "Pearson, all tokens pooled": bootstrap(sums, images, pooled_pearson).estimates()[0],
    }
    return found, len(measured) - len(usable)


def pooled_pearson(sums: Float[Array, "b 6"]) -> Float[Array, "b 1"]:
    """Pearson's correlation from the sums n, x, y, x x, y y, x y."""
    n, x, y, xx, yy, xy = sums.T
    value: Array = (n * xy - x * y) / np.sqrt((n * xx - x * x) * (n * yy - y * y))
    return value[:, None]


def precision_table(alone: pd.DataFrame) -> pd.DataFrame:
    """What bfloat16 changes: overlap of the kept sets at each budget, and tied scores; or empty."""
    columns = sorted(c for c in map(str, alone.columns) if c.startswith(("jaccard_", "ties_")))
    measured = alone[alone["method"] == UNPRUNED]
    lines = []
    for column in columns:
        kind, _, rest = column.partition("_")
        name: Row = {"measure": f"tied scores, {rest}", "budget": 0}
        if kind == "jaccard":
            name = {"measure": "kept sets, Jaccard", "budget": int(rest)}
        lines.append(name | mean_line(measured, column))
    return pd.DataFrame(lines)
