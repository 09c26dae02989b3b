"""Which conditions of training create the reversal and the sink?

Every other study asks one model. This one asks small CLIPs whose trainings differ in one condition
each (``litelvlm.training.trainings``): what captions say, how many say nothing, which loss, how
many categories, how deep, with registers or without. The unit of replication is the training, as
signs change from seed to seed: intervals are Student's t over trainings, p-values permute labels
within seeds, and Holm's adjustment runs over the effects that were settled before any training.

Measured for each training: whether it learned (a gate), the reversal index at every layer for the
true text, absent categories, bare names, no text, another object's mask, the mean-text direction
and the rest without it; the share of categories that are reversed; how the used readout lines up
with the last block's value path; the lift on [SOS] by text, layer and head with value norms; and
the reversal that is left when [SOS] is hidden from [EOS], or when [EOS] is made to look at it. Some
trainings have a sink made on purpose. A small grounding model on a tower, where one is trained,
tells what LiteLVLM gains there over random tokens.

The nulls: a condition that does nothing has an effect of 0; a text that does not matter has the
same index as that of an absent category; a sink that does not matter can be hidden or made without
a change; a reversal that does not matter goes with no gain. Cells without effect are kept in the
tables.
"""

from litelvlm.analysis.runs.study import Study
from litelvlm.analysis.studies import QUESTIONS
from litelvlm.analysis.studies.emergence.claims import interpret, make_claims
from litelvlm.analysis.studies.emergence.config import Config
from litelvlm.analysis.studies.emergence.prepare import prepare
from litelvlm.analysis.studies.emergence.rows import COLUMNS
from litelvlm.analysis.studies.emergence.tables import make_tables

__all__ = ["STUDY", "Config", "interpret", "make_claims", "make_tables"]

STUDY = Study(
    name="emergence",
    question=QUESTIONS["emergence"],
    Config=Config,
    prepare=prepare,
    columns=COLUMNS,
    claims=make_claims,
    tables=make_tables,
    interpret=interpret,
)
