"""The study as the engine runs it."""

from litelvlm.analysis.runs.study import Study
from litelvlm.analysis.studies.understanding.columns import COLUMNS
from litelvlm.analysis.studies.understanding.config import Config
from litelvlm.analysis.studies.understanding.rows import prepare
from litelvlm.analysis.studies.understanding.tables import interpret, make_tables

STUDY = Study(
    name="understanding",
    question="How well does a model answer questions about images with fewer visual tokens?",
    Config=Config,
    prepare=prepare,
    columns=COLUMNS,
    claims=lambda rows, config: [],
    tables=make_tables,
    interpret=lambda claims, tables: interpret(tables["scores"]),
)
