"""Columns of the ablations: those of a sweep, and what relates the score to attention."""

from litelvlm.analysis.runs.columns import Column
from litelvlm.analysis.studies.sweep.rows import COLUMNS as SWEEP

COLUMNS: tuple[Column, ...] = (
    *SWEEP,
    Column("part", str, "'methods' on the chosen expressions, or 'protocols' on all."),
    Column("ri", float, "Reversal index of the score on the referent, -1 to 1."),
    Column("pearson", float, "Correlation of the score with attention in the language model."),
    Column("spearman", float, "Rank correlation of the same two."),
    Column("sum_{pair}", float, "Sum that a correlation pooled over images needs."),
    Column("ties_float32", float, "Share of tied scores in float32."),
    Column("ties_bfloat16", float, "Share of tied scores in bfloat16."),
    Column("jaccard_{budget}", float, "Tokens kept in either number type: shared over all."),
)
