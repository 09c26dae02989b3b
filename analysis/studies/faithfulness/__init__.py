"""Does a ranking of tokens predict what their removal does to the mask?

Rankings of CLIP (the reversed similarity, its opposite, context, attention of CLS, centre, random,
the mask itself) and of the language model (attention, relevance, gradients, loss when a block is
dropped, KernelSHAP) are judged alike. Tokens leave in their order (deletion) or enter in it
(insertion) and the targets of the importance study are read off: areas under the curves,
sufficiency, and captum's infidelity on removals of squares. Pruning keeps the
first k tokens only, so sufficiency at k says how good a selection of k tokens the ranking makes.

A ranking whose neighbours are alike takes whole objects away, whatever it ranks by, where random
order thins the picture out. So the claims need two nulls: random order, and the reversed similarity
moved round the grid.
"""

from litelvlm.analysis.runs.study import Study
from litelvlm.analysis.studies import QUESTIONS
from litelvlm.analysis.studies.faithfulness.claims import interpret, make_claims
from litelvlm.analysis.studies.faithfulness.config import Config
from litelvlm.analysis.studies.faithfulness.prepare import prepare
from litelvlm.analysis.studies.faithfulness.rows import COLUMNS
from litelvlm.analysis.studies.faithfulness.tables import make_tables

__all__ = ["STUDY", "Config", "interpret", "make_claims", "make_tables"]

STUDY = Study(
    name="faithfulness",
    question=QUESTIONS["faithfulness"],
    Config=Config,
    prepare=prepare,
    columns=COLUMNS,
    claims=make_claims,
    tables=make_tables,
    interpret=interpret,
)
