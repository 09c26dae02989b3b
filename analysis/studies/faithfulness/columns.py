"""Columns of the faithfulness study."""

from litelvlm.analysis.runs.columns import CATEGORY, EXPRESSION, LABELS, Column

COLUMNS: tuple[Column, ...] = (
    *EXPRESSION,
    *LABELS,
    CATEGORY,
    Column("empty_prediction", bool, "The unpruned model predicts no pixel."),
    Column("ranking", str, "What tokens are ranked by."),
    Column("target", str, "Scalar that removal changes."),
    Column("metric", str, "Curve or measure."),
    Column("k", int, "Tokens of the curve's point, by the image with fewest; 0: whole curves."),
    Column("value", float, "Value of the target or the measure."),
)
