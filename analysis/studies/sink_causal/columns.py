"""Columns of the causal sink study."""

from litelvlm.analysis.runs.columns import EXPRESSION, LABELS, TOWER, Column

COLUMNS: tuple[Column, ...] = (
    *EXPRESSION,
    *LABELS,
    *TOWER,
    Column("ri", float, "Reversal index without any change."),
    Column("n_tokens", int, "Tokens of the question, [SOS] and [EOS] included."),
    Column("intervention", str, "What is changed for [EOS]."),
    Column("layer_set", str, "Layers in which it is changed."),
    Column("n_draws", int, "Words that the row is the mean of."),
    Column("d_ri", float, "Change of the reversal index."),
    Column("abs_d_ri", float, "Size of that change, whatever its sign."),
    Column("jaccard_{budget}", float, "Kept tokens before and after: shared over all."),
    Column("cos_eos", float, "Cosine of the text embedding before and after."),
    Column("d_ts", float, "Change of the true text's advantage over foreign texts."),
    Column("iou", float, "IoU of the mask after the change."),
    Column("d_iou", float, "Change of the IoU."),
)
