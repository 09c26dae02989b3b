"""`litelvlm evaluate --task`: answers to questions about images, scored and shown."""

import json
import sys
from dataclasses import dataclass

from litelvlm.analysis.cli.options import RunOptions
from litelvlm.analysis.cli.terminal.loading import hide_loading_bar
from litelvlm.analysis.runs.origin.determinism import make_deterministic
from litelvlm.analysis.studies.understanding import QuestionScores, evaluate_questions
from litelvlm.analysis.studies.understanding.scores import MAIN
from litelvlm.data.understanding.tasks import TASKS, load_questions
from litelvlm.models.families import load_vlm
from litelvlm.models.vlm.load import PREFIX
from litelvlm.names import check_name

_UNUSED = ("dataset", "split_by", "random_init", "quantise", "options", "cache")


@dataclass(frozen=True)
class TaskOptions:
    """Options of `litelvlm evaluate --task` besides those of every run.

    Attributes:
        task: Name of the task.
        methods: Labels of methods.
        budgets: Tokens or shares; None for the published shares.
        draws: Draws of random methods.
        pad: Pad pictures to squares.
        ocr: Name OCR words in the prompt.
        json: Print JSON.
    """

    task: str
    methods: tuple[str, ...]
    budgets: tuple[int | float, ...] | None
    draws: int
    pad: bool
    ocr: bool
    json: bool


def evaluate_task(options: RunOptions, asked: TaskOptions) -> int:
    """Score a model on the questions of a task and print the scores; 1 if conditions failed.

    Raises:
        ValueError: If a name is unknown, or an option belongs to referring expressions.
        FileNotFoundError: If files are missing.
    """
    task = check_name(asked.task, TASKS, "task")
    wrong = [name for name in _UNUSED if getattr(options, name)]
    wrong += ["shard"] if options.shard != "1/1" else []
    if wrong:
        option = wrong[0].replace("_", "-")
        raise ValueError(f"--{option} belongs to referring expressions; leave it out with --task")
    make_deterministic(options.seed)
    questions = load_questions(task, options.data)
    if not options.model.startswith(PREFIX):
        raise ValueError(
            f"--task asks a model that answers in words, and --model {options.model} gives masks; "
            "take vlm:embedded, or vlm: with a folder or hub id"
        )
    hide_loading_bar(large=options.model != "vlm:embedded")
    model = load_vlm(
        options.model,
        dtype=None if options.dtype == "auto" else options.dtype,
        device=None if options.device == "auto" else options.device,
        clip=options.clip,
        attn=options.attn,
        pad=asked.pad,
    )
    found = evaluate_questions(
        model,
        task,
        questions,
        asked.methods,
        asked.budgets,
        asked.draws,
        options.limit,
        options.out,
        asked.ocr,
    )
    head = [
        f"{model.name} on {TASKS[task].title} ({TASKS[task].split}), {questions.root}",
        f"{found.rows['question_id'].nunique()} questions about "
        f"{found.rows['image_id'].nunique()} images",
    ]
    sys.stdout.write(as_json(task, model.name, found) if asked.json else as_text(head, task, found))
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
    main = MAIN[TASKS[task].scoring]
    order = sorted(range(len(found.scores)), key=lambda i: found.scores["metric"][i] != main)
    table = found.scores.iloc[order].to_string(index=False, float_format="%.4f", na_rep="-")
    failures = [
        f"failed: {method}{'' if budget is None else f' {budget:g}'}: {reason} ({number} questions)"
        for method, budget, reason, number in found.failures
    ]
    return "\n".join([*head, *found.notes, *failures, "", table, "", str(found.folder), ""])
