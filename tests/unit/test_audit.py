"""The audit: entries are sound, their readings exist, and its numbers are computed."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from planted import PlantedModel, planted_data

from litelvlm import get_pruner, list_pruners
from litelvlm.analysis.cli import main
from litelvlm.analysis.pages.audit.entries import Audited, chosen
from litelvlm.analysis.pages.audit.measure import (
    BUNDLED,
    DRAWS,
    AuditResults,
    Draws,
    conditions,
    measure,
    shown,
)
from litelvlm.analysis.pages.audit.printed import audit_text, found_for
from litelvlm.analysis.runs.folder import read_rows
from litelvlm.models.glamm.options import GlammOptions
from tests.study_inputs import Method

ENTRIES = [(table, statement) for table in chosen() for statement in table.statement]
IDS = [f"{table.method}-{statement.id}" for table, statement in ENTRIES]
MEASURED = AuditResults.model_validate_json(BUNDLED.read_text())
PAGE = (Path(__file__).parents[2] / "docs" / "audit.md").read_text(encoding="utf-8")
SOURCE = {"file": "a.py", "lines": "3", "commit": "0" * 40}
DIRECTION = {
    "id": "direction", "claim": "Lowest first.", "where": "section 3", "basis": "seen",
    "code": "So.", "sources": (SOURCE,), "verdict": "agree", "compared": "lowest against highest",
    "first": "litelvlm", "second": "litelvlm(direction=highest)",
}  # fmt: skip
ORDER = {
    "id": "order", "claim": "No statement.", "where": "none known", "basis": "none",
    "code": "Context first.", "sources": (SOURCE,), "verdict": "code alone",
    "compared": "native against raster order", "protocol": "conversation", "first": "litelvlm",
    "second": "litelvlm(order=raster)",
}  # fmt: skip
DRAWN = ORDER | {"protocol": "official", "first": "", "second": "", "drawn": "litelvlm"}


def planted_table(*statements):
    return Audited.model_validate(
        {"method": "litelvlm", "paper": "a paper", "repository": "owner/name",
         "statement": statements}
    )  # fmt: skip


def test_every_entry_is_there_once_and_every_method_is_a_pruner():
    assert len(set(IDS)) == len(IDS)
    names = [table.method for table in chosen()]
    assert names == [name for name in list_pruners() if name in names]


@pytest.mark.parametrize(("table", "statement"), ENTRIES, ids=IDS)
def test_an_entry_is_whole_and_rests_its_verdict_on_a_reading(table, statement):
    facts = (statement.claim, statement.where, statement.code, table.paper)
    assert all(facts)
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", statement.id)
    assert statement.sources
    for source in statement.sources:
        assert re.fullmatch(r"[^/ ]+/[^/ ]+", source.repository or table.repository)
        assert re.fullmatch(r"[0-9a-f]{40}", source.commit)
        assert re.fullmatch(r"\d+(-\d+)?(, \d+(-\d+)?)*", source.lines)
    assert (statement.verdict == "code alone") == (statement.basis == "none")
    # A comparison of two readings, one that is drawn again, or the reason why there is none.
    assert bool(statement.first) == bool(statement.second)
    assert bool(statement.compared) == bool(statement.first or statement.drawn)
    assert bool(statement.compared) != bool(statement.unmeasured)
    assert bool(statement.drawn) == (statement.protocol == "official")
    for label, options in statement.readings:
        method = Method.parse(label)
        assert method.pruner().name in {table.method, "divprune", "fastervlm", "sparsevlm_plus"}
        assert method.preset in {"faithful", "gap", *get_pruner(method.name).presets}
        GlammOptions.parse(options)
    assert len(set(statement.readings)) in (0, 2)


def test_every_reading_is_in_exactly_the_sweeps_that_need_it():
    needed = conditions(chosen())
    for _, statement in ENTRIES:
        for label, options in statement.readings:
            labels = [method.label for method in needed[(statement.protocol, options)]]
            assert labels.count(Method.parse(label).label) == 1
        if statement.drawn:
            assert statement.drawn in [m.label for m in needed[("official", ())]]


def test_planted_differences_come_back(tmp_path):
    table = planted_table(DIRECTION, ORDER)
    model, data = PlantedModel(), planted_data(6)
    measured = measure([table], lambda options: model, data, (8,), tmp_path)
    direction, order = sorted(measured.differences, key=lambda one: one.id)
    # The model scores the named object low: the lowest tokens hold it and the highest do not. Its
    # mask does not depend on the order of tokens.
    assert direction.ciou is not None
    assert direction.ciou[0] > 0.5
    assert direction.ciou[1] == 0.0
    assert direction.delta == pytest.approx(direction.ciou[0])
    assert direction.low is not None
    assert direction.low > 0.3
    assert not direction.same
    assert order.same
    assert order.delta == 0.0
    # The same numbers from the rows, by hand.
    (folder,) = (
        tmp_path / name
        for name in measured.runs
        if "litelvlm(direction=highest)" in set(read_rows(tmp_path / name)["method"])
    )
    rows = read_rows(folder)
    own = rows[rows["method"] == "litelvlm"]
    assert direction.ciou[0] == pytest.approx(own["inter_px"].sum() / own["union_px"].sum())
    again = measure([table], lambda options: model, data, (8,), tmp_path)
    assert again.differences == measured.differences
    text = audit_text([table], measured)
    assert "native against raster order" in text
    assert "8: same masks" in text


def test_options_of_the_model_are_a_condition_of_their_own():
    padded = DIRECTION | {"second": "litelvlm", "second_options": ("crop=pad",)}
    needed = conditions([planted_table(padded)])
    assert {options for _, options in needed} == {(), ("crop=pad",)}
    assert shown("litelvlm", ("crop=pad",)) == "litelvlm [crop=pad]"


def test_a_method_without_two_readings_cannot_be_measured(tmp_path):
    with pytest.raises(ValueError, match="no statement about divprune"):
        measure(chosen("divprune"), lambda options: PlantedModel(), planted_data(2), (8,), tmp_path)


def test_the_bundled_numbers_are_of_these_statements_and_adjusted_together():
    known = {(table.method, s.id): s for table, s in ENTRIES}
    for one in MEASURED.differences:
        statement = known[one.method, one.id]
        assert (one.first, one.second) == tuple(shown(*r) for r in statement.readings)
        if one.refused:
            assert one.delta is None
            continue
        assert one.delta == pytest.approx(one.ciou[0] - one.ciou[1])
        assert one.p <= one.p_holm <= 1
    for table, statement in ENTRIES:
        differences, drawn = found_for(MEASURED, table, statement)
        has_number = any(one.delta is not None for one in differences) or bool(drawn)
        assert has_number != bool(statement.unmeasured), (table.method, statement.id)


def page_cell(one):
    if one.delta is None:
        return "refused"
    return "same masks" if one.same else f"{one.delta:.3f} [{one.low:.3f}, {one.high:.3f}]"


def test_the_page_shows_every_open_verdict_and_what_is_left_of_the_differences():
    rows = PAGE.splitlines()
    for table, statement in ENTRIES:
        listed = any(row.startswith(f"- `{table.method}` {statement.id}") for row in rows)
        assert listed == (statement.verdict in ("differ", "paper open"))
        differences, _ = found_for(MEASURED, table, statement)
        if differences:
            sign = " †" if statement.protocol == "conversation" else ""
            cells = " | ".join(map(page_cell, differences))
            line = f"| {table.method} | {statement.id}{sign} | {statement.compared} | {cells} |"
            left = any(one.p_holm is not None and one.p_holm <= 0.05 for one in differences)
            assert (line in rows) == left
    for verdict in ("agree", "differ", "paper open", "code alone"):
        count = sum(statement.verdict == verdict for _, statement in ENTRIES)
        assert any(row.startswith(f"| {verdict} | {count} |") for row in rows)
    left = [one for one in MEASURED.differences if one.p_holm is not None and one.p_holm <= 0.05]
    tested = [one for one in MEASURED.differences if one.p_holm is not None]
    text = " ".join(PAGE.split())
    told = ", ".join(f"`{one.method}` {one.id} at {one.budget}" for one in left)
    assert f"**{len(left)} of {len(tested)} differences are left" in text
    assert f"swap: {told}." in text


def test_repeated_draws_are_the_scores_of_single_runs(tmp_path):
    table, data = planted_table(DIRECTION, DRAWN), planted_data(3)
    measured = measure([table], lambda options: PlantedModel(), data, (8,), tmp_path)
    own, whole = measured.draws
    assert (own.reading, own.budget, len(own.ciou)) == ("litelvlm", 8, DRAWS)
    assert whole.reading == "none"
    (folder,) = (
        tmp_path / name
        for name in measured.runs
        if set(read_rows(tmp_path / name)["protocol"]) == {"official"}
    )
    rows = read_rows(folder)
    for one in measured.draws:
        cell = rows[(rows["method"] == one.reading) & (rows["budget"] == one.budget)]
        for seed, ciou in enumerate(one.ciou):
            run = cell[cell["seed"] == seed]
            assert ciou == pytest.approx(run["inter_px"].sum() / run["union_px"].sum())
    assert {one.id for one in measured.differences} == {"direction"}
    assert f"{DRAWS} runs from" in audit_text([table], measured)


def test_the_interval_of_a_deviation_holds_the_true_one_as_often_as_it_says():
    draw = np.random.default_rng(0)
    common = {"method": "m", "id": "i", "budget": 8, "reading": "m"}
    several = [Draws(**common, ciou=tuple(draw.normal(0.5, 0.02, 16).tolist())) for _ in range(400)]
    held = sum(one.interval[0] <= 0.02 <= one.interval[1] for one in several)
    assert 0.92 <= held / 400 <= 0.98


def test_the_command_prints_text_and_json(capsys):
    assert main(["audit", "--method", "trim"]) == 0
    text = capsys.readouterr().out
    assert "sign  DIFFER" in text
    assert "trim minus trim:paper" in text
    assert main(["audit", "--method", "trim", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert [table["method"] for table in data["methods"]] == ["trim"]
    assert {one["method"] for one in data["measured"]["differences"]} == {"trim"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--method", "trimm"], "did you mean 'trim'"),
        (["--outside", "--measure"], "leave out --measure"),
        (["--numbers", "nowhere.json"], "nowhere.json does not exist"),
        (["--measure", "--shard", "1/2"], "leave it out"),
    ],
)
def test_what_cannot_be_done_is_refused_in_one_line(capsys, arguments, message):
    assert main(["audit", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
