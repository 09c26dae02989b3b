"""What is left of the method's advantage when one of its parts is removed, reversed or replaced?

Reviewers asked for it row by row; the requests and the methods that answer them are in
``litelvlm.analysis.studies.ablations.config``:

    llm_score    tokens chosen by what the language model itself attends to or depends on, from an
                 unpruned first pass
    llm_shapley  tokens chosen by Shapley values of their blocks, from very many passes
    worst_first  the highest similarities instead of the lowest
    falsify      random and even tokens, mask oracles, other texts, no text, norms, cosine, another
                 layer
    recovery     a share of the budget for context tokens, and their order
    rivals       published methods, for H7
    rounding     scores in bfloat16, as the official evaluation ranks them: which tokens change, and
                 what it costs
    protocol     the official evaluation's draws of expressions and templates, seeds 0 to 4, beside
                 the same expressions in the single protocol; and which part of the method carries
                 its score there
    attention    correlation of the reversed similarity with the language model's attention

All are paired with the paper's method on the same images, expressions and template. H7: the paper's
method exceeds the best rival by more than 5 % of that rival's cIoU (of clips its J&F), whichever
rival it is.
"""

from litelvlm.analysis.runs.study import Study
from litelvlm.analysis.studies import QUESTIONS
from litelvlm.analysis.studies.ablations.claims import interpret, make_claims
from litelvlm.analysis.studies.ablations.config import Config
from litelvlm.analysis.studies.ablations.prepare import prepare
from litelvlm.analysis.studies.ablations.rows import COLUMNS
from litelvlm.analysis.studies.ablations.tables import make_tables

__all__ = ["STUDY", "Config", "interpret", "make_claims", "make_tables"]

STUDY = Study(
    name="ablations",
    question=QUESTIONS["ablations"],
    Config=Config,
    prepare=prepare,
    columns=COLUMNS,
    claims=make_claims,
    tables=make_tables,
    interpret=interpret,
)
