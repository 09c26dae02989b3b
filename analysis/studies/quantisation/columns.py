"""Columns of the quantisation study: those of a sweep, for each precision."""

from litelvlm.analysis.runs.columns import Column
from litelvlm.analysis.studies.sweep.rows import COLUMNS as SWEEP

COLUMNS: tuple[Column, ...] = (
    *SWEEP,
    Column("precision", str, "How the language model's weights are stored; 'none' is all bits."),
    Column("blank", bool, "The mask has no pixel, though the expression means something."),
    Column("reads_llm", bool, "The method reads the language model before it chooses."),
    Column("jaccard", float, "Tokens kept here and with all bits: shared over all; 0 to 1."),
    Column("bytes_{component}", int, "Bytes of a component; in rows of the unpruned model only."),
)
