"""Readers of the understanding tasks: the authors' files, the hub's Parquet, and damaged ones."""

import base64
import csv
import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from litelvlm.data.understanding.question import QuestionDataError
from litelvlm.data.understanding.rows import below, json_lines
from litelvlm.data.understanding.tasks import TASKS, load_questions


def png(colour="red"):
    buffer = io.BytesIO()
    Image.new("RGB", (8, 6), colour).save(buffer, "PNG")
    return buffer.getvalue()


def put(root, name, content):
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())


PEOPLE = [{"answer": a, "answer_confidence": "yes", "answer_id": i} for i, a in enumerate(
    ["unanswerable"] * 6 + ["red"] * 4)]  # fmt: skip


def gqa(root):
    put(root, "images/n1.jpg", png())
    row = {"question": "What color?", "imageId": "n1", "answer": "red",
           "types": {"structural": "query"}}  # fmt: skip
    put(root, "testdev_balanced_questions.json", {"7": row, "8": row | {"imageId": "gone"}})


def pope(root):
    put(root, "val2014/COCO_1.jpg", png())
    line = {"question_id": 1, "image": "COCO_1.jpg", "text": "Is there a dog?", "label": "no"}
    for setting in ("random", "popular", "adversarial"):
        put(root, f"coco_pope_{setting}.json", json.dumps(line).encode() + b"\n")


def mme(root):
    put(root, "count/a.png", png())
    put(root, "count/a.txt", b"Is one there? Please answer yes or no.\tYes\nTwo?\tNo\n")
    put(root, "OCR/images/b.jpg", png())
    put(root, "OCR/questions_answers_YN/b.txt", b"Is it STOP?\tYes\nIs it GO?\tNo\n")


def scienceqa(root):
    put(root, "test/3/image.png", png())
    row = {"question": "Which?", "choices": ["x", "y"], "answer": 1, "hint": "Look.",
           "image": "image.png", "split": "test", "subject": "natural science"}  # fmt: skip
    put(root, "problems.json", {"3": row, "4": row | {"image": None}, "5": row | {"split": "val"}})


def seedbench(root):
    put(root, "SEED-Bench-image/1_2", png())
    row = {"question_id": "9", "question": "What?", "choice_a": "x", "choice_b": "y",
           "choice_c": "z", "choice_d": "w", "answer": "C", "data_id": "1_2", "data_type": "image",
           "question_type_id": 1}  # fmt: skip
    video = row | {"question_id": "10", "data_type": "video"}
    put(root, "SEED-Bench.json",
        {"questions": [row, video], "question_type": {"Scene Understanding": 1}})  # fmt: skip


def textvqa(root):
    put(root, "train_images/t1.jpg", png())
    row = {"question_id": 1, "image_id": "t1", "question": "what is written?",
           "answers": ["stop"] * 10}  # fmt: skip
    put(root, "TextVQA_0.5.1_val.json", {"data": [row]})
    put(root, "TextVQA_Rosetta_OCR_v0.2_val.json",
        {"data": [{"image_id": "t1", "ocr_tokens": ["STOP", "here"]}]})  # fmt: skip


def vqav2(root):
    put(root, "val2014/COCO_val2014_000000000042.jpg", png())
    key = {"image_id": 42, "question_id": 42000}
    put(root, "v2_OpenEnded_mscoco_val2014_questions.json",
        {"questions": [key | {"question": "How many?"}]})  # fmt: skip
    put(root, "v2_mscoco_val2014_annotations.json",
        {"annotations": [key | {"answers": PEOPLE, "answer_type": "number"}]})  # fmt: skip


def vizwiz(root):
    put(root, "val/v.jpg", png())
    put(root, "val.json", [{"image": "v.jpg", "question": "What is it?", "answers": PEOPLE,
                            "answer_type": "unanswerable", "answerable": 0}])  # fmt: skip


