"""Does the [EOS] of CLIP's text tower attend to [SOS] instead of the words?

The text embedding is the state of [EOS]. If it attends mostly to [SOS], which holds no word, the
embedding carries little of the expression. Per layer and head this study reads the [EOS] row of
attention over its T visible tokens. Uniform attention gives [SOS] 1/T, so the measure is the lift,
T times the attention on [SOS], and not the attention itself, which is large for short texts
whatever the model does.

Attention is not influence: beside it stands the share of what is carried by norm, since a sink with
a small value is nearly no operation.

Controls: the same towers with random weights (lift near 1), and the words in another order (lift
unchanged if the sink is about the position and not about the words); two one-sided tests must place
both within a margin, 0.1 of lift by default. H4: the mean lift over layers and heads is above 1 by
more than that margin. A tower with random weights can lie several hundredths off 1 (1.04 was seen),
and intervals over images do not know of other towers.
What the sink does to the ranking of image tokens is the question of
``litelvlm.analysis.studies.sink_causal``.
"""

from litelvlm.analysis.runs.study import Study
from litelvlm.analysis.studies import QUESTIONS
from litelvlm.analysis.studies.sink.claims import interpret, make_claims
from litelvlm.analysis.studies.sink.config import Config
from litelvlm.analysis.studies.sink.prepare import prepare
from litelvlm.analysis.studies.sink.rows import COLUMNS
from litelvlm.analysis.studies.sink.tables import make_tables

__all__ = ["STUDY", "Config", "interpret", "make_claims", "make_tables"]

STUDY = Study(
    name="sink",
    question=QUESTIONS["sink"],
    Config=Config,
    prepare=prepare,
    columns=COLUMNS,
    claims=make_claims,
    tables=make_tables,
    interpret=interpret,
)
