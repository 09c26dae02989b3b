"""Does the text tower's attention sink cause the reversal?

The [EOS] state is computed again with one thing changed, in a single layer, the last third of them
or all:

    mask_sos         the key of [SOS] hidden from [EOS], the other weights growing to sum to 1
    zero_sos_value   its value set to 0, all weights as they were
    mean_sos_value   its value replaced by the mean over sentences: in a causal tower the same, so
                     nothing may change
    mask_content        one random token of the expression hidden: what hiding any key does
    zero_content_value  the value of that token set to 0
    mask_word           each word of the expression in turn

mask_sos releases attention and loses the value, zero_sos_value only loses it. Each is compared with
the same change of a random content token of the same sentence in the same layers. Every change is
carried through to the embedding (cosine), the reversal index and the tokens kept (Jaccard).

A mean of signed changes says little: raising the index of one expression and lowering that of
another cancel. So the size of the change is taken in each expression, and then averaged.

H5: hiding [SOS], and taking its value away, change the index of single expressions more than their
controls do. If the two are shown to differ by less than 0.05 of RI (two one-sided tests), the sink
may be real and still does not explain the reversal: a smaller difference counts as none even where
its interval excludes 0. The same is asked of the kept tokens (share exchanged) and of the text
embedding (one less cosine), each with a margin of 0.05.
"""

from litelvlm.analysis.runs.study import Study
from litelvlm.analysis.studies import QUESTIONS
from litelvlm.analysis.studies.sink_causal.claims import interpret, make_claims
from litelvlm.analysis.studies.sink_causal.config import Config
from litelvlm.analysis.studies.sink_causal.prepare import prepare
from litelvlm.analysis.studies.sink_causal.rows import COLUMNS
from litelvlm.analysis.studies.sink_causal.tables import make_tables

__all__ = ["STUDY", "Config", "interpret", "make_claims", "make_tables"]

STUDY = Study(
    name="sink_causal",
    question=QUESTIONS["sink_causal"],
    Config=Config,
    prepare=prepare,
    columns=COLUMNS,
    claims=make_claims,
    tables=make_tables,
    interpret=interpret,
)
