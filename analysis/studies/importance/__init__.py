"""Do the tokens that CLIP's reversed ranking keeps matter inside the language model?

One expression per image, images spread over the sizes of referents. Importance is read inside the
unpruned model in many ways: attention of the token whose state predicts [SEG], its flow through the
layers, gradients of three targets, and what removing tokens costs. Every CLIP-side score is
compared with every signal, by rank correlation (plain, with position and state norm held fixed,
with the mask's coverage held fixed too), by overlap at the top, and against the same map moved
round the grid, because neighbouring tokens are alike.

Controls: the signal with its tokens shuffled, the signal of another expression, and models that
lose their trained layers from the top. H6: the partial rank correlation of the reversed similarity
with importance is above 0 for two signals named in advance, attention in the middle layers and the
loss of soft Dice when a block is dropped.
"""

from litelvlm.analysis.runs.study import Study
from litelvlm.analysis.studies.importance.columns import COLUMNS
from litelvlm.analysis.studies.importance.rows import Config, prepare
from litelvlm.analysis.studies.importance.tables import interpret, make_claims, make_tables

__all__ = ["STUDY", "Config", "interpret", "make_claims", "make_tables"]

STUDY = Study(
    name="importance",
    question="Do the tokens that the reversed ranking keeps matter inside the language model?",
    Config=Config,
    prepare=prepare,
    columns=COLUMNS,
    claims=lambda rows, config: make_claims(rows),
    tables=lambda rows, config: make_tables(rows),
    interpret=lambda claims, tables: interpret(claims),
)
