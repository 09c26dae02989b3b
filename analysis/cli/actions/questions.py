"""`litelvlm evaluate --task`: answers to questions about images, scored and shown."""

import json
import math
import sys
from collections.abc import Hashable, Mapping

from litelvlm.analysis.cli.actions.loading import data_of, hide_loading_bar
from litelvlm.analysis.cli.verbs.evaluate import Evaluate
from litelvlm.analysis.runs.engine import complete_run
from litelvlm.analysis.runs.folder import read_record
from litelvlm.analysis.runs.locks import Shard
from litelvlm.analysis.runs.messages.unfinished import unfinished_text
from litelvlm.analysis.runs.origin.determinism import make_deterministic
from litelvlm.analysis.runs.saved import SavedRun
from litelvlm.analysis.studies.understanding import STUDY
from litelvlm.analysis.studies.understanding.asking import REC, RULES
from litelvlm.analysis.studies.understanding.config import Config
from litelvlm.analysis.studies.understanding.evaluate import configured
from litelvlm.data.understanding.rendered import load_questions
from litelvlm.models.families import load_vlm
from litelvlm.models.vlm.load import EMBEDDED, PREFIX
from litelvlm.models.vlm.model import Vlm

_OWN = {
    **{"protocol": "single", "question_index": 0, "answer_index": 0, "doubled": "background"},
    **{"batch_size": 24, "empty_below": 50},
}
"""The only value that these options of masks have with --task."""
_UNUSED = ("random_init", "quantise", "options", "cache")
_RENDERED = {"data": "embedded", "split": "val", "dataset": None, "split_by": None}
"""The only value that options of data have where questions are asked."""
_ANSWERS = ("positions", "opposites", "prompt", "box_format", "pad", "max_new_tokens")
_ELSEWHERE = "published question-answering sets run in lmms-eval: docs/understanding.md"


def evaluate_task(verb: Evaluate, task: str) -> int:
    """Ask what a task asks and print the scores; 1 if conditions failed.

    Raises:
        ValueError: If a name is unknown, or an option does not belong to the task.
    """
    config, shard = configure(verb, task), Shard.parse(verb.shard)
    make_deterministic(verb.seed)
    # Data first: a split that does not exist is told at once, a model can take minutes.
    data = data_of(verb) if task == REC else load_questions(task)
    model = answering(verb)
    accepted = verb.accept_versions
    folder = complete_run(STUDY, model, data, config, verb.out, shard, accept_versions=accepted)
    record = read_record(folder)
    if not record.complete:
        sys.stdout.write(f"{folder}: {unfinished_text(record)}\n")
        return int(record.state == "failed")
    run = SavedRun(folder)
    about = f"{data.name} {data.split}" if task == REC else "questions about rendered scenes"
    told = {"run": str(folder), "task": task, "model": model.name, "data": about}
    verb.print_found(
        told | {
            "notes": notes_of(run),
            "failures": failures_of(run),
            "scores": json.loads(run.table("scores").to_json(orient="records")),
        },
        as_text(f"{model.name}, task {task}: {about}", run),
    )  # fmt: skip
    return int(bool(failures_of(run)))


def configure(verb: Evaluate, task: str) -> Config:
    """The configuration of the study that asks.

    Raises:
        ValueError: If a name is unknown, a value is refused, or an option does not belong to the
            task.
    """
    if task not in RULES:
        raise ValueError(f"unknown task {task!r}; choose of {', '.join(RULES)}; {_ELSEWHERE}")
    wrong = [name for name in _UNUSED if getattr(verb, name)]
    wrong += [name for name, only in _OWN.items() if getattr(verb, name) != only]
    if wrong:
        raise ValueError(f"{option(wrong[0])} belongs to masks; leave it out with --task")
    data = [name for name, only in _RENDERED.items() if getattr(verb, name) != only]
    if task != REC and data:
        raise ValueError(
            f"{option(data[0])} belongs to referring expressions; leave it out with --task {task}, "
            f"whose questions are about rendered scenes ({_ELSEWHERE})"
        )
    names = (name for name in _ANSWERS if name != "pad")
    given = verb.given("methods", "budgets", "limit", "seed", *names)
    return configured({**given, "draws": verb.seeds})


def answering(verb: Evaluate) -> Vlm:
    """The model that the options name, one that answers in words.

    Raises:
        ValueError: If it gives masks, or cannot be loaded.
    """
    if not verb.model.startswith(PREFIX):
        raise ValueError(
            f"--task asks a model that answers in words, and --model {verb.model} gives masks; "
            "take vlm:embedded, or vlm: with a folder or hub id"
        )
    hide_loading_bar(large=verb.model.removeprefix(PREFIX) not in EMBEDDED)
    return load_vlm(
        verb.model,
        dtype=None if verb.dtype == "auto" else verb.dtype,
        device=None if verb.device == "auto" else verb.device,
        clip=verb.clip,
        attn=verb.attn,
        pad=verb.pad,
    )


def refuse_task_options(verb: Evaluate) -> None:
    """Refuse options of answers where masks are asked for.

    Raises:
        ValueError: Naming the first.
    """
    given = [name for name in _ANSWERS if getattr(verb, name)]
    if given:
        raise ValueError(
            f"{option(given[0])} belongs to answers in words or boxes; add --task, for example "
            "--task rec, or leave it out"
        )


def option(field: str) -> str:
    """A field as the command line writes it."""
    return f"--{field.replace('_', '-')}"


def notes_of(run: SavedRun) -> list[str]:
    """What a reader of the scores should know, what was left out included."""
    skipped = [f"{n} skipped: {reason}" for reason, n in run.record.counts.skipped.items()]
    return [*run.record.notes, *skipped, *run.table("notes")["note"]]


def failures_of(run: SavedRun) -> list[str]:
    """Conditions without answers, each with its reason."""
    record = run.record
    found = [f"{one.method} {one.budget:g}: {one.reason}" for one in record.excluded]
    found += record.failures
    return found + [
        f"{condition_of(line)}: {line['reason']} ({line['questions']} questions)"
        for line in run.table("failures").to_dict("records")
    ]


def condition_of(line: Mapping[Hashable, object]) -> str:
    """Method and budget of a line; what keeps every token has no budget."""
    budget = line["budget"]
    known = isinstance(budget, int | float) and math.isfinite(budget)
    return f"{line['method']} {budget:g}" if known else str(line["method"])


def as_text(title: str, run: SavedRun) -> str:
    """The scores for people: the main metric first, then the others, then their parts."""
    rows, scores = run.rows, run.table("scores")
    counted = f"{rows['question_id'].nunique()} asked about {rows['image_id'].nunique()} images"
    metrics = scores["metric"].to_list()
    order = sorted(
        range(len(scores)), key=lambda at: (metrics[at] != metrics[0]) + (":" in metrics[at])
    )
    table = scores.iloc[order].to_string(index=False, float_format="%.4f", na_rep="-")
    failures = [f"failed: {failure}" for failure in failures_of(run)]
    return "\n".join(
        [title, counted, *notes_of(run), *failures, "", table, "", str(run.folder), ""]
    )
