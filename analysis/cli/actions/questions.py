"""`litelvlm evaluate --task`: answers to questions about images, scored and shown."""

import json
import math
from collections.abc import Hashable, Mapping

from litelvlm.analysis.cli.actions.loading import hide_loading_bar
from litelvlm.analysis.cli.verbs.evaluate import Evaluate
from litelvlm.analysis.runs.origin.determinism import make_deterministic
from litelvlm.analysis.runs.saved import SavedRun
from litelvlm.analysis.studies.understanding.evaluate import configured, evaluate_questions
from litelvlm.analysis.studies.understanding.scores import main_metric
from litelvlm.data.understanding.question import TASKS
from litelvlm.models.families import load_vlm
from litelvlm.models.vlm.load import PREFIX

_OWN = {
    **{"data": "embedded", "split": "val", "protocol": "single", "shard": "1/1"},
    **{"question_index": 0, "answer_index": 0, "doubled": "background"},
    **{"batch_size": 24, "empty_below": 50},
}
"""The only value that these options have with --task."""
_UNUSED = ("dataset", "split_by", "random_init", "quantise", "options", "cache")
_ELSEWHERE = "published question-answering sets run in lmms-eval: docs/understanding.md"


def evaluate_task(verb: Evaluate, task: str) -> int:
    """Score a model on the questions of a task and print the scores; 1 if conditions failed.

    Raises:
        ValueError: If a name is unknown, or an option belongs to referring expressions.
    """
    if task not in TASKS:
        raise ValueError(f"unknown task {task!r}; choose of {', '.join(TASKS)}; {_ELSEWHERE}")
    wrong = [name for name in _UNUSED if getattr(verb, name)]
    wrong += [name for name, only in _OWN.items() if getattr(verb, name) != only]
    if wrong:
        option = wrong[0].replace("_", "-")
        raise ValueError(
            f"--{option} belongs to referring expressions; leave it out with --task, whose "
            f"questions are about rendered scenes ({_ELSEWHERE})"
        )
    make_deterministic(verb.seed)
    if not verb.model.startswith(PREFIX):
        raise ValueError(
            f"--task asks a model that answers in words, and --model {verb.model} gives masks; "
            "take vlm:embedded, or vlm: with a folder or hub id"
        )
    options = {"draws": verb.seeds, "limit": verb.limit}
    configured(verb.methods, verb.budgets, **options)  # refused before the model is loaded
    hide_loading_bar(large=verb.model != "vlm:embedded")
    model = load_vlm(
        verb.model,
        dtype=None if verb.dtype == "auto" else verb.dtype,
        device=None if verb.device == "auto" else verb.device,
        clip=verb.clip,
        attn=verb.attn,
    )
    run = evaluate_questions(model, task, verb.methods, verb.budgets, verb.out, **options)
    told = {"run": str(run.folder), "task": task, "model": model.name}
    verb.print_found(
        told | {
            "notes": list(run.table("notes")["note"]),
            "failures": failures_of(run),
            "scores": json.loads(run.table("scores").to_json(orient="records")),
        },
        as_text(f"{model.name} on {task} questions about rendered scenes", run),
    )  # fmt: skip
    return int(bool(failures_of(run)))


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
    """The scores for people: the main metric first, then its parts."""
    rows, scores = run.rows, run.table("scores")
    counted = f"{rows['question_id'].nunique()} questions, {rows['image_id'].nunique()} images"
    main = main_metric(scores)
    order = sorted(range(len(scores)), key=lambda place: scores["metric"][place] != main)
    table = scores.iloc[order].to_string(index=False, float_format="%.4f", na_rep="-")
    failures = [f"failed: {failure}" for failure in failures_of(run)]
    notes = run.table("notes")["note"]
    return "\n".join([title, counted, *notes, *failures, "", table, "", str(run.folder), ""])
