"""How well does a model answer questions about images with fewer visual tokens?

A vision-language model of transformers answers questions about rendered scenes with all visual
tokens, with those that a method leaves, and about a grey picture. It is none of `litelvlm study`,
because its data are questions, not expressions with masks: ``evaluate_questions`` and `litelvlm
evaluate --task` run it.
"""

from litelvlm.analysis.runs.study import Study
from litelvlm.analysis.studies.understanding.claims import interpret, make_claims
from litelvlm.analysis.studies.understanding.config import Config
from litelvlm.analysis.studies.understanding.prepare import prepare
from litelvlm.analysis.studies.understanding.rows import COLUMNS
from litelvlm.analysis.studies.understanding.tables import make_tables

STUDY = Study(
    name="understanding",
    question="How well does a model answer questions about images with fewer visual tokens?",
    Config=Config,
    prepare=prepare,
    columns=COLUMNS,
    claims=make_claims,
    tables=make_tables,
    interpret=interpret,
)

__all__ = ["STUDY"]
