"""Result cards: bounded, sealed, and put side by side."""

import json
import math
from pathlib import Path
from types import SimpleNamespace

import pytest
from pydantic import ValidationError

from litelvlm.analysis.cli import main
from litelvlm.analysis.pages.cards import (
    MAX_BYTES,
    Score,
    Split,
    make_card,
    read_card,
    read_cards,
    sealed,
)
from litelvlm.analysis.pages.leaderboard import GROUP, board_scores, disagree, disagreements
from litelvlm.analysis.runs.outcome import Exclusion
from litelvlm.analysis.runs.saved import SavedRun


@pytest.fixture(scope="module")
def run(saved_runs):
    return SavedRun(saved_runs["sweep"])


@pytest.fixture(scope="module")
def card(run):
    return make_card("refseg", [Split(run, 10, "")], "Somebody", [("a/b", "0" * 40)])


def changed(card, **updates):
    """The card with other content and a fitting digest."""
    return sealed(card.model_copy(update=updates))


def moved(card, shift, method="litelvlm", **updates):
    """The card with one method's scores and intervals moved."""
    (result,) = card.results
    scores = tuple(
        score
        if score.method != method or score.low is None
        else score.model_copy(
            update={
                name: min(1.0, max(0.0, getattr(score, name) + shift))
                for name in ("value", "low", "high")
            }
        )
        for score in result.scores
    )
    return changed(card, results=(result.model_copy(update={"scores": scores, **updates}),))


def write(path, card):
    path.write_text(card.model_dump_json(indent=1))
    return path


def test_a_card_holds_the_scores_of_its_run_and_survives_the_disk(run, card, tmp_path):
    assert read_card(write(tmp_path / "a.json", card)) == card
    (result,) = card.results
    table = run.table("scores")
    assert len(result.scores) == len(table)
    for score, line in zip(result.scores, table.to_dict("records"), strict=True):
        assert (score.method, score.budget, score.metric) == (
            line["method"],
            line["budget"],
            line["metric"],
        )
        assert (score.value, score.low, score.high) == (line["value"], line["low"], line["high"])
    assert (result.n_images, result.n_whole, result.n_tokens) == (8, 10, 144)
    assert result.key == run.record.key
    assert card.model == run.record.model


def test_every_change_by_hand_is_noticed(card, tmp_path):
    def leaves(value, path=()):
        if isinstance(value, dict):
            for key, inner in value.items():
                yield from leaves(inner, (*path, key))
        elif isinstance(value, list):
            for place, inner in enumerate(value[:2]):
                yield from leaves(inner, (*path, place))
        else:
            yield path, value

    plain = json.loads(card.model_dump_json())
    places = [place for place in leaves(plain) if place[0] != ("form",)]
    assert len(places) > 40
    for path, value in places:
        edited = json.loads(card.model_dump_json())
        inner = edited
        for key in path[:-1]:
            inner = inner[key]
        inner[path[-1]] = (
            (not value) if isinstance(value, bool)
            else value * 0.9 if isinstance(value, float) and value
            else 0.1 if isinstance(value, float)
            else value + 1 if isinstance(value, int)
            else "edited"
        )  # fmt: skip
        target = tmp_path / "edited.json"
        target.write_text(json.dumps(edited))
        with pytest.raises(ValueError, match="is not a valid card"):
            read_card(target)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c | {"more": 1}, "more: Extra inputs"),
        (lambda c: c | {"by": "x" * 301}, "by: String should have at most 300"),
        (lambda c: c | {"by": "a\u0000b"}, "by: String should match"),
        (lambda c: c | {"commit": "main"}, "commit: String should match"),
        (lambda c: c | {"results": []}, "results: Tuple should have at least 1"),
        (lambda c: c | {"versions": {str(n): "1" for n in range(41)}}, "versions: Dictionary"),
        (lambda c: c | {"form": 1}, "form: Input should be 2"),
        (lambda c: c | {"results": c["results"] * 2}, "the split .*/val/.* stands twice and would"),
    ],
)
def test_fields_out_of_bounds_are_named(card, tmp_path, change, message):
    path = tmp_path / "a.json"
    path.write_text(json.dumps(change(json.loads(card.model_dump_json()))))
    with pytest.raises(ValueError, match=message):
        read_card(path)


def test_a_card_says_why_a_method_has_no_scores(run, tmp_path):
    excluded = (Exclusion(method="fastv", budget=8, reason="8 tokens\nare too few\x07"),)
    record = run.record.model_copy(update={"excluded": excluded})
    with_reasons = SimpleNamespace(record=record, rows=run.rows, table=run.table)
    made = make_card("refseg", [Split(with_reasons, 10, "a copy")])
    assert read_card(write(tmp_path / "a.json", made)) == made
    note = "a copy; left out: fastv@8: 8 tokens are too few\N{REPLACEMENT CHARACTER}"
    assert made.results[0].note == note


def test_scores_out_of_bounds_are_refused():
    good = {"method": "a", "budget": 4, "metric": "ciou", "value": 0.5, "low": 0.4, "high": 0.6}
    Score.model_validate(good | {"n": 3})
    for bad in (
        {"value": 1.2},
        {"value": math.nan},
        {"budget": True},
        {"budget": 4.0},
        {"low": 0.9},
        {"low": None},
        {"metric": "accuracy"},
        {"method": ""},
    ):
        with pytest.raises(ValidationError):
            Score.model_validate(good | {"n": 3} | bad)


