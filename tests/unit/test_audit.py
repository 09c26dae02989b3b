"""The audit: entries are whole and unique, their readings exist, and its numbers are computed."""

import json
import tomllib
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from planted import PlantedModel, planted_data

from litelvlm import get_pruner
from litelvlm.analysis.cli import main
from litelvlm.analysis.pages.audit.draws import DRAWS, Draws
from litelvlm.analysis.pages.audit.measured import (
    bundled,
    conditions,
    measure,
    read_measured,
    shown,
)
from litelvlm.analysis.pages.audit.page import audit_page
from litelvlm.analysis.pages.audit.statements import READ, VERDICTS, audited, chosen, parse_table
from litelvlm.analysis.pages.audit.text import audit_text, draws_for, found_for
from litelvlm.analysis.runs.parts import read_rows
from tests.study_inputs import Method

ENTRIES = [(table, statement) for table in audited() for statement in table.statement]
IDS = [f"{table.method}-{statement.id}" for table, statement in ENTRIES]
TABLES = resources.files("litelvlm.analysis.pages.audit") / "tables"
DOCS = Path(__file__).parents[2] / "docs"
SMALL = """
method = "litelvlm"
paper = "a paper"
repository = "owner/name"

[[statement]]
id = "direction"
claim = "Lowest first."
where = "section 3"
basis = "seen"
code = "So."
sources = [{ file = "a.py", lines = "3", commit = "0123456789012345678901234567890123456789" }]
verdict = "agree"
compared = "lowest against highest"
first = "litelvlm"
second = "litelvlm(direction=highest)"

[[statement]]
id = "order"
claim = "No statement."
where = "none known"
basis = "none"
code = "Context first."
sources = [{ file = "a.py", symbol = "f", commit = "0123456789012345678901234567890123456789" }]
verdict = "code alone"
compared = "native against raster order"
protocol = "conversation"
first = "litelvlm"
second = "litelvlm(order=raster)"
"""
DRAWN = (
    """protocol = "conversation"
first = "litelvlm"
second = "litelvlm(order=raster)"
""",
    """protocol = "official"
drawn = "litelvlm"
""",
)


def test_a_summary_by_others_carries_a_verdict_and_is_counted_apart():
    table = parse_table("small.toml", SMALL.replace('basis = "seen"', 'basis = "quoted"'))
    page = " ".join(audit_page([table], None).split())
    assert "1 of the 1 statements have a verdict; 0 were read in the paper's text" in page
    assert "1 in summaries by others, 0 come from this project's notes" in page
    differing = SMALL.replace('"seen"', '"quoted"').replace('"agree"', '"differ"')
    page = " ".join(audit_page([parse_table("small.toml", differing)], None).split())
    assert "In 1 of these 1 entries the paper's side comes from notes or summaries." in page


def test_most_statements_were_read_and_few_are_left_open():
    verdicts = [statement.verdict for _, statement in ENTRIES]
    assert verdicts.count("not verified") <= 4
    assert all(statement.basis != "memory" for _, statement in ENTRIES)


def test_ten_methods_and_forty_statements_of_their_papers():
    assert len(audited()) >= 10
    assert sum(statement.verdict != "code alone" for _, statement in ENTRIES) >= 40
    assert len(set(IDS)) == len(IDS)


def test_entries_do_not_repeat_each_other():
    texts = [(table.method, s.code, s.claim) for table, s in ENTRIES]
    assert len(set(texts)) == len(texts)


@pytest.mark.parametrize(("table", "statement"), ENTRIES, ids=IDS)
def test_an_entry_names_its_sources_and_rests_its_verdict_on_a_reading(table, statement):
    assert statement.verdict in VERDICTS
    for source in statement.sources:
        assert "/" in table.repository_of(source)
        assert len(source.commit) == 40
        assert source.place
    if statement.verdict in ("agree", "differ", "paper open"):
        assert statement.basis in READ
    for label, _ in statement.readings:
        assert Method.parse(label).pruner().name in {table.method, "divprune", "fastervlm"} | {
            "sparsevlm_plus"
        }


