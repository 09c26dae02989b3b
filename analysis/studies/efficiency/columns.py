"""Columns of the bench."""

from litelvlm.analysis.runs.columns import Column

COLUMNS: tuple[Column, ...] = (
    Column("method", str, "Label of the pruning method."),
    Column("k", int, "Visual tokens that enter the language model."),
    Column("n_text", int, "Expressions in the conversation."),
    Column("round", int, "Timed round, from 0; -1 for what is measured once."),
    Column("component", str, "Part of the pipeline."),
    Column("metric", str, "What is measured."),
    Column("value", float, "Its value."),
    Column("unit", str, "ms, MAC, FLOP or B."),
)