def mmbench(root):
    image = base64.b64encode(png()).decode()
    names = ["index", "question", "hint", "A", "B", "C", "D", "answer", "category", "image"]
    lines = [["1", "Which?", "", "x", "y", "", "", "B", "kind", image],
             ["1000001", "Which?", "", "y", "x", "", "", "A", "kind", "1"]]  # fmt: skip
    text = "\n".join("\t".join(line) for line in [names, *lines])
    put(root, "MMBench_DEV_EN.tsv", text.encode())


MAKERS = {maker.__name__: maker for maker in (
    gqa, pope, mme, scienceqa, seedbench, textvqa, vqav2, vizwiz, mmbench)}  # fmt: skip
WANTED = {
    "gqa": (1, ("red",), "query"), "pope": (3, ("no",), "random"), "mme": (4, ("yes",), "OCR"),
    "scienceqa": (1, ("B",), "natural science"), "seedbench": (1, ("C",), "Scene Understanding"),
    "textvqa": (1, ("stop",) * 10, ""),
    "vqav2": (1, ("unanswerable",) * 6 + ("red",) * 4, "number"),
    "vizwiz": (1, ("unanswerable",) * 6 + ("red",) * 4, "unanswerable"),
    "mmbench": (2, ("B",), "kind"),
}  # fmt: skip


@pytest.mark.parametrize("task", TASKS)
def test_every_task_reads_the_files_of_its_authors(tmp_path, task):
    MAKERS[task](tmp_path)
    found = load_questions(task, tmp_path)
    n, answers, group = WANTED[task]
    assert len(found) == n
    first = found.questions[0]
    assert (first.answers, first.group) == (answers, group)
    assert first.open().size == (8, 6)
    assert TASKS[task].prompt(first).endswith(TASKS[task].suffix)
    assert found.digest == load_questions(task, tmp_path).digest


def test_what_is_left_out_is_counted_and_named(tmp_path):
    gqa(tmp_path)
    found = load_questions("gqa", tmp_path)
    assert found.missing == ("gone.jpg",)
    assert found.skipped == (("picture missing", 1),)
    scienceqa(tmp_path)
    assert load_questions("scienceqa", tmp_path).skipped == (("without a picture", 1),)
    seedbench(tmp_path)
    assert load_questions("seedbench", tmp_path).skipped == (("about a video", 1),)


def test_known_artefacts_are_told(tmp_path):
    for task in MAKERS:
        MAKERS[task](tmp_path / task)
    notes = {task: " ".join(load_questions(task, tmp_path / task).notes) for task in MAKERS}
    assert "100.0 % of the questions are answered 'unanswerable'" in notes["vizwiz"]
    assert "'yes' is right in 0.0 %" in notes["pope"]
    assert "'yes' is right in 50.0 %" in notes["mme"]
    assert "OCR words" in notes["textvqa"]
    assert "circular accuracy" in notes["mmbench"]


def test_prompts_hold_hint_options_and_ocr(tmp_path):
    scienceqa(tmp_path)
    question = load_questions("scienceqa", tmp_path).questions[0]
    assert TASKS["scienceqa"].prompt(question) == (
        "Context: Look.\nWhich?\nA. x\nB. y\n"
        "Answer with the option's letter from the given choices directly."
    )
    textvqa(tmp_path)
    question = load_questions("textvqa", tmp_path).questions[0]
    assert "Reference OCR token: STOP, here\n" in TASKS["textvqa"].prompt(question, ocr=True)
    assert "OCR" not in TASKS["textvqa"].prompt(question)


