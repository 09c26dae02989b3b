"""The understanding tasks: where their questions are, how they are asked, how they are scored."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from litelvlm.data.understanding import free, options, yes_no
from litelvlm.data.understanding.collect import MakeQuestion, collect, no_notes
from litelvlm.data.understanding.question import Question, QuestionSet
from litelvlm.data.understanding.rendered import LAYOUTS, rendered_root
from litelvlm.data.understanding.rows import Row, below, parquet_rows
from litelvlm.data.understanding.scenes import SHORT_ANSWER
from litelvlm.data.understanding.splits import fetched, split_files
from litelvlm.hub_ids import is_hub_id
from litelvlm.names import check_name

Scoring = Literal["exact", "vqa", "evalai", "yes_no", "mme", "option", "circular"]
LETTER = "Answer with the option's letter from the given choices directly."
UNANSWERABLE = "When the provided information is insufficient, respond with 'Unanswerable'."
EMBEDDED = "embedded"


@dataclass(frozen=True)
class Task:
    """One understanding task.

    Attributes:
        name: Name in commands.
        title: Name in tables.
        split: The split whose answers are public.
        scoring: How answers become a score.
        files: Rows of the files that its authors distribute.
        columns: Columns of its Parquet form; "image" is the picture.
        question: Makes a question of a row of either.
        suffix: What the model is told after the question.
        hub: Hub id of its Parquet form.
        part: Folder or beginning of the names of its split's files there.
        notes: Known artefacts.
    """

    name: str
    title: str
    split: str
    scoring: Scoring
    files: Callable[[Path], Iterator[Row]]
    columns: tuple[str, ...]
    question: MakeQuestion
    suffix: str
    hub: str
    part: str
    notes: Callable[[list[Question]], list[str]] = no_notes

    def prompt(self, question: Question, ocr: bool = False) -> str:
        """The text that the model is asked, without its own template.

        Args:
            question: One question of the task.
            ocr: Name the words that an OCR system read.
        """
        parts = [question.text]
        if question.hint:
            parts.insert(0, f"Context: {question.hint}")
        parts += [
            f"{letter}. {text}"
            for letter, text in zip(options.LETTERS, question.options, strict=False)
        ]
        if ocr and question.ocr:
            parts.append(f"Reference OCR token: {', '.join(question.ocr)}")
        return "\n".join([*parts, self.suffix])


_VQA = ("question_id", "image_id", "question", "answers", "image")
_TASKS = (
    Task(
        "gqa", "GQA", "testdev-balanced", "exact", free.gqa_files,
        ("id", "imageId", "question", "answer", "image"), free.gqa_question, SHORT_ANSWER,
        "lmms-lab-encoder/GQA", "testdev_balanced",
    ),
    Task(
        "pope", "POPE", "random, popular, adversarial", "yes_no", yes_no.pope_files,
        ("question_id", "question", "answer", "image_source", "category", "image"),
        yes_no.pope_question, SHORT_ANSWER, "lmms-lab-encoder/POPE", "data/test",
        notes=yes_no.pope_notes,
    ),
    Task(
        "mme", "MME", "test", "mme", yes_no.mme_files,
        ("question_id", "question", "answer", "category", "image"), yes_no.mme_question,
        SHORT_ANSWER, "lmms-lab-encoder/MME", "data/test", notes=yes_no.mme_notes,
    ),
    Task(
        "scienceqa", "ScienceQA-IMG", "test", "option", options.scienceqa_files,
        ("question", "choices", "answer", "hint", "subject", "image"), options.scienceqa_question,
        LETTER, "lmms-lab-encoder/ScienceQA", "ScienceQA-IMG/test",
    ),
    Task(
        "seedbench", "SEED-Bench (images)", "test", "option", options.seed_files,
        ("question_id", "data_id", "data_type", "question", "question_type_id", "answer",
         "choice_a", "choice_b", "choice_c", "choice_d", "image"), options.seed_question,
        LETTER, "lmms-lab-encoder/SEED-Bench", "data/test",
    ),
    Task(
        "textvqa", "TextVQA", "val", "evalai", free.textvqa_files, (*_VQA, "ocr_tokens"),
        free.textvqa_question, SHORT_ANSWER, "lmms-lab-encoder/textvqa", "data/validation",
        notes=free.textvqa_notes,
    ),
    Task(
        "vqav2", "VQA v2", "val", "vqa", free.vqav2_files, (*_VQA, "answer_type"),
        free.vqav2_question, SHORT_ANSWER, "lmms-lab-encoder/VQAv2", "data/validation",
    ),
    Task(
        "vizwiz", "VizWiz-VQA", "val", "evalai", free.vizwiz_files,
        ("question_id", "question", "answers", "category", "image"), free.vizwiz_question,
        f"{UNANSWERABLE}\n{SHORT_ANSWER}", "lmms-lab-encoder/VizWiz-VQA", "data/val",
        notes=free.vizwiz_notes,
    ),
    Task(
        "mmbench", "MMBench dev", "dev", "circular", options.mmbench_files,
        ("index", "question", "hint", "A", "B", "C", "D", "E", "answer", "category", "image"),
        options.mmbench_question, LETTER, "lmms-lab-encoder/MMBench", "en/dev",
        notes=options.mmbench_notes,
    ),
)  # fmt: skip
TASKS: Mapping[str, Task] = MappingProxyType({task.name: task for task in _TASKS})
"""Every understanding task by name."""


def load_questions(task: str, root: str | Path = EMBEDDED) -> QuestionSet:
    """Read the questions of a task.

    Args:
        task: A name in ``TASKS``.
        root: A folder with the files that the task's authors distribute, a folder of the hub's
            Parquet files, the hub id of such a set, or "embedded" for rendered scenes in the
            task's layout (gqa, pope and vqav2).

    Raises:
        QuestionDataError: If a file is damaged, or no question can be asked.
        ValueError: If a name is unknown.
        FileNotFoundError: If files are missing.
    """
    chosen = TASKS[check_name(task, TASKS, "task")]
    if str(root) == EMBEDDED:
        check_name(task, LAYOUTS, "task with embedded questions")
        folder = rendered_root()
        return _questions(chosen, folder, chosen.files(folder))
    folder = Path(root).expanduser()
    if not folder.is_dir():
        if not is_hub_id(root):
            raise FileNotFoundError(
                f"there is no folder {root}; give one with the files of {chosen.title}, a hub id "
                f"such as {chosen.hub}, or 'embedded'"
            )
        folder = fetched(str(root), chosen.part)
    packed = split_files(folder, chosen.part)
    rows = _joined(chosen, folder, packed) if packed else chosen.files(folder)
    return _questions(chosen, folder, rows)


def _questions(task: Task, folder: Path, rows: Iterator[Row]) -> QuestionSet:
    """The questions of a task from its rows."""
    found = collect(task.name, folder, rows, task.question, task.notes)
    return replace(found, split=task.split)


def _joined(task: Task, folder: Path, files: list[Path]) -> Iterator[Row]:
    """Rows of Parquet files; GQA keeps its pictures in files of their own."""
    apart = [path for path in files if task.name == "gqa" and _holds_pictures(folder, path)]
    asked = [path for path in files if path not in apart]
    if not apart:
        yield from parquet_rows(asked, task.columns)
        return
    pictures = {str(row.get("id")): row["image"] for row in parquet_rows(apart, ("id", "image"))}
    for row in parquet_rows(asked, task.columns):
        key = str(row.get("imageId"))
        yield {**row, "image": pictures.get(key) or below(folder, f"{key}.jpg")}


def _holds_pictures(folder: Path, path: Path) -> bool:
    """Whether a file of GQA holds pictures: it, or a folder on its way, is named after them."""
    return any(name.startswith(free.GQA_PICTURES) for name in path.relative_to(folder).parts)
