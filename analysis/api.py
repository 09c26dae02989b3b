"""What a notebook or script needs of the studies: run one, score methods, read saved results.

Example:
    >>> from litelvlm import load_model, load_refer
    >>> from litelvlm.analysis.api import evaluate, run_study
    >>> model, data = load_model("embedded"), load_refer("embedded", split="val")
    >>> run_study("sink", model, data, limit=24).interpretation  # doctest: +SKIP
    >>> evaluate(model, data, ["litelvlm", "random"], budgets=(48,))  # doctest: +SKIP
"""

from litelvlm.analysis.runs.saved import SavedRun
from litelvlm.analysis.studies import STUDIES
from litelvlm.analysis.studies.sweep.evaluate import evaluate
from litelvlm.analysis.studies.table import get_study, run_study

__all__ = ["STUDIES", "SavedRun", "evaluate", "get_study", "run_study"]