HUB = {
    "gqa": {"id": "7", "imageId": "n1", "question": "What color?", "answer": "red"},
    "pope": {"question_id": "1", "question": "Is there a dog?", "answer": "no",
             "image_source": "COCO_1", "category": "random"},
    "mme": {"question_id": "a.png", "question": "One?", "answer": "Yes", "category": "count"},
    "scienceqa": {"question": "Which?", "choices": ["x", "y"], "answer": 1, "hint": "",
                  "subject": "natural science"},
    "seedbench": {"question_id": "9", "data_id": "1", "data_type": "image", "question": "What?",
                  "question_type_id": 1, "answer": "C", "choice_a": "x", "choice_b": "y",
                  "choice_c": "z", "choice_d": "w"},
    "textvqa": {"question_id": 1, "image_id": "t1", "question": "what?", "answers": ["stop"] * 10,
                "ocr_tokens": ["STOP"]},
    "vqav2": {"question_id": 1, "image_id": 42, "question": "How many?", "answers": PEOPLE,
              "answer_type": "number"},
    "vizwiz": {"question_id": "v", "question": "What?", "answers": ["red"] * 10,
               "category": "other"},
    "mmbench": {"index": 1, "question": "Which?", "hint": "nan", "A": "x", "B": "y", "C": "nan",
                "D": "nan", "answer": "B", "category": "kind"},
}  # fmt: skip


@pytest.mark.parametrize("task", TASKS)
def test_every_task_reads_the_parquet_of_the_hub(tmp_path, monkeypatch, task):
    monkeypatch.setenv("LITELVLM_CACHE", str(tmp_path / "cache"))
    picture = {"bytes": png("blue"), "path": "x.png"}
    row = HUB[task] | {"image": [picture] if task == "seedbench" else picture}
    root = tmp_path / "hub"
    root.mkdir()
    pq.write_table(pa.Table.from_pylist([row]), root / "part.parquet")
    found = load_questions(task, root)
    assert len(found) == 1
    assert found.questions[0].open().getpixel((0, 0)) == (0, 0, 255)
    assert found.questions[0].answers[0] in ("red", "no", "yes", "B", "C", "stop", "unanswerable")


def test_gqa_on_the_hub_keeps_pictures_apart(tmp_path, monkeypatch):
    monkeypatch.setenv("LITELVLM_CACHE", str(tmp_path / "cache"))
    root = tmp_path / "hub"
    for part, row in {
        "testdev_balanced_instructions": HUB["gqa"],
        "testdev_balanced_images": {"id": "n1", "image": {"bytes": png("blue"), "path": "x"}},
    }.items():
        (root / part).mkdir(parents=True)
        pq.write_table(pa.Table.from_pylist([row]), root / part / "0.parquet")
    assert load_questions("gqa", root).questions[0].open().size == (8, 6)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "cannot be read as JSON"),
        (b"[]", "expected an object"),
        (b'{"7": 3}', "expected an object"),
        (b'{"7": {"question": "x"}}', "'imageId' is missing"),
        (b'{"7": {"question": "x", "imageId": "../../etc/passwd", "answer": "y"}}', "outside"),
        (b'{"7": {"question": "x", "imageId": "n1", "answer": []}}', "expected a text"),
        (b'{"7": {"question": "x", "imageId": "n1"}}', "question 1: the field 'answer'"),
        (b'{"7": 1, "7": 2}', "stands twice"),
    ],
)
def test_damaged_files_are_refused_with_the_place(tmp_path, content, message):
    gqa(tmp_path)
    put(tmp_path, "testdev_balanced_questions.json", content)
    with pytest.raises(QuestionDataError, match=message):
        load_questions("gqa", tmp_path)


def test_other_damage_is_refused(tmp_path):
    pope(tmp_path)
    put(tmp_path, "coco_pope_random.json", b'{"question_id": 1}\n')
    with pytest.raises(QuestionDataError, match="'image' is missing"):
        load_questions("pope", tmp_path)
    mmbench(tmp_path)
    text = (tmp_path / "MMBench_DEV_EN.tsv").read_text().replace("\tB\tkind", "\tQ\tkind")
    put(tmp_path, "MMBench_DEV_EN.tsv", text.encode())
    with pytest.raises(QuestionDataError, match="letters of 2 options"):
        load_questions("mmbench", tmp_path)
    put(tmp_path, "lines.json", b"{}\n[1]\n")
    with pytest.raises(QuestionDataError, match="line 2"):
        json_lines(tmp_path / "lines.json")
    with pytest.raises(QuestionDataError, match="outside"):
        below(tmp_path, "/etc/passwd")


