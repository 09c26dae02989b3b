"""Columns of the sweep."""

from litelvlm.analysis.runs.columns import EXPRESSION, LABELS, Column

COLUMNS: tuple[Column, ...] = (
    *EXPRESSION,
    *LABELS,
    Column("protocol", str, "How expressions are put into conversations."),
    Column("method", str, "Label of the pruning method; 'unpruned' keeps every token."),
    Column("budget", int, "Visual tokens asked for; a share is that of the image with fewest."),
    Column("seed", int, "Draw of a random method, or of the official protocol."),
    Column("n_kept", int, "Visual tokens that enter the language model."),
    Column("n_ctx", int, "Of these, tokens that the method keeps as context."),
    Column("n_average", float, "Visual tokens per layer, mean over the layers."),
    Column("inter_px", int, "Pixels in prediction and target."),
    Column("union_px", int, "Pixels in either."),
    Column("pred_px", int, "Predicted pixels."),
    Column("target_px", int, "Target pixels."),
    Column("iou", float, "Intersection over union, 0 to 1; 1 where both are empty."),
    Column("same_inter_px", int, "Pixels in this prediction and in that of the unpruned model."),
    Column("same_union_px", int, "Pixels in either of the two."),
    Column("agreement", float, "Their intersection over union, 0 to 1; 1 where both are empty."),
    Column("seg_found", bool, "The answer holds a [SEG]."),
    Column("p50", bool, "The IoU reaches 0.5."),
    Column("p70", bool, "The IoU reaches 0.7."),
    Column("p90", bool, "The IoU reaches 0.9."),
)
