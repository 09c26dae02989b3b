"""Columns of the sink study."""

from litelvlm.analysis.runs.columns import EXPRESSION, Column

COLUMNS: tuple[Column, ...] = (
    *EXPRESSION,
    Column("weights", str, "'trained' or 'random'."),
    Column("weights_seed", int, "Seed of random weights; -1 for trained ones."),
    Column("text_mode", str, "'template', 'expression' or 'permuted' words."),
    Column("n_tokens", int, "Tokens of the sentence, [SOS] and [EOS] included."),
    Column("layer", int, "Layer of the text tower, from 0."),
    Column("head", int, "Attention head, from 0; -1 for the mean over heads."),
    Column("query", str, "Position that attends: 'eos', or 'all' for the mean over positions."),
    Column("a_sos", float, "Attention on [SOS], 0 to 1."),
    Column("lift", float, "That attention times the tokens in view: 1 for uniform attention."),
    Column("content_share", float, "Attention on the words of the expression."),
    Column("content_uniform", float, "The same for uniform attention."),
    Column("punct_share", float, "Attention on punctuation."),
    Column("self_share", float, "Attention of the position on itself."),
    Column("entropy_norm", float, "Entropy of the attention over its maximum, 0 to 1."),
    Column("alpha1", float, "Mean attention that all positions pay to [SOS]."),
    Column("alpha1_excess", float, "The same minus its value under uniform attention."),
    Column("alpha1_free", float, "The same without the first position, which sees itself alone."),
    Column("sink_eps", float, "1 if that attention exceeds the threshold of a sink, else 0."),
    Column("norm_share", float, "Share of [SOS] in what is carried, by norm."),
    Column("norm_self", float, "Share of the position itself in what is carried."),
    Column("norm_content", float, "Share of the expression's words in what is carried."),
    Column("norm_punct", float, "Share of punctuation in what is carried."),
    Column("v_sos_ratio", float, "Value norm of [SOS] over the median of the words."),
    Column("rollout_sos", float, "Attention on [SOS] rolled out through the layers."),
    Column("rollout_norm_sos", float, "The same by what is carried."),
    Column("rollout_uniform", float, "The same for uniform attention."),
)