def test_missing_files_are_named(tmp_path):
    for task in TASKS:
        with pytest.raises(FileNotFoundError, match=r"put|give|no file"):
            load_questions(task, tmp_path)
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        load_questions("gqa", tmp_path / "nowhere" / "at" / "all")
    with pytest.raises(ValueError, match="unknown task"):
        load_questions("gqaa", tmp_path)
    with pytest.raises(ValueError, match="embedded questions"):
        load_questions("mme", "embedded")


def test_an_id_must_not_stand_twice(tmp_path):
    pope(tmp_path)
    line = (tmp_path / "coco_pope_random.json").read_bytes()
    put(tmp_path, "coco_pope_random.json", line + line)
    with pytest.raises(QuestionDataError, match="stands twice"):
        load_questions("pope", tmp_path)


def test_a_damaged_picture_in_parquet_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("LITELVLM_CACHE", str(tmp_path / "cache"))
    root = tmp_path / "hub"
    root.mkdir()
    row = HUB["pope"] | {"image": {"bytes": b"no picture", "path": "x"}}
    pq.write_table(pa.Table.from_pylist([row]), root / "part.parquet")
    with pytest.raises(QuestionDataError, match="picture is damaged"):
        load_questions("pope", root)
    assert not list((tmp_path / "cache").glob("pictures-*"))


def test_limit_counts_images(tmp_path):
    mme(tmp_path)
    found = load_questions("mme", tmp_path)
    assert len(found.first(1)) == 2
    assert len(found.first(None)) == 4
    with pytest.raises(ValueError, match="limit is 0"):
        found.first(0)


def test_questions_about_equal_pictures_share_an_image(tmp_path):
    put(tmp_path, "test/3/image.png", png())
    put(tmp_path, "test/4/image.png", png())
    put(tmp_path, "test/5/image.png", png("green"))
    row = {"question": "Which?", "choices": ["x", "y"], "answer": 1, "image": "image.png"}
    put(tmp_path, "problems.json", {"3": row, "4": row, "5": row})
    first, second, third = load_questions("scienceqa", tmp_path).questions
    assert first.image_id == second.image_id != third.image_id


def test_mmbench_pictures_are_known_by_their_content(tmp_path, monkeypatch):
    monkeypatch.setenv("LITELVLM_CACHE", str(tmp_path / "cache"))
    red, green = (base64.b64encode(png(colour)).decode() for colour in ("red", "green"))
    names = ["index", "question", "A", "B", "answer", "image"]
    lines = [["1", "Which?", "x", "y", "B", red], ["1000001", "Which?", "y", "x", "A", "1"],
             ["2", "Where?", "x", "y", "B", red], ["3", "Who?", "x", "y", "A", green]]  # fmt: skip
    text = "\n".join("\t".join(line) for line in [names, *lines])
    put(tmp_path, "MMBench_DEV_EN.tsv", text.encode())
    found = load_questions("mmbench", tmp_path)
    assert [q.base for q in found.questions] == ["1", "1", "2", "3"]
    ids = [q.image_id for q in found.questions]
    assert ids[0] == ids[1] == ids[2] != ids[3]
    assert "2 questions come in fewer orders than they have options" in found.notes[1]
    assert found.notes[1].endswith("the first is 2")


def test_what_stands_in_base64_must_be_a_picture(tmp_path, monkeypatch):
    monkeypatch.setenv("LITELVLM_CACHE", str(tmp_path / "cache"))
    line = ["1", "Which?", "x", "y", "B", base64.b64encode(b"no picture at all").decode()]
    text = "\t".join(["index", "question", "A", "B", "answer", "image"]) + "\n" + "\t".join(line)
    put(tmp_path, "MMBench_DEV_EN.tsv", text.encode())
    with pytest.raises(QuestionDataError, match="picture is damaged"):
        load_questions("mmbench", tmp_path)
    assert not (tmp_path / "cache" / "mmbench").exists()


