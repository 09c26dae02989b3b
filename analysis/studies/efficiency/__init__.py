"""What pruning saves in operations, time and memory, measured in one run with the unpruned model.

Every arm - a method at a budget - runs once per round, arms in a new random order each round, so
that a machine that grows slow hurts all alike; medians are compared, and intervals come from
resampling rounds. All arms use one attention kernel, batch 1, no gradient, and nothing empties a
cache in between. The arm that keeps all tokens through the paper's method stands for the null: it
must equal the unpruned one.
"""

from litelvlm.analysis.runs.study import Study
from litelvlm.analysis.studies.efficiency.claims import interpret, make_claims
from litelvlm.analysis.studies.efficiency.config import Config
from litelvlm.analysis.studies.efficiency.prepare import prepare
from litelvlm.analysis.studies.efficiency.rows import COLUMNS
from litelvlm.analysis.studies.efficiency.tables import make_tables

__all__ = ["STUDY", "Config", "interpret", "make_claims", "make_tables"]

STUDY = Study(
    name="efficiency",
    question="How many operations, how much time and how much memory does each token budget need?",
    Config=Config,
    prepare=prepare,
    columns=COLUMNS,
    claims=make_claims,
    tables=make_tables,
    interpret=interpret,
)
