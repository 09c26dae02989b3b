"""Does the text tower's attention sink cause the reversal?

The [EOS] state is computed again with one thing changed, in a single layer, the last third of them
or all:

    mask_sos         the key of [SOS] hidden from [EOS], the other weights growing to sum to 1
    zero_sos_value   its value set to 0, all weights as they were
    mean_sos_value   its value replaced by the mean over sentences: in a causal tower the same, so
                     nothing may change
    mask_content     one random token of the expression hidden: what hiding any key does
    mask_word        each word of the expression in turn

mask_sos releases attention and loses the value, zero_sos_value only loses it. Every change is
carried through to the embedding (cosine), the reversal index, its dependence on the text, the
tokens kept, and on some images the mask.

H5: hiding [SOS] changes the reversal otherwise than hiding a content token does. If the two are
shown to differ by less than 0.05 of RI (two one-sided tests), the sink may be real and still does
not explain the reversal: a smaller difference counts as none even where its interval excludes 0.
"""

from litelvlm.analysis.runs.study import Study
from litelvlm.analysis.studies.sink_causal.claims import interpret, make_claims, make_tables
from litelvlm.analysis.studies.sink_causal.columns import COLUMNS
from litelvlm.analysis.studies.sink_causal.prepare import prepare
from litelvlm.analysis.studies.sink_causal.rows import Config

__all__ = ["STUDY", "Config", "interpret", "make_claims", "make_tables"]

STUDY = Study(
    name="sink_causal",
    question="Does the text tower's attention sink cause the reversal?",
    Config=Config,
    prepare=prepare,
    columns=COLUMNS,
    claims=lambda rows, config: make_claims(rows, margin=config.margin),
    tables=lambda rows, config: make_tables(rows),
    interpret=lambda claims, tables: interpret(claims),
)