def test_reading_a_table_leaves_the_limit_of_other_readers(tmp_path):
    before = csv.field_size_limit()
    mmbench(tmp_path)
    load_questions("mmbench", tmp_path)
    assert csv.field_size_limit() == before


def test_both_questions_of_an_mme_picture_share_its_name(tmp_path, monkeypatch):
    monkeypatch.setenv("LITELVLM_CACHE", str(tmp_path / "cache"))
    mme(tmp_path / "files")
    found = load_questions("mme", tmp_path / "files").questions
    assert [q.image_id for q in found] == ["OCR/b", "OCR/b", "count/a", "count/a"]
    picture = {"bytes": png("blue"), "path": "x.png"}
    row = {"question": "One?", "answer": "Yes", "image": picture}
    rows = [row | {"question_id": "count/7.png", "category": "count"},
            row | {"question_id": "7.png", "category": "OCR"}]  # fmt: skip
    table(tmp_path / "hub" / "0.parquet", rows)
    found = load_questions("mme", tmp_path / "hub").questions
    assert [q.image_id for q in found] == ["count/7.png", "OCR/7.png"]


def table(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), path)


def test_equal_rows_of_scienceqa_are_two_questions(tmp_path, monkeypatch):
    monkeypatch.setenv("LITELVLM_CACHE", str(tmp_path / "cache"))
    row = HUB["scienceqa"] | {"image": {"bytes": png("blue"), "path": "x.png"}}
    table(tmp_path / "hub" / "0.parquet", [row, row | {"hint": "Look."}, row])
    found = load_questions("scienceqa", tmp_path / "hub").questions
    assert [q.question_id for q in found] == ["row-0", "row-1", "row-2"]
    assert len({q.image_id for q in found}) == 1


def test_gqa_one_folder_down_keeps_its_pictures(tmp_path, monkeypatch):
    monkeypatch.setenv("LITELVLM_CACHE", str(tmp_path / "cache"))
    picture = {"id": "n1", "image": {"bytes": png("blue"), "path": "x"}}
    table(tmp_path / "a" / "hub" / "testdev_balanced_instructions" / "0.parquet", [HUB["gqa"]])
    table(tmp_path / "a" / "hub" / "testdev_balanced_images" / "0.parquet", [picture])
    assert load_questions("gqa", tmp_path / "a").questions[0].open().size == (8, 6)


def test_only_pictures_of_gqa_lie_in_files_of_their_own(tmp_path, monkeypatch):
    monkeypatch.setenv("LITELVLM_CACHE", str(tmp_path / "cache"))
    picture = {"image": {"bytes": png("blue"), "path": "x"}}
    table(tmp_path / "images" / "0.parquet", [HUB["textvqa"] | picture])
    assert len(load_questions("textvqa", tmp_path)) == 1
    # Of GQA too, a folder counts by its own name and not by what stands in it somewhere.
    asked = tmp_path / "gqa" / "my-images" / "testdev_balanced_instructions"
    table(asked / "0.parquet", [HUB["gqa"] | picture])
    assert len(load_questions("gqa", tmp_path / "gqa")) == 1


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("task", ["pope", "mme"])
def test_absent_groups_are_named_of_files_and_of_parquet(tmp_path, monkeypatch, task, packed):
    monkeypatch.setenv("LITELVLM_CACHE", str(tmp_path / "cache"))
    root = tmp_path / "data"
    if packed:
        table(root / "0.parquet", [HUB[task] | {"image": {"bytes": png(), "path": "x"}}])
    else:
        MAKERS[task](root)
        for name in ("coco_pope_popular.json", "coco_pope_adversarial.json"):
            (root / name).unlink(missing_ok=True)
    wanted = {"pope": "mean F1 rests on 1 of 3", "mme": f"rests on {1 if packed else 2} of 10"}
    assert wanted[task] in load_questions(task, root).notes[1]
