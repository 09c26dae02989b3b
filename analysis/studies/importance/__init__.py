"""Do the tokens that CLIP's reversed ranking keeps matter inside the language model?

One expression per image, images spread over the sizes of referents. Importance is read inside the
unpruned model in many ways: attention of the token whose state predicts [SEG], its flow through the
layers, gradients of three targets, and what removing tokens costs. Every CLIP-side score is
compared with every signal, by rank correlation (plain, with position and state norm held fixed,
with the mask's coverage held fixed too), by overlap at the top, and against the same map moved
round the grid, because neighbouring tokens are alike.

H6: the tokens that the reversed ranking keeps are those that matter more, for two signals named in
advance: attention in the middle layers, and the loss of soft Dice when a block is dropped. It is
measured at the top of both rankings, at the budgets: intersection over union of the first k tokens,
mean over k, corrected for chance. Rank-biased overlap stands beside it. The floor is random order,
and the positive control is the true mask: where even its tokens do not overlap with the important
ones, the measure is blind and says so. (A rank correlation over all tokens, with position and state
norm held fixed, is kept as an exploratory claim. It has little power: most tokens matter little,
and their order dominates it.)

Controls besides: the signal with its tokens shuffled, nearness to the centre, and models that lose
their trained layers from the top.
"""

from litelvlm.analysis.runs.study import Study
from litelvlm.analysis.studies import QUESTIONS
from litelvlm.analysis.studies.importance.claims import interpret, make_claims
from litelvlm.analysis.studies.importance.config import Config
from litelvlm.analysis.studies.importance.prepare import prepare
from litelvlm.analysis.studies.importance.rows import COLUMNS
from litelvlm.analysis.studies.importance.tables import make_tables

__all__ = ["STUDY", "Config", "interpret", "make_claims", "make_tables"]

STUDY = Study(
    name="importance",
    question=QUESTIONS["importance"],
    Config=Config,
    prepare=prepare,
    columns=COLUMNS,
    claims=make_claims,
    tables=make_tables,
    interpret=interpret,
)
