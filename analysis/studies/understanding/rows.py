"""Rows of answers: one per question and condition, kept in whole parts."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from PIL import Image
from tqdm.auto import tqdm

from litelvlm.analysis.studies.understanding.plan import Condition
from litelvlm.data.files import atomic_write
from litelvlm.data.understanding.question import Question
from litelvlm.data.understanding.tasks import Task
from litelvlm.metrics.understanding import score_answer
from litelvlm.models.vlm.asking import AskedVlm

PART = 8
"""Images of one part."""
_GREY = (127, 127, 127)


def answer_rows(
    model: AskedVlm,
    task: Task,
    questions: Sequence[Question],
    asked: Sequence[Condition],
    ocr: bool = False,
) -> list[dict[str, object]]:
    """Ask some questions under every condition.

    A method that cannot work with this model or budget gives a row without an answer whose field
    "failure" says why; so does a damaged picture.

    Args:
        model: The model.
        task: Gives the prompt and the rule.
        questions: What is asked.
        asked: How.
        ocr: Name the words that an OCR system read.
    """
    rows: list[dict[str, object]] = []
    for question in questions:
        try:
            image = question.open()
        except (ValueError, OSError) as error:
            rows += [_row(task, question, one) | {"failure": str(error)} for one in asked]
            continue
        grey = Image.new("RGB", image.size, _GREY)
        for one in asked:
            row = _row(task, question, one)
            try:
                found = model.answer(
                    grey if one.blank else image,
                    task.prompt(question, ocr),
                    one.pruner,
                    one.budget,
                    text=question.text,
                )
            except ValueError as error:
                rows.append(row | {"failure": str(error)})
                continue
            scored = score_answer(task.scoring, found.text, question.answers, question.options)
            rows.append(
                row
                | {
                    "answer": found.text,
                    "visual_tokens": found.visual_tokens,
                    "read": scored.read,
                    "score": scored.score,
                    "state": scored.state,
                }
            )
    return rows


def _row(task: Task, question: Question, one: Condition) -> dict[str, object]:
    return {
        "task": task.name,
        "question_id": question.question_id,
        "image_id": question.image_id,
        "group": question.group,
        "base": question.base,
        "truth": question.answers[0],
        "method": one.method,
        "budget": one.budget,
        "draw": one.draw,
        "answer": None,
        "visual_tokens": None,
        "read": None,
        "score": None,
        "state": "failed",
        "failure": "",
    }


def complete_rows(
    model: AskedVlm,
    task: Task,
    questions: Sequence[Question],
    asked: Sequence[Condition],
    folder: Path,
    ocr: bool = False,
) -> pd.DataFrame:
    """All rows; parts that are finished are read, the others are computed and written whole.

    Args:
        model: The model.
        task: The task.
        questions: All of them.
        asked: Every condition.
        folder: The run folder, which belongs to this plan alone.
        ocr: Name the words that an OCR system read.
    """
    images = list(dict.fromkeys(question.image_id for question in questions))
    blocks = [set(images[start : start + PART]) for start in range(0, len(images), PART)]
    frames = []
    for number, block in enumerate(tqdm(blocks, desc=f"asking {task.title}", unit="part")):
        path = folder / "rows" / f"part-{number:04d}-of-{len(blocks):04d}.parquet"
        if not path.is_file():
            chosen = [question for question in questions if question.image_id in block]
            frame = pd.DataFrame(answer_rows(model, task, chosen, asked, ocr))
            frame["budget"] = frame["budget"].astype(float)
            for name in ("score", "visual_tokens"):
                frame[name] = frame[name].astype(float)
            atomic_write(path, frame.to_parquet(index=False))
        frames.append(pd.read_parquet(path))
    return pd.concat(frames, ignore_index=True)
