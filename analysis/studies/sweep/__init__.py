"""How much of the mask survives when only some visual tokens reach the language model?

In protocol "single" every expression has a conversation of its own, with one question and one
answer template. In "conversation" all expressions of an image share one conversation and one
selection. In "official" up to three drawn expressions do. Each conversation runs once per method
and budget, on CLIP and SAM states that are computed once per image. Controls stand in every table:
the unpruned model, random tokens (several seeds), evenly spaced ones, average pooling, the image
made smaller, and oracles that know the mask or avoid it. Claims: the paper's method beats random
tokens at each budget, and H8: at the largest budget it keeps 90 % of the unpruned cIoU.
"""

from litelvlm.analysis.runs.study import Study
from litelvlm.analysis.studies import QUESTIONS
from litelvlm.analysis.studies.sweep.claims import interpret, make_claims
from litelvlm.analysis.studies.sweep.config import Config
from litelvlm.analysis.studies.sweep.examples import save_examples
from litelvlm.analysis.studies.sweep.prepare import prepare
from litelvlm.analysis.studies.sweep.rows import COLUMNS
from litelvlm.analysis.studies.sweep.tables import make_tables

__all__ = ["STUDY", "Config", "interpret", "make_claims", "make_tables"]

STUDY = Study(
    name="sweep",
    question=QUESTIONS["sweep"],
    Config=Config,
    prepare=prepare,
    columns=COLUMNS,
    claims=make_claims,
    tables=make_tables,
    interpret=interpret,
    pictures=save_examples,
)
