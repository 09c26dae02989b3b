"""What a notebook, a script or a test needs of the studies, in one module.

Example:
    >>> from litelvlm import load_model, load_refer
    >>> from litelvlm.analysis.api import evaluate, run_study
    >>> model, data = load_model("embedded"), load_refer("embedded", split="val")
    >>> run_study("sink", model, data, limit=24).interpretation  # doctest: +SKIP
    >>> evaluate(model, data, ["litelvlm", "random"], budgets=(48,))  # doctest: +SKIP
"""

from litelvlm.analysis.lmms.samples import paired_difference, read_samples
from litelvlm.analysis.runs.engine import complete_run
from litelvlm.analysis.runs.folder import read_record, read_rows, read_summary
from litelvlm.analysis.runs.hypotheses import read_family
from litelvlm.analysis.runs.messages.events import Event
from litelvlm.analysis.runs.saved import SavedRun
from litelvlm.analysis.stats.bootstrap import Bootstrap, Estimate, bootstrap_means, mean_estimate
from litelvlm.analysis.studies import STUDIES
from litelvlm.analysis.studies.own_hypotheses import judge
from litelvlm.analysis.studies.sweep.evaluate import evaluate
from litelvlm.analysis.studies.table import get_study, run_study
from litelvlm.analysis.studies.understanding.evaluate import evaluate_questions

__all__ = [
    "STUDIES",
    "Bootstrap",
    "Estimate",
    "Event",
    "SavedRun",
    "bootstrap_means",
    "complete_run",
    "evaluate",
    "evaluate_questions",
    "get_study",
    "judge",
    "mean_estimate",
    "paired_difference",
    "read_family",
    "read_record",
    "read_rows",
    "read_samples",
    "read_summary",
    "run_study",
]