def test_what_is_no_card_is_refused_with_its_reason(tmp_path):
    for content, message in (
        (b"", "is not a card"),
        (b"[" * 100_000, "is not a card"),
        (b'{"form": 1, "form": 1}', "stands twice"),
        (b'{"form": NaN}', "not a number that JSON allows"),
        (b"\xff\xfe", "is not a card"),
        (b" " * (MAX_BYTES + 1), "has 4,000,001 bytes"),
    ):
        path = tmp_path / "bad.json"
        path.write_bytes(content)
        with pytest.raises(ValueError, match=message):
            read_card(path)


def test_a_card_is_made_of_complete_sweeps_only(saved_runs):
    with pytest.raises(ValueError, match="this is a run of 'sink'"):
        make_card("refseg", [Split(SavedRun(saved_runs["sink"]), 8, "")])


def score(value, low=math.nan, high=math.nan):
    return {"value": value, "low": low, "high": high}


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (score(0.5, 0.4, 0.6), score(0.5, 0.4, 0.6), False),
        (score(0.5, 0.4, 0.6), score(0.64, 0.54, 0.74), False),  # 0.14 is below hypot(.1, .1)
        (score(0.5, 0.4, 0.6), score(0.65, 0.55, 0.75), True),  # the intervals still overlap
        (score(0.65, 0.55, 0.75), score(0.5, 0.4, 0.6), True),
        (score(0.5, 0.49, 0.8), score(0.6, 0.3, 0.61), False),  # long on the sides that face
        (score(0.5), score(0.9, 0.89, 0.91), False),
    ],
)
def test_scores_disagree_where_the_facing_halves_do_not_reach(first, second, expected):
    assert disagree(first, second) is expected


def test_the_board_flags_disagreement_and_keeps_models_and_splits_apart(card):
    other_split = card.results[0].model_copy(update={"data": card.results[0].data | {"split": "x"}})
    cards = {
        "a.json": card,
        "b.json": moved(card, -0.3),
        "c.json": changed(moved(card, 0.3), model=card.model | {"name": "another"}),
        "d.json": changed(card, results=(other_split,)),
        "e.json": changed(moved(card, 0.3), model=card.model | {"digest": "retrained"}),
        "f.json": moved(card, 0.3, n_whole=20),
        "g.json": moved(card, 0.3, n_images=4),
    }
    scores = board_scores(cards)
    assert scores.groupby(GROUP).ngroups == 6
    found = [scores.loc[list(pair)] for pair in disagreements(scores)]
    assert found
    assert all(pair["card"].tolist() == ["a.json", "b.json"] for pair in found)
    assert all(set(pair["method"]) == {"litelvlm"} for pair in found)
    same = board_scores({"a.json": card, "e.json": changed(card, by="Another")})
    assert disagreements(same) == []


def test_the_leaderboard_page_says_who_measured_and_what_was_refused(card, tmp_path, capsys):
    folder = tmp_path / "cards"
    folder.mkdir()
    write(folder / "a.json", changed(card, by="<script>alert(1)</script>"))
    # A stranger's card may lack what the suite always writes of model and machine.
    bare = changed(moved(card, -0.3), by="Another laboratory", machine={})
    write(folder / "b.json", bare)
    page = tmp_path / "board.html"
    assert main(["leaderboard", str(folder), "--out", str(page)]) == 0
    text = page.read_text()
    assert "Another laboratory" in text
    assert "<script>" not in text
    assert "&lt;script&gt;" in text
    assert "disagrees" in text
    assert "a part of 8 of 10 images, protocol" in text
    assert ", a part of 8 images" in text
    assert card.commit is None or card.commit[:12] in text
    assert "default-src 'none'" in text

    edited = (folder / "b.json").read_text().replace("Another laboratory", "The best laboratory")
    (folder / "b.json").write_text(edited)
    (folder / "c.json").write_text((folder / "a.json").read_text())
    capsys.readouterr()
    assert main(["leaderboard", str(folder), "--json"]) == 1
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert set(found["cards"]) == {"a.json"}
    assert "changed after it was written" in found["refused"]["b.json"]
    assert "under another name" in found["refused"]["c.json"]
    assert "b.json" in err
    assert found["disagreements"] == []
    (score,) = (
        one
        for one in found["scores"]
        if (one["method"], one["budget"], one["metric"]) == ("litelvlm", 48, "ciou")
    )
    assert (score["card"], score["n_whole"]) == ("a.json", 10)


def test_the_cards_of_this_project_are_whole():
    cards, refused = read_cards(Path(__file__).parents[2] / "benchmarks" / "results" / "cards")
    assert refused == {}
    assert cards
    assert not any(card.dirty for card in cards.values())


def test_a_folder_without_cards_is_explained(tmp_path):
    with pytest.raises(FileNotFoundError, match="litelvlm reproduce TABLE --card FILE"):
        read_cards(tmp_path)
