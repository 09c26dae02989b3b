"""Yes or no: POPE and MME, as files and as the hub's Parquet."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from litelvlm.data.understanding.collect import image_in
from litelvlm.data.understanding.question import Question, QuestionDataError, share_of
from litelvlm.data.understanding.rows import Row, json_lines, picture, read_bytes, text_in
from litelvlm.metrics.understanding import COGNITION, PERCEPTION

SETTINGS = ("random", "popular", "adversarial")
"""POPE's settings: which absent objects are asked for."""


def pope_files(root: Path) -> Iterator[Row]:
    """Rows of ``coco_pope_{random,popular,adversarial}.json``, pictures in ``val2014``."""
    files = {
        setting: path
        for setting in SETTINGS
        for path in (root / f"coco_pope_{setting}.json", root / f"coco_pope_{setting}.jsonl")
        if path.is_file()
    }
    if not files:
        raise FileNotFoundError(
            f"{root} contains none of coco_pope_random.json, coco_pope_popular.json and "
            "coco_pope_adversarial.json; put them there, or give a folder of the hub's Parquet "
            "files"
        )
    for setting, path in files.items():
        for row in json_lines(path):
            name = text_in(row, "image")
            stem = name.rsplit(".", 1)[0]
            yield {
                "question_id": text_in(row, "question_id"),
                "question": text_in(row, "text"),
                "answer": text_in(row, "label"),
                "category": setting,
                "image_source": stem,
                "image": picture(root / "val2014", stem),
            }


def pope_question(row: Row) -> Question:
    """One question; ids are unique within a setting only."""
    setting = text_in(row, "category")
    return Question(
        f"{setting}-{text_in(row, 'question_id')}",
        text_in(row, "image_source"),
        text_in(row, "question"),
        (_yes_no(row),),
        image_in(row),
        group=setting,
    )


def mme_files(root: Path) -> Iterator[Row]:
    """Rows of MME's folders: per picture a text file with two questions and answers.

    A category's pictures and texts lie together, or in ``images`` and ``questions_answers_YN``.
    """
    folders = sorted(path for path in root.iterdir() if path.is_dir()) if root.is_dir() else []
    texts = [
        (folder.name, path)
        for folder in folders
        for place in (folder, folder / "questions_answers_YN")
        for path in sorted(place.glob("*.txt"))
    ]
    if not texts:
        raise FileNotFoundError(
            f"{root} contains no folder with the text files of a category of MME; give the "
            "folder that contains them, or one of the hub's Parquet files"
        )
    for category, path in texts:
        place = path.parent.parent / "images" if path.parent.name != category else path.parent
        try:
            lines = read_bytes(path).decode("utf-8-sig").splitlines()
        except UnicodeDecodeError as error:
            raise QuestionDataError(f"{path} is not a text file: {error}") from error
        for line in filter(str.strip, lines):
            question, _, answer = line.partition("\t")
            yield {
                "question_id": f"{category}/{path.stem}",
                "question": question.strip(),
                "answer": answer.strip(),
                "category": category,
                "image": picture(place, path.stem),
            }


def mme_question(row: Row) -> Question:
    """One question; both of an image share ``image_id``, the category and the picture's name."""
    name, text = text_in(row, "question_id"), text_in(row, "question")
    category = text_in(row, "category")
    image = f"{category}/{name.removeprefix(f'{category}/')}"
    return Question(f"{image}: {text}", image, text, (_yes_no(row),), image_in(row), group=category)


def yes_notes(questions: list[Question]) -> list[str]:
    """How often "yes" is right."""
    share = share_of([q.answers[0] for q in questions], "yes")
    return [f"'yes' is right in {100 * share:.1f} % of the questions"]


def pope_notes(questions: list[Question]) -> list[str]:
    """How often "yes" is right, and which settings the mean of F1 lacks."""
    return [*yes_notes(questions), *_absent(questions, SETTINGS, "the settings", "the mean F1")]


def mme_notes(questions: list[Question]) -> list[str]:
    """How often "yes" is right, and which categories the totals lack."""
    notes = yes_notes(questions)
    for name, total in (("perception", PERCEPTION), ("cognition", COGNITION)):
        notes += _absent(questions, total, f"the categories of {name}", f"{name!r}")
    return notes


def _absent(
    questions: list[Question], wanted: Sequence[str], what: str, headline: str
) -> list[str]:
    """One sentence where some of the groups of a headline are there, and others are not."""
    there = {question.group for question in questions}
    absent = [name for name in wanted if name not in there]
    if not absent or len(absent) == len(wanted):
        return []
    return [
        f"{len(absent)} of {what} are not among the questions: {', '.join(absent)}; {headline} "
        f"rests on {len(wanted) - len(absent)} of {len(wanted)} and is not that of publications"
    ]


def _yes_no(row: Row) -> str:
    answer = text_in(row, "answer").strip().lower().rstrip(".")
    if answer not in ("yes", "no"):
        raise QuestionDataError(f"the answer is {answer[:40]!r}, allowed are 'yes' and 'no'")
    return answer
