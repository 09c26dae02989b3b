"""`litelvlm evaluate`: the scores that papers print."""

import json
import sys

import pandas as pd

from litelvlm.analysis.cli.actions.loading import data_of, model_of
from litelvlm.analysis.cli.actions.questions import evaluate_task, refuse_task_options
from litelvlm.analysis.cli.options import require_writable
from litelvlm.analysis.cli.verbs.evaluate import Evaluate
from litelvlm.analysis.runs.engine import complete_run
from litelvlm.analysis.runs.folder import read_record, read_rows
from litelvlm.analysis.runs.locks import Shard
from litelvlm.analysis.runs.messages.reasons import exclusion_lines
from litelvlm.analysis.runs.messages.unfinished import unfinished_text
from litelvlm.analysis.runs.origin.determinism import make_deterministic
from litelvlm.analysis.runs.record import RunRecord
from litelvlm.analysis.studies.sweep import STUDY
from litelvlm.analysis.studies.sweep.config import Config
from litelvlm.analysis.studies.sweep.evaluate import score_lines


def run(verb: Evaluate) -> int:
    """Compute what is missing and print the scores; 1 if samples failed.

    Raises:
        ValueError: If an option is refused, before the model is loaded.
    """
    if verb.task is not None:
        require_writable(verb.out, folder=True)
        return evaluate_task(verb, verb.task)
    refuse_task_options(verb)
    config, shard = configure(verb), Shard.parse(verb.shard)
    require_writable(verb.out, folder=True)
    make_deterministic(verb.seed)  # before the model: it sets what CUDA reads when it starts
    # Data first: a split that does not exist is told at once, a model can take minutes.
    data, model = data_of(verb), model_of(verb)
    accepted = verb.accept_versions
    folder = complete_run(STUDY, model, data, config, verb.out, shard, accept_versions=accepted)
    record = read_record(folder)
    if not record.complete:
        sys.stdout.write(f"{folder}: {unfinished_text(record)}\n")
        return int(record.state == "failed")
    lines = score_lines(read_rows(folder), verb.empty_below)
    told = {
        "run": str(folder),
        "model": model.name,
        "data": f"{data.name} {data.split} ({data.split_by})",
        "protocol": verb.protocol,
        "count_note": data.count_note,
    }
    verb.print_found(as_data(told, record, lines), as_text(told, record, lines))
    return int(record.state == "failed")


def configure(verb: Evaluate) -> Config:
    """The configuration of the sweep behind the scores.

    Raises:
        ValueError: If a value is refused.
    """
    if verb.empty_below < 1:
        raise ValueError(f"--empty-below {verb.empty_below} is below 1; 1 is the official rule")
    return Config.model_validate(
        verb.given(
            *("methods", "budgets", "protocol", "seeds", "question_index", "answer_index"),
            *("answer", "doubled", "batch_size", "limit", "seed"),
        )
    )


def as_data(told: dict[str, str], record: RunRecord, lines: pd.DataFrame) -> dict[str, object]:
    """The scores for programs."""
    return told | {
        "state": record.state,
        "counts": record.counts.model_dump(),
        "notes": list(record.notes),
        "left_out": [one.model_dump() for one in record.excluded],
        "failures": list(record.failures),
        "scores": json.loads(lines.to_json(orient="records")),
    }


def as_text(told: dict[str, str], record: RunRecord, lines: pd.DataFrame) -> str:
    """The scores for people."""
    head = [
        f"{told['model']} on {told['data']}, protocol {told['protocol']}",
        f"{record.counts.told(' expressions')}: {record.state_in_words}",
        *filter(None, [told["count_note"]]),
        *record.notes,
        *exclusion_lines(record.excluded),
        *(f"failed: {failure}" for failure in record.failures),
    ]
    shown = lines if lines["draw"].nunique() > 1 else lines.drop(columns="draw")
    table = shown.to_string(index=False, float_format="%.4f", na_rep="-")
    return "\n".join([*head, "", table, "", told["run"], ""])
