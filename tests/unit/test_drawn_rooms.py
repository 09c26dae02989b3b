"""The drawing of the rooms shows the imports of today's code."""

import pytest

from benchmarks.rooms import PICTURES, arrows_of, picture_of, rooms, sources


def test_the_picture_is_that_of_the_imports():
    drawn = (PICTURES / "rooms.svg").read_text(encoding="utf-8")
    now = picture_of(rooms(sources()), counts=False)
    assert arrows_of(drawn) == arrows_of(now), "draw it again: python -m benchmarks.rooms"
    assert drawn == now, "draw it again: python -m benchmarks.rooms"


def test_arrows_that_follow_from_others_are_left_out():
    text = {
        "analysis.a": "",
        "analysis.cli.one": "from litelvlm.analysis.pages import two\nimport litelvlm.clip.three",
        "analysis.pages.two": "from litelvlm.clip.three import thing",
        "litelvlm.clip.three": "",
    }
    arrows = rooms(text)
    expected = {("analysis/cli", "analysis/pages"), ("analysis/pages", "litelvlm/clip")}
    assert set(arrows.edges) == expected
    assert arrows_of(picture_of(arrows, counts=False)) == expected


def test_halls_and_circles_are_marked():
    text = {f"figures.m{number}": "" for number in range(19)} | {
        "figures.here": "import figures.there\nimport analysis.runs.x",
        "figures.there": "from figures import here",
        "analysis.runs.x": "",
    }
    picture = picture_of(rooms(text), counts=True)
    assert ">21 files, a circle of 2</text>" in picture
    assert picture.count('stroke="#b3261e"') == 1


def test_rooms_that_import_each_other_are_refused():
    text = {
        "analysis.runs.x": "import analysis.stats.y",
        "analysis.stats.y": "import analysis.runs.x",
    }
    with pytest.raises(ValueError, match="rooms import each other: analysis/runs, analysis/stats"):
        rooms(text)