def test_the_own_disagreements_of_litelvlm_are_there():
    (own,) = chosen("litelvlm")
    assert {"text", "several-texts", "context-score", "order", "draws", "centre-crop"} <= {
        statement.id for statement in own.statement
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (('basis = "seen"', 'basis = "memory"'), "needs a reading of the paper"),
        (('basis = "none"', 'basis = "seen"'), "belong together"),
        (('id = "order"', 'id = "direction"'), "occur twice: direction"),
        (('where = "section 3"\n', ""), "statement.0.where"),
        (('code = "So."', 'code = ""'), "statement.0.code"),
        (("direction=highest", "direction=higher"), "higher"),
        (('second = "litelvlm(direction=highest)"\n', ""), "compared, first and second"),
        (('protocol = "conversation"', 'drawn = "litelvlm"'), "protocol 'official'"),
        (('protocol = "conversation"', 'unmeasured = "No reading."'), "the reason why"),
        ((SMALL[SMALL.index('compared = "n') :], ""), "the reason why there is none"),
        (("litelvlm(direction=highest)", "litelvlm"), "both readings"),
        (('lines = "3"', 'lines = "about 3"'), "about 3"),
        (('lines = "3", ', ""), "lines or a symbol"),
        (('method = "litelvlm"', 'method = "litelvm"'), "litelvlm"),
        (('commit = "0123', 'commit = "main'), "commit"),
        (('compared = "l', 'pages = 3\ncompared = "l'), "pages"),
        (("[[statement]]", "[statement"), "not TOML"),
    ],
)
def test_an_unsound_file_is_refused_by_name(change, message):
    assert len(parse_table("small.toml", SMALL).statement) == 2
    with pytest.raises(ValueError, match=r"small\.toml") as refused:
        parse_table("small.toml", SMALL.replace(*change, 1))
    assert message in str(refused.value)


def test_every_file_is_named_after_its_method():
    for file in TABLES.iterdir():
        if file.name.endswith(".toml"):
            assert tomllib.loads(file.read_text(encoding="utf-8"))["method"] == file.name[:-5]


def test_every_reading_is_in_exactly_the_sweeps_that_need_it():
    needed = conditions(audited())
    for _, statement in ENTRIES:
        for label, options in statement.readings:
            labels = [method.label for method in needed[(statement.protocol, options)]]
            assert labels.count(Method.parse(label).label) == 1
        if statement.drawn:
            assert statement.drawn in [m.label for m in needed[("official", ())]]


def test_planted_differences_come_back(tmp_path):
    table = parse_table("small.toml", SMALL)
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
    page = audit_page([table], measured)
    assert f"{direction.ciou[0]:.3f} and 0.000" in page


def test_options_of_the_model_are_a_condition_of_their_own():
    text = SMALL.replace(
        'second = "litelvlm(direction=highest)"',
        'second = "litelvlm"\nsecond_options = ["crop=pad"]',
    )
    needed = conditions([parse_table("small.toml", text)])
    assert {place.options for place in needed} == {(), ("crop=pad",)}
    assert shown("litelvlm", ("crop=pad",)) == "litelvlm [crop=pad]"


def test_a_method_without_two_readings_cannot_be_measured(tmp_path):
    with pytest.raises(ValueError, match="no statement about divprune"):
        measure(chosen("divprune"), lambda options: PlantedModel(), planted_data(2), (8,), tmp_path)


def test_the_bundled_numbers_are_of_these_statements_and_adjusted_together():
    measured = read_measured(bundled())
    known = {(table.method, s.id): s for table, s in ENTRIES}
    for one in measured.differences:
        statement = known[one.method, one.id]
        assert (one.first, one.second) == tuple(shown(*r) for r in statement.readings)
        if one.refused:
            assert one.delta is None
            continue
        assert one.ciou is not None
        assert one.delta == pytest.approx(one.ciou[0] - one.ciou[1])
        assert one.p <= one.p_holm <= 1
    measurable = [(t, s) for t, s in ENTRIES if s.measurable]
    assert all(found_for(measured, t, s) for t, s in measurable)


def test_the_page_is_made_of_the_files_and_the_numbers():
    # `litelvlm audit --pages docs` writes it; nobody edits it.
    page = (DOCS / "audit.md").read_text(encoding="utf-8")
    assert page == audit_page(audited(), read_measured(bundled()))


def test_the_page_says_what_adjustment_leaves():
    measured = read_measured(bundled())
    page = audit_page(audited(), measured)
    blocks = [" ".join(block.split()) for block in page.split("\n\n")]
    (settled,) = [block for block in blocks if "left after the adjustment" in block]
    left = [one for one in measured.differences if one.p_holm is not None and one.p_holm <= 0.05]
    tested = [one for one in measured.differences if one.p_holm is not None]
    assert settled.startswith(f"**{len(left)} of {len(tested)} differences")
    assert all(f"`{one.method}` {one.id} at {one.budget}" in settled for one in left)
    assert settled.count(" at ") == len(left) > 0


