"""Columns of the mechanism study."""

from litelvlm.analysis.runs.columns import EXPRESSION, LABELS, TOWER, Column

COLUMNS: tuple[Column, ...] = (
    *EXPRESSION,
    *LABELS,
    *TOWER,
    Column("probe", str, "What is changed: a name of ``PROBES``."),
    Column("ri", float, "Reversal index with the true text, -1 to 1."),
    Column("pointing", float, "1 if the highest score lies inside, else 0."),
    Column("n_ranked", int, "Tokens in the ranking."),
    Column("called_{category}", int, "Tokens of the target that are called this category, by id."),
    Column("ri_foreign", float, "Mean reversal index with texts of other images."),
)
