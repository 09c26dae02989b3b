"""Free answers: GQA, TextVQA, VQA v2 and VizWiz, as files and as the hub's Parquet."""

from collections.abc import Iterator
from pathlib import Path

from litelvlm.data.understanding.collect import image_in
from litelvlm.data.understanding.question import Question, QuestionDataError, share_of
from litelvlm.data.understanding.rows import (
    Row,
    below,
    json_of,
    keyed,
    picture,
    rows_in,
    table_in,
    text_in,
    texts_in,
)

UNANSWERABLE = "unanswerable"
GQA_PICTURES = "testdev_balanced_images"
"""Beginning of the names of GQA's files with pictures on the hub."""


def gqa_files(root: Path) -> Iterator[Row]:
    """Rows of ``testdev_balanced_questions.json`` with pictures in ``images``."""
    path = _first(root, "testdev_balanced_questions.json", "questions1.2/{}", "questions/{}")
    for key, entry in table_in(json_of(path), str(path)).items():
        row = table_in(entry, f"{path}, question {key}")
        yield {**row, "id": key, "image": picture(root / "images", text_in(row, "imageId"))}


def gqa_question(row: Row) -> Question:
    """One question; its group is the structural type where there is one."""
    types = row.get("types")
    group = text_in(types, "structural", "") if isinstance(types, dict) else ""
    return Question(
        text_in(row, "id"),
        text_in(row, "imageId"),
        text_in(row, "question"),
        (text_in(row, "answer"),),
        image_in(row),
        group=group,
    )


def textvqa_files(root: Path) -> Iterator[Row]:
    """Rows of ``TextVQA_0.5.1_val.json``, pictures in ``train_images``; OCR words if there."""
    path = _first(root, "TextVQA_0.5.1_val.json")
    ocr = root / "TextVQA_Rosetta_OCR_v0.2_val.json"
    words: dict[str, object] = {}
    if ocr.is_file():
        told = rows_in(table_in(json_of(ocr), str(ocr)).get("data"), str(ocr))
        found = keyed(told, "image_id", str(ocr))
        words = {image: row.get("ocr_tokens") for image, row in found.items()}
    for row in rows_in(table_in(json_of(path), str(path)).get("data"), str(path)):
        image = text_in(row, "image_id")
        file = picture(root / "train_images", image)
        yield {**row, "image": file, "ocr_tokens": words.get(image, row.get("ocr_tokens"))}


def textvqa_question(row: Row) -> Question:
    """One question with ten answers."""
    return Question(
        text_in(row, "question_id"),
        text_in(row, "image_id"),
        text_in(row, "question"),
        _answers(row),
        image_in(row),
        ocr=texts_in(row, "ocr_tokens"),
    )


def vqav2_files(root: Path) -> Iterator[Row]:
    """Questions and annotations of VQA v2's validation split, pictures in ``val2014``."""
    asked = _first(root, "v2_OpenEnded_mscoco_val2014_questions.json")
    told = _first(root, "v2_mscoco_val2014_annotations.json")
    people = rows_in(table_in(json_of(told), str(told)).get("annotations"), str(told))
    answers = keyed(people, "question_id", str(told))
    for row in rows_in(table_in(json_of(asked), str(asked)).get("questions"), str(asked)):
        key = text_in(row, "question_id")
        if key not in answers:
            raise QuestionDataError(f"{told} has no answer to question {key} of {asked}")
        image = text_in(row, "image_id")
        stem = f"COCO_val2014_{image.zfill(12)}"
        yield {**answers[key], **row, "image": picture(root / "val2014", stem)}


def vqav2_question(row: Row) -> Question:
    """One question with ten answers; its group is the answer type."""
    return Question(
        text_in(row, "question_id"),
        text_in(row, "image_id"),
        text_in(row, "question"),
        _answers(row),
        image_in(row),
        group=text_in(row, "answer_type", ""),
    )


def vizwiz_files(root: Path) -> Iterator[Row]:
    """Rows of ``val.json``, pictures in ``val``."""
    path = _first(root, "val.json", "Annotations/{}", "annotations/{}")
    for row in rows_in(json_of(path), str(path)):
        name = text_in(row, "image")
        yield {**row, "question_id": name, "image": below(root / "val", name)}


def vizwiz_question(row: Row) -> Question:
    """One question with ten answers; every picture has one question."""
    name = text_in(row, "question_id")
    return Question(
        name, name, text_in(row, "question"), _answers(row), image_in(row),
        group=text_in(row, "answer_type", "") or text_in(row, "category", ""),
    )  # fmt: skip


def vizwiz_notes(questions: list[Question]) -> list[str]:
    """How much of the accuracy an answer without an image can reach."""
    most = [max(set(q.answers), key=q.answers.count) for q in questions]
    share = share_of(most, UNANSWERABLE)
    return [
        f"{100 * share:.1f} % of the questions are answered {UNANSWERABLE!r} most often; a model "
        "that sees less says so more often, and its accuracy can rise"
    ]


def textvqa_notes(questions: list[Question]) -> list[str]:
    """Whether the files hold OCR words."""
    share = sum(bool(q.ocr) for q in questions) / len(questions)
    return [f"{100 * share:.0f} % of the questions come with OCR words"]


def _answers(row: Row) -> tuple[str, ...]:
    answers = texts_in(row, "answers", "answer")
    if not answers:
        raise QuestionDataError("it has no answers; take a split whose answers are public")
    return answers


def _first(root: Path, name: str, *places: str) -> Path:
    """The first of some places below the root that holds a file."""
    tried = [root / name, *(root / place.format(name) for place in places)]
    found = next((path for path in tried if path.is_file()), None)
    if found is None:
        raise FileNotFoundError(
            f"{root} does not contain {name}; put it there, or give a folder of the hub's "
            "Parquet files"
        )
    return found
