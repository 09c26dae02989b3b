"""Columns of the reversal study."""

from litelvlm.analysis.runs.columns import EXPRESSION, LABELS, TOWER, Column

COLUMNS: tuple[Column, ...] = (
    *EXPRESSION,
    *LABELS,
    *TOWER,
    Column("rank_agreement", float, "Mean rank correlation with the rankings by other texts."),
    Column("probe", str, "Ranked by: 'P0' as released, 'U2' to 'U5' in its place, or by name."),
    Column("layer", int, "Layer of the image tower from the end: -1 is the last; 0 is none."),
    Column("sim", str, "Similarity: 'dot', 'cos' or 'none'."),
    Column("text_mode", str, "Which text: the 'template', the bare 'expression' or another one."),
    Column("control", str, "Control N1 to N8, 'oracle', or 'none' for the true text and mask."),
    Column("labels", str, "Coverage that counts as inside: 'primary', '0.25/0.75' or 'soft'."),
    Column("n_draws", int, "Draws that the row is the mean of."),
    Column("auroc", float, "Probability that an inside token scores above an outside one."),
    Column("ri", float, "Reversal index 1 - 2 AUROC, -1 to 1; positive where the inside is low."),
    Column("hedges_g", float, "Standardised difference of the means, inside minus outside."),
    Column("gap", float, "Mean score inside minus mean score outside."),
    Column("msc", float, "The same of scores scaled to 0 to 1 over the image; negative: reversed."),
    Column("pointing", float, "1 if the lowest score lies inside, else 0; a share of tied ones."),
    Column("chance_pointing", float, "The same for random scores."),
    Column("tie_frac", float, "Share of tokens whose score another token has too."),
    Column("prec_low_{budget}", float, "Precision of the lowest scores at a budget."),
    Column("rec_low_{budget}", float, "Recall of the lowest scores at a budget."),
    Column("prec_high_{budget}", float, "Precision of the highest scores at a budget."),
    Column("rec_high_{budget}", float, "Recall of the highest scores at a budget."),
    Column("chance_prec_{budget}", float, "Precision of random tokens at a budget."),
    Column("chance_rec_{budget}", float, "Recall of random tokens at a budget."),
    Column("lift_{budget}", float, "Precision of the lowest scores over that of random tokens."),
    Column("soft_rec_low_{budget}", float, "Share of the covered area in the lowest scores."),
    Column("same_category", bool, "The foreign text or mask is of the referent's category."),
)
