"""Result cards: bounded, sealed, and put side by side."""

import hashlib
import json
import math
from pathlib import Path
from types import SimpleNamespace

import pytest
from pydantic import ValidationError

from litelvlm.analysis.cards.card import LeftOut, Score, sealed
from litelvlm.analysis.cards.compare import disagree, disagreements, entries_of, unequal_rows
from litelvlm.analysis.cards.make import Split, make_card, rows_digest
from litelvlm.analysis.cards.read import MAX_BYTES, read_card, read_cards
from litelvlm.analysis.cli import main
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
    assert result.rows == rows_digest(run.rows.sample(frac=1, random_state=0))
    assert (result.n_images, result.n_whole, result.n_tokens) == (8, 10, 144)
    assert result.key == run.record.key
    assert card.model == run.record.model


@pytest.mark.parametrize("column", ["inter_px", "union_px", "pred_px", "target_px", "seed"])
def test_any_changed_row_changes_the_digest_of_the_rows(run, column):
    rows = run.rows.copy()
    rows.loc[rows.index[5], column] += 1
    assert rows_digest(rows) != rows_digest(run.rows)


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
        (lambda c: c | {"form": 2}, "form: Input should be 1"),
    ],
)
def test_fields_out_of_bounds_are_named(card, tmp_path, change, message):
    path = tmp_path / "a.json"
    path.write_text(json.dumps(change(json.loads(card.model_dump_json()))))
    with pytest.raises(ValueError, match=message):
        read_card(path)


REASON = "8 tokens are fewer than it can reach"


def with_left_out(card, *entries):
    (result,) = card.results
    left_out = tuple(LeftOut(method=m, budget=k, reason=REASON) for m, k in entries)
    return changed(card, results=(result.model_copy(update={"left_out": left_out}),))


def without_scores(card, method, budget):
    (result,) = card.results
    scores = tuple(one for one in result.scores if (one.method, one.budget) != (method, budget))
    return changed(card, results=(result.model_copy(update={"scores": scores}),))


def test_a_card_says_why_a_method_has_no_scores(run, card, tmp_path):
    excluded = (Exclusion(method="fastv", budget=8, reason="8 tokens\nare too few\x07"),)
    record = run.record.model_copy(update={"excluded": excluded})
    with_reasons = SimpleNamespace(record=record, rows=run.rows, table=run.table)
    made = make_card("refseg", [Split(with_reasons, 10, "")])
    assert read_card(write(tmp_path / "a.json", made)) == made
    (entry,) = made.results[0].left_out
    assert (entry.method, entry.budget) == ("fastv", 8)
    assert entry.reason == "8 tokens are too few\N{REPLACEMENT CHARACTER}"


def test_a_card_from_before_the_reasons_keeps_its_digest(card, tmp_path):
    older = json.loads(card.model_dump_json())
    del older["results"][0]["left_out"]
    plain = {name: value for name, value in older.items() if name != "digest"}
    digest = hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()
    path = tmp_path / "older.json"
    path.write_text(json.dumps(older | {"digest": digest}))
    assert read_card(path) == card


def test_a_method_cannot_be_left_out_and_scored(card):
    for entries in ([("litelvlm", 48)], [("fastv", 8), ("fastv", 8)]):
        with pytest.raises(ValueError, match="left out twice, or left out and scored"):
            with_left_out(card, *entries)


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
    with pytest.raises(ValueError, match="at least one finished sweep"):
        make_card("refseg", [])


def score(value, low, high):
    return Score(method="a", budget=4, metric="ciou", value=value, low=low, high=high, n=9)


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (score(0.5, 0.4, 0.6), score(0.5, 0.4, 0.6), False),
        (score(0.5, 0.4, 0.6), score(0.64, 0.54, 0.74), False),  # 0.14 is below hypot(.1, .1)
        (score(0.5, 0.4, 0.6), score(0.65, 0.55, 0.75), True),  # the intervals still overlap
        (score(0.65, 0.55, 0.75), score(0.5, 0.4, 0.6), True),
        (score(0.5, 0.49, 0.8), score(0.6, 0.3, 0.61), False),  # long on the sides that face
        (score(0.5, None, None), score(0.9, 0.89, 0.91), False),
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
    }
    assert len({entry.group for entry in entries_of(cards)}) == 5
    found = disagreements(cards)
    assert {(one.card, two.card, one.score.method) for one, two in found} == {
        ("a.json", "b.json", "litelvlm")
    }
    assert disagreements({"a.json": card, "e.json": changed(card, by="Another")}) == []


def test_equal_keys_with_other_rows_are_named(card):
    cards = {"a.json": card, "b.json": moved(card, 0.0, rows="f" * 64)}
    assert unequal_rows(cards) == [("a.json", "b.json", "planted val")]
    assert unequal_rows({"a.json": card, "b.json": changed(card, by="Another")}) == []


def test_the_leaderboard_page_says_who_measured_and_what_was_refused(card, tmp_path, capsys):
    folder = tmp_path / "cards"
    folder.mkdir()
    first = with_left_out(without_scores(card, "random", 8), ("random", 8))
    write(folder / "a.json", changed(first, by="<script>alert(1)</script>"))
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
    assert f"1: random@8: {REASON}" in text
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
    (left,) = found["left_out"]
    assert (left["card"], left["method"], left["budget"]) == ("a.json", "random", 8)
    assert left["reason"] == REASON


def test_the_cards_of_this_project_are_whole():
    found = read_cards(Path(__file__).parents[2] / "benchmarks" / "results" / "cards")
    assert found.refused == {}
    assert not any(card.dirty for card in found.cards.values())


def test_a_folder_without_cards_is_explained(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        read_cards(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match="litelvlm reproduce TABLE --card FILE"):
        read_cards(tmp_path)
