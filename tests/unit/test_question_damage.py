"""One damaged question is named by its number, and one without its picture is left out."""

import base64
import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from litelvlm.data.understanding.question import QuestionDataError
from litelvlm.data.understanding.tasks import load_questions


def png(colour="red"):
    buffer = io.BytesIO()
    Image.new("RGB", (8, 6), colour).save(buffer, "PNG")
    return buffer.getvalue()


def mmbench(root, *pictures):
    """A table of as many questions as pictures are given."""
    lines = [["index", "question", "A", "B", "answer", "image"]]
    lines += [[str(i), "Which?", "x", "y", "B", one] for i, one in enumerate(pictures, 1)]
    (root / "MMBench_DEV_EN.tsv").write_text("\n".join("\t".join(line) for line in lines))


def parquet(root, *pictures):
    """POPE's columns with as many questions as pictures are given."""
    row = {"question": "Is there a dog?", "answer": "no", "image_source": "1", "category": "random"}
    rows = [row | {"question_id": str(i), "image": one} for i, one in enumerate(pictures, 1)]
    pq.write_table(pa.Table.from_pylist(rows), root / "0.parquet")


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("LITELVLM_CACHE", str(tmp_path / "cache"))
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


@pytest.mark.parametrize("damaged", ["no base64!", base64.b64encode(b"no picture").decode()])
def test_a_damaged_picture_in_a_table_is_named_by_its_question(root, damaged):
    mmbench(root, base64.b64encode(png()).decode(), damaged)
    with pytest.raises(QuestionDataError, match=r"data, question 2: the picture is"):
        load_questions("mmbench", root)


def test_a_picture_outside_of_the_folder_is_named_by_its_question(root):
    (root / "val").mkdir()
    (root / "val" / "a.jpg").write_bytes(png())
    row = {"question": "What?", "answers": ["x"] * 10}
    names = ["a.jpg", "../a.jpg"]
    (root / "val.json").write_text(json.dumps([row | {"image": name} for name in names]))
    with pytest.raises(
        QuestionDataError, match=r"data, question 2: the picture '\.\./a\.jpg' lies"
    ):
        load_questions("vizwiz", root)


@pytest.mark.parametrize("damaged", [{"bytes": b"no picture", "path": "x"}])
def test_a_damaged_picture_in_parquet_is_named_by_its_row(root, damaged):
    parquet(root, {"bytes": png(), "path": "x"}, damaged)
    with pytest.raises(QuestionDataError, match=r"^\S+0\.parquet, row 2: the picture is damaged"):
        load_questions("pope", root)


def test_what_is_wrong_with_a_whole_file_names_no_question(root):
    (root / "val.json").write_text("{")
    with pytest.raises(QuestionDataError, match=r"^\S+val\.json cannot be read as JSON"):
        load_questions("vizwiz", root)
    (root / "v2_OpenEnded_mscoco_val2014_questions.json").write_text('{"questions": []}')
    file = root / "v2_mscoco_val2014_annotations.json"
    file.write_text('{"annotations": [{"question_id": 1}, {"answers": []}]}')
    with pytest.raises(QuestionDataError, match=r"^\S+annotations\.json, row 2: the field"):
        load_questions("vqav2", root)


@pytest.mark.parametrize("empty", [None, {"bytes": None, "path": None}, {"bytes": b"", "path": ""}])
def test_a_question_without_a_picture_in_parquet_is_left_out_and_counted(root, empty):
    parquet(root, {"bytes": png(), "path": "x"}, empty)
    found = load_questions("pope", root)
    assert [one.question_id for one in found.questions] == ["random-1"]
    assert found.skipped == (("picture missing", 1),)
    assert found.missing == ("that of question 2",)


def test_a_question_without_a_picture_in_a_table_is_left_out_and_counted(root):
    mmbench(root, base64.b64encode(png()).decode(), "", "1", "2")
    found = load_questions("mmbench", root)
    assert [one.question_id for one in found.questions] == ["1", "3"]
    assert found.skipped == (("picture missing", 2),)
    assert found.missing == ("that of question 2", "that of question 4")


def test_a_set_without_any_picture_is_refused(root):
    parquet(root, None, None)
    with pytest.raises(QuestionDataError, match=r"2 x picture missing; the first .* question 1"):
        load_questions("pope", root)
