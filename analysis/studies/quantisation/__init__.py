"""Does pruning cost more where the language model has fewer bits, and does it keep other tokens?

A factorial on the same expressions: the language model with all its bits and in each precision,
under every method and budget. CLIP, SAM, the projector and the seg head keep every bit.

The loss of a cell is what it lacks in cIoU to the unpruned model with all bits. The interaction of
a precision with pruning is the loss of both, less the loss of fewer bits alone, less the loss of
pruning alone. Above 0 the two hurt each other. At 0 they add up: what is known of either alone can
be used for both. Its null is 0, and differences within a margin count as none.

Tokens are compared between precisions by the Jaccard index. A method that reads only CLIP cannot
choose differently; this is a control and must give 1. A method that reads the language model can.

A mask without a pixel is counted as blank, since a mean IoU hides how a model fails. Memory is
counted by component, in bytes of weights and of the visual tokens' keys and values, beside the
published statement that pruning alone saves less than 1 % of the whole.
"""

from litelvlm.analysis.runs.study import Study
from litelvlm.analysis.studies import QUESTIONS
from litelvlm.analysis.studies.quantisation.claims import interpret, make_claims
from litelvlm.analysis.studies.quantisation.config import Config
from litelvlm.analysis.studies.quantisation.prepare import prepare
from litelvlm.analysis.studies.quantisation.rows import COLUMNS
from litelvlm.analysis.studies.quantisation.tables import make_tables

__all__ = ["STUDY", "Config", "interpret", "make_claims", "make_tables"]

STUDY = Study(
    name="quantisation",
    question=QUESTIONS["quantisation"],
    Config=Config,
    prepare=prepare,
    columns=COLUMNS,
    claims=make_claims,
    tables=make_tables,
    interpret=interpret,
)
