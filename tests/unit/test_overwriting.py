"""No verb writes over what it reads: refused before any work, and the file is as it was."""

import os

import pytest
from PIL import Image

from litelvlm.analysis.cli import main


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with a picture, cards, a run, a plug-in and a card of its own."""
    monkeypatch.chdir(tmp_path)
    for name in ("a.png", "b_overlay.png", "c-2.png", "d_compare.png"):
        Image.new("RGB", (8, 8), "red").save(name)
    os.link("a.png", "hard.png")
    os.symlink("a.png", "soft.png")
    for name in ("cards/a.json", "run/run.json", "run/rows/part.parquet", "model/config.json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("{}")
    (tmp_path / "mine.py").write_text("")
    return tmp_path


SAME = [
    "segment a.png it --out a.png",
    "segment a.png it --out ./cards/../a.png",
    "segment a.png it --out hard.png",
    "segment soft.png it --out a.png",
    "segment a.png it --out soft.png",
    "segment b_overlay.png it --out b.png",
    "segment c-2.png it that --out c.png",
    "segment d_compare.png it --out d.png",
    "leaderboard cards --out cards/a.json",
    "leaderboard . --out cards/a.json",
    "explore run --out run/run.json",
    "explore run --out run/rows/part.parquet",
    "explore run --model model --out model/config.json",
    "explore run --plugin mine.py --out mine.py",
    "reproduce refseg --model model --card model/config.json",
    "audit --measure --data model --numbers model/config.json",
]


@pytest.mark.parametrize("words", SAME)
def test_what_is_read_is_not_written(words, place, capsys):
    before = {path: path.read_bytes() for path in place.rglob("*") if path.is_file()}
    assert main(words.split()) == 2
    assert "would be written over, and the command reads it" in capsys.readouterr().err
    after = {path: path.read_bytes() for path in place.rglob("*") if path.is_file()}
    assert after == before


INTO_A_MODEL = [
    "evaluate --model model --out model",
    "evaluate --model model/../model --out model/runs",
    "evaluate --model model --cache linked/states",
    "evaluate --clip model --cache model",
    "study reversal --model vlm:model --report model/report",
    "bench --model model --figures model/figures",
    "audit --measure --model model --numbers model/new.json",
    "reproduce refseg --model model --card model/new.json",
    "convert model model/safe",
]


@pytest.mark.parametrize("words", INTO_A_MODEL)
def test_nothing_is_written_into_the_folder_of_a_model(words, place, capsys):
    os.symlink("model", "linked")
    assert main(words.split()) == 2
    assert "lies in the folder of the model model" in capsys.readouterr().err.replace(
        "model/../", ""
    )
    assert [path.name for path in (place / "model").iterdir()] == ["config.json"]


def test_a_picture_may_lie_beside_a_model(place, capsys):
    main(["segment", "a.png", "it", "--model", "model", "--out", "model/a.png"])
    assert "lies in the folder" not in capsys.readouterr().err


@pytest.mark.parametrize("words", ["leaderboard cards --out cards/board.html"])
def test_a_page_may_be_written_again_beside_what_it_shows(words, place, capsys):
    assert [main(words.split()) for _ in range(2)] == [1, 1]  # a.json is no card
    assert (place / "cards" / "board.html").stat().st_size > 100
    assert "written over" not in capsys.readouterr().err
