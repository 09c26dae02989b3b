"""`litelvlm evaluate --task`: answers to questions about images, scored and shown."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from litelvlm.analysis.cli.verbs.evaluate import Evaluate
    from litelvlm.analysis.studies.understanding import QuestionScores

_UNUSED = ("dataset", "split_by", "random_init", "quantise", "options")


def evaluate_task(options: Evaluate, task: str) -> int:
    """Score a model on the questions of a task and print the scores; 1 if conditions failed.

    Raises:
        ValueError: If a name is unknown, or an option belongs to referring expressions.
        FileNotFoundError: If files are missing.
    """
    from litelvlm.analysis.runs.origin.determinism import make_deterministic
    from litelvlm.analysis.studies.understanding import evaluate_questions
    from litelvlm.data.understanding.tasks import TASKS, load_questions
    from litelvlm.models.vlm.asking import load_vlm
    from litelvlm.names import check_name

    check_name(task, TASKS, "task")
    given = [name for name in _UNUSED if getattr(options, name)]
    if given or options.protocol != "single" or options.shard != "1/1":
        wrong = given or ["protocol" if options.protocol != "single" else "shard"]
        option = wrong[0].replace("_", "-")
        raise ValueError(f"--{option} belongs to referring expressions; leave it out with --task")
    make_deterministic(options.seed)
    questions = load_questions(task, options.data)
    model = load_vlm(
        options.model,
        dtype=None if options.dtype == "auto" else options.dtype,
        device=None if options.device == "auto" else options.device,
        clip=options.clip,
        attn=options.attn,
        pad=options.pad,
    )
    found = evaluate_questions(
        model,
        task,
        questions,
        options.methods,
        options.budgets,
        options.seeds,
        options.limit,
        options.out,
        options.ocr,
    )
    head = [
        f"{model.name} on {TASKS[task].title} ({TASKS[task].split}), {questions.root}",
        f"{found.rows['question_id'].nunique()} questions about "
        f"{found.rows['image_id'].nunique()} images",
    ]
    sys.stdout.write(
        as_json(task, model.name, found) if options.json else as_text(head, task, found)
    )
    return int(bool(found.failures))


def as_json(task: str, model: str, found: QuestionScores) -> str:
    """The scores for programs."""
    told = {
        "run": str(found.folder),
        "task": task,
        "model": model,
        "notes": list(found.notes),
        "failures": [list(failure) for failure in found.failures],
        "scores": json.loads(found.scores.to_json(orient="records")),
    }
    return json.dumps(told) + "\n"


def as_text(head: list[str], task: str, found: QuestionScores) -> str:
    """The scores for people: the main metric first, then its parts."""
    from litelvlm.analysis.studies.understanding.scores import MAIN
    from litelvlm.data.understanding.tasks import TASKS

    main = MAIN[TASKS[task].scoring]
    order = sorted(range(len(found.scores)), key=lambda i: found.scores["metric"][i] != main)
    table = found.scores.iloc[order].to_string(index=False, float_format="%.4f", na_rep="-")
    failures = [
        f"failed: {method}{'' if budget is None else f' {budget:g}'}: {reason} ({number} questions)"
        for method, budget, reason, number in found.failures
    ]
    return "\n".join([*head, *found.notes, *failures, "", table, "", str(found.folder), ""])
