"""Columns of the importance study."""

from litelvlm.analysis.runs.columns import CATEGORY, EXPRESSION, LABELS, Column

COLUMNS: tuple[Column, ...] = (
    *EXPRESSION,
    *LABELS,
    CATEGORY,
    Column("empty_prediction", bool, "The unpruned model predicts no pixel."),
    Column("n_sinks", int, "Visual tokens whose norm makes them outliers."),
    Column("control", str, "Control that the row is about, or 'none'."),
    Column("score", str, "CLIP-side score."),
    Column("signal", str, "Importance signal inside the language model."),
    Column("target", str, "Scalar that the signal explains; empty for attention."),
    Column("layer", int, "Layer of the language model; -1 for whole signals."),
    Column("head", int, "Attention head; -1 for all."),
    Column("removal", str, "How tokens are removed; empty where none is."),
    Column("compl_err", float, "Completeness error of the attribution, relative."),
    Column("metric", str, "Measure of agreement."),
    Column("partial_set", str, "Covariates that are held fixed."),
    Column("sinks", str, "Outlier tokens 'kept' or 'removed'."),
    Column("k", int, "Tokens at the top that the measure compares; 0 for all."),
    Column("value", float, "Value of the measure."),
    Column("chance", float, "Its expectation under random order."),
    Column("ceiling", float, "Agreement of the two sides with their own repetitions."),
    Column("p_shift", float, "p-value against the map moved round the grid."),
    Column("score_bin", int, "Sixth of the ranks of the score; -1 where there is none."),
    Column("signal_bin", int, "Sixth of the ranks of the signal; -1 where there is none."),
    Column("corrected", float, "Value with chance taken off, 1 at most."),
)
