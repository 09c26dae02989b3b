"""Options with letters: ScienceQA, SEED-Bench and MMBench, as files and as the hub's Parquet."""

import base64
import binascii
import string
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from litelvlm.data.cache import cache_folder
from litelvlm.data.files import atomic_write
from litelvlm.data.safe.shown import shown
from litelvlm.data.understanding.collect import image_in
from litelvlm.data.understanding.question import Question, QuestionDataError
from litelvlm.data.understanding.rows import (
    Row,
    below,
    check_picture,
    json_of,
    keyed,
    picture_digest,
    picture_name,
    rows_in,
    table_in,
    table_rows,
    text_in,
    texts_in,
)

LETTERS = string.ascii_uppercase
CIRCLE = 1_000_000
"""MMBench adds multiples of this to the id of a question whose options were reordered."""


def scienceqa_files(root: Path) -> Iterator[Row]:
    """Rows of the test split of ``problems.json``, pictures in ``test/ID/image.png``."""
    path = root / "problems.json"
    for key, entry in table_in(json_of(path), str(path)).items():
        row = table_in(entry, f"{path}, problem {key}")
        if text_in(row, "split", "test") != "test":
            continue
        name = row.get("image")
        found = below(root, f"test/{key}/{name}") if name else None
        yield {**row, "id": key, "image": found}


def scienceqa_question(row: Row) -> Question | str:
    """One question; its answer is an index, and several may show one picture.

    Rows of the hub have no id; their place is one.
    """
    if row.get("image") is None:
        return "without a picture"
    options = texts_in(row, "choices")
    index = row.get("answer")
    if isinstance(index, bool) or not isinstance(index, int) or not 0 <= index < len(options):
        raise QuestionDataError(f"the answer is {str(index)[:40]!r} of {len(options)} choices")
    image = image_in(row)
    return Question(
        text_in(row, "id", "") or f"row-{text_in(row, 'row_number')}",
        picture_digest(image),
        text_in(row, "question"),
        (_letter(LETTERS[index], options),),
        image,
        options=options,
        group=text_in(row, "subject", ""),
        hint=text_in(row, "hint", ""),
    )


def seed_files(root: Path) -> Iterator[Row]:
    """Rows of ``SEED-Bench.json``, pictures in ``SEED-Bench-image``."""
    path = root / "SEED-Bench.json"
    content = table_in(json_of(path), str(path))
    names = content.get("question_type")
    kinds = {str(v): str(k) for k, v in names.items()} if isinstance(names, Mapping) else {}
    for row in rows_in(content.get("questions"), str(path)):
        name = text_in(row, "data_id")
        group = kinds.get(text_in(row, "question_type_id", ""), "")
        yield {**row, "group": group, "image": below(root / "SEED-Bench-image", name)}


def seed_question(row: Row) -> Question | str:
    """One question about an image; those about videos are left out."""
    if text_in(row, "data_type", "image") != "image":
        return "about a video"
    options = tuple(text_in(row, f"choice_{letter}") for letter in "abcd")
    return Question(
        text_in(row, "question_id"),
        text_in(row, "data_id"),
        text_in(row, "question"),
        (_letter(text_in(row, "answer"), options),),
        image_in(row),
        options=options,
        group=text_in(row, "group", "") or text_in(row, "question_type_id", ""),
    )


def mmbench_files(root: Path) -> Iterator[Row]:
    """Rows of the development table, whose pictures stand in it as base64 or as another's index."""
    names = ("MMBench_DEV_EN.tsv", "mmbench_dev_en_20231003.tsv", "mmbench_dev_20230712.tsv")
    path = next((root / name for name in names if (root / name).is_file()), None)
    if path is None:
        raise FileNotFoundError(
            f"{root} contains none of {', '.join(names)}; put one there, or give a folder of "
            "the hub's Parquet files"
        )
    rows = table_rows(path)
    pictures = {key: row.get("image") for key, row in keyed(rows, "index", str(path)).items()}
    for row in rows:
        content = row.get("image")
        if isinstance(content, str) and content in pictures and len(content) < 16:
            content = pictures[content]
        yield {**row, "image": _decoded(content) if content else None}


def mmbench_question(row: Row) -> Question | str:
    """One question; a reordering names the question it belongs to, and several show one picture."""
    if not text_in(row, "answer", ""):
        return "without a public answer"
    index = text_in(row, "index")
    if not index.isdigit():
        raise QuestionDataError(f"the index is {index[:40]!r}, expected a whole number")
    given = [text_in(row, letter, "nan") for letter in "ABCDE"]
    count = next((i for i, option in enumerate(given) if option == "nan"), len(given))
    options = tuple(given[:count])
    hint = text_in(row, "hint", "nan")
    image = image_in(row)
    return Question(
        index,
        picture_digest(image),
        text_in(row, "question"),
        (_letter(text_in(row, "answer"), options),),
        image,
        options=options,
        group=text_in(row, "category", ""),
        hint="" if hint == "nan" else hint,
        base=str(int(index) % CIRCLE),
    )


def mmbench_notes(questions: list[Question]) -> list[str]:
    """Whether the reorderings that circular evaluation needs are there."""
    orders = Counter(q.base for q in questions)
    if len(questions) == len(orders):
        return ["no question comes in several orders of its options: this is plain accuracy"]
    notes = [f"{len(orders)} questions in {len(questions)} orders of options: circular accuracy"]
    short = list(dict.fromkeys(q.base for q in questions if orders[q.base] < len(q.options)))
    if short:
        notes.append(
            f"{len(short)} questions come in fewer orders than they have options, which makes them "
            f"easier; the first is {short[0]}"
        )
    return notes


def _letter(answer: str, options: tuple[str, ...]) -> str:
    if len(answer) != 1 or answer not in LETTERS[: len(options)]:
        raise QuestionDataError(
            f"the answer is {answer[:40]!r}, allowed are the letters of {len(options)} options"
        )
    return answer


def _decoded(content: object) -> Path:
    """A picture in base64 as a file in the cache folder, once it is known to be a picture."""
    if not isinstance(content, str):
        raise QuestionDataError(f"the picture is {shown(content)}, expected base64")
    try:
        decoded = base64.b64decode(content, validate=True)
    except binascii.Error as error:
        raise QuestionDataError(f"the picture is not valid base64: {error}") from error
    path = cache_folder() / "mmbench" / picture_name(decoded)
    if path.is_file():
        return path
    check_picture(decoded)
    return atomic_write(path, decoded)