def test_every_entry_has_a_measurement_or_a_reason_on_the_page():
    measured = read_measured(bundled())
    page = audit_page(audited(), measured)
    for table, statement in ENTRIES:
        numbers = [one for one in found_for(measured, table, statement) if one.delta is not None]
        drawn = draws_for(measured, table, statement)
        line = f"| {table.method} | {statement.id} | {statement.verdict} | {statement.unmeasured} |"
        if statement.unmeasured:
            assert not numbers
            assert not drawn
            assert statement.unmeasured.endswith(".")
            assert line in page.splitlines()
        else:
            assert numbers or drawn, f"{table.method} {statement.id}"


def test_nearly_every_statement_of_a_paper_has_file_and_lines_at_a_commit():
    placed = [
        statement
        for _, statement in ENTRIES
        if statement.verdict != "code alone" and all(source.lines for source in statement.sources)
    ]
    assert len(placed) >= 40
    whole = sum(all(source.lines for source in s.sources) for _, s in ENTRIES)
    assert f"{whole} of {len(ENTRIES)} entries name file, lines" in audit_page(audited(), None)


def test_repeated_draws_are_the_scores_of_single_runs(tmp_path):
    table = parse_table("small.toml", SMALL.replace(*DRAWN))
    data = planted_data(3)
    measured = measure([table], lambda options: PlantedModel(), data, (8,), tmp_path)
    own, whole = measured.draws
    assert (own.reading, own.budget) == ("litelvlm", 8)
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
    assert len(own.ciou) == DRAWS
    assert {one.id for one in measured.differences} == {"direction"}
    assert f"{DRAWS} runs from" in audit_text([table], measured)
    page = audit_page([table], measured)
    assert "### What unseeded draws move" in page
    assert f"| {DRAWS} | {own.mean:.3f} |" in page


def test_the_interval_of_a_deviation_holds_the_true_one_as_often_as_it_says():
    draw = np.random.default_rng(0)
    common = {"method": "m", "id": "i", "budget": 8, "reading": "m"}
    several = [Draws(**common, ciou=tuple(draw.normal(0.5, 0.02, 16).tolist())) for _ in range(400)]
    held = sum(one.interval[0] <= 0.02 <= one.interval[1] for one in several)
    assert 0.92 <= held / 400 <= 0.98
    assert several[0].deviation == pytest.approx(np.std(several[0].ciou, ddof=1))


def test_a_source_is_a_link_to_its_lines_at_its_commit():
    (trim,) = chosen("trim")
    page = audit_page([trim], None)
    source = trim.statement[0].sources[0]
    address = f"https://github.com/FreedomIntelligence/TRIM/blob/{source.commit}/{source.file}"
    assert f"({address}#L161-L165)" in page
    assert "*Told:* Issue FreedomIntelligence/TRIM#3" in page


def test_the_command_prints_text_json_and_pages(capsys, tmp_path):
    assert main(["audit", "--method", "trim"]) == 0
    text = capsys.readouterr().out
    assert "sign  DIFFER" in text
    assert "trim minus trim:paper" in text
    assert main(["audit", "--method", "trim", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert [table["method"] for table in data["methods"]] == ["trim"]
    assert {one["method"] for one in data["measured"]["differences"]} == {"trim"}
    assert main(["audit", "--pages", str(tmp_path / "pages")]) == 0
    assert sorted(path.name for path in (tmp_path / "pages").iterdir()) == [
        "audit.md", "outside-numbers.md",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--method", "trimm"], "did you mean 'trim'"),
        (["--outside", "--measure"], "leave out --measure"),
        (["--pages", "x", "--method", "trim"], "leave out --method"),
        (["--numbers", "nowhere.json"], "nowhere.json does not exist"),
        (["--measure", "--shard", "1/2"], "leave it out"),
    ],
)
def test_what_cannot_be_done_is_refused_in_one_line(capsys, arguments, message):
    assert main(["audit", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_a_preset_that_an_entry_names_is_one_of_the_class():
    for _, statement in ENTRIES:
        for label, _ in statement.readings:
            method = Method.parse(label)
            assert method.preset in {"faithful", "gap", *get_pruner(method.name).presets}
