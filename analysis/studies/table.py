"""From the name of a study to the study; commands that need only the names stay fast."""

from importlib import import_module

from litelvlm.analysis.runs.config import StudyConfig
from litelvlm.analysis.runs.study import Study
from litelvlm.analysis.studies import BENCH, STUDIES
from litelvlm.names import check_name


def get_study(name: str) -> Study[StudyConfig]:
    """Import a study on first use.

    Raises:
        ValueError: If it is not in the table.
    """
    check_name(name, (*STUDIES, BENCH), "study")
    found: Study[StudyConfig] = import_module(f"litelvlm.analysis.studies.{name}").STUDY
    return found
