"""The report says everything, links to what is there and stays offline.

It runs no text it is given.
"""

import json
import re
import shutil
from html.parser import HTMLParser
from io import BytesIO
from urllib.parse import unquote

import pandas as pd
import pytest
from PIL import Image

from litelvlm.analysis.api import read_record, read_rows, read_summary
from litelvlm.analysis.cli.text import run_text
from litelvlm.analysis.pages.report.claims import families
from litelvlm.analysis.pages.report.page import build_report, inside_page
from litelvlm.analysis.pages.report.tables import by_budget, with_intervals
from litelvlm.analysis.runs.formatting import grid
from litelvlm.analysis.studies.confirmatory import confirmatory
from litelvlm.analysis.studies.published import STATEMENTS, efficiency


class Page(HTMLParser):
    """Tags with their attributes, and the text."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.words = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())

    def values(self, attribute):
        return [attrs[attribute] for _, attrs in self.tags if attribute in attrs]


@pytest.fixture(scope="module")
def page(report):
    return Page(report.read_text())


def change(folder, name, change_text):
    path = folder / name
    path.write_text(change_text(path.read_text()))


@pytest.fixture
def copied(saved_runs, tmp_path):
    """A copy of the sink run that may be altered."""
    return shutil.copytree(saved_runs["sink"], tmp_path / saved_runs["sink"].name)


def test_every_claim_stands_there_with_verdict_interval_and_n(saved_runs, page):
    for folder in saved_runs.values():
        for claim in read_summary(folder).claims:
            assert claim.statement in page.text
            assert f"{claim.n} samples from {claim.n_images} images" in page.text
            assert claim.null_description in page.text
    verdicts = [
        attrs["class"] for _, attrs in page.tags if attrs.get("class", "").startswith("verdict ")
    ]
    assert len(verdicts) == sum(len(read_summary(folder).claims) for folder in saved_runs.values())


def test_a_claim_that_failed_stays_in_the_report(copied, tmp_path):
    change(copied, "summary.json", lambda text: text.replace('"undetermined"', '"not supported"'))
    page = Page(build_report([copied], tmp_path / "out", {}).read_text())
    assert "verdict not-supported" in page.values("class")
    assert read_summary(copied).claims[0].statement in page.text


def test_the_eight_hypotheses_stand_there_adjusted_together(saved_runs, page):
    claims = [claim for folder in saved_runs.values() for claim in read_summary(folder).claims]
    table = confirmatory(claims)
    shown = [
        attrs["class"] for _, attrs in page.tags if attrs.get("class", "").startswith("adjusted ")
    ]
    assert shown == [f"adjusted {verdict.replace(' ', '-')}" for verdict in table["verdict"]]
    assert shown.count("adjusted not-tested") == 8 - len(
        {claim.id for claim in claims} & set(table["id"])
    )
    assert "model planted ffffffff, data planted val (none)" in page.text


def test_two_runs_of_one_hypothesis_are_not_adjusted_together(saved_runs, copied, tmp_path):
    page = Page(build_report([saved_runs["sink"], copied], tmp_path / "out", {}).read_text())
    assert "H4 occurs twice" in page.text
    assert "adjusted" not in {attrs.get("class", "").partition(" ")[0] for _, attrs in page.tags}


def test_other_weights_of_one_name_are_a_family_of_their_own(saved_runs):
    records = {run: read_record(run) for run in (saved_runs["sink"], saved_runs["sweep"])}
    summaries = {run: read_summary(run) for run in records}
    (_,) = families(records, summaries)
    for name, changes in (("model", {"digest": "a" * 64}), ("data", {"split_by": "umd"})):
        record = records[saved_runs["sweep"]]
        other = record.model_copy(update={name: getattr(record, name) | changes})
        first, second = families(records | {saved_runs["sweep"]: other}, summaries)
        assert [line["id"] for line in first["lines"] if line["n"]] == ["H4"]
        assert first["title"] != second["title"]


def test_runs_of_one_folder_name_keep_their_own_files(saved_runs, copied, tmp_path):
    twin = shutil.copytree(copied, tmp_path / "other" / copied.name)
    change(twin, "summary.json", lambda text: text.replace('"partial": false', '"partial": true'))
    out = tmp_path / "out"
    build_report([copied, twin], out, {})
    for run, name in ((copied, copied.name), (twin, f"{copied.name}-2")):
        assert (out / "data" / name / "summary.json").read_bytes() == (
            run / "summary.json"
        ).read_bytes()


def test_a_long_table_is_cut_on_the_page_and_whole_in_its_file(copied, tmp_path, monkeypatch):
    monkeypatch.setattr("litelvlm.analysis.pages.report.tables.LONGEST", 2)
    report = build_report([copied], tmp_path / "out", {})
    lines = len(read_summary(copied).table("grid"))
    assert lines > 2
    assert f"grid (the first 2 of {lines} lines)" in Page(report.read_text()).text
    (path,) = report.parent.glob("data/*/grid.csv")
    assert len(pd.read_csv(path)) == lines


def test_links_lead_to_files_beside_the_page(saved_runs, report, page):
    files = [unquote(link) for link in page.values("href") if not link.startswith("#")]
    assert files
    for link in files:
        assert not link.startswith(("..", "/"))  # the folder can be moved
        assert (report.parent / link).is_file(), link
    anchors = {link[1:] for link in page.values("href") if link.startswith("#")}
    assert anchors <= set(page.values("id"))
    copied = pd.read_parquet(report.parent / "data" / saved_runs["sweep"].name / "rows.parquet")
    pd.testing.assert_frame_equal(copied, read_rows(saved_runs["sweep"]))


def test_photographs_take_less_space_inside_the_page_and_lines_stay_lines(tmp_path):
    png, svg = tmp_path / "a.png", tmp_path / "a.svg"
    Image.new("RGB", (600, 400)).save(png)
    svg.write_bytes(b"<svg/>" + bytes(png.stat().st_size))
    kind, data = inside_page(svg, png)
    assert (kind, Image.open(BytesIO(data)).size) == ("image/webp", (600, 400))
    svg.write_bytes(b"<svg/>")
    assert inside_page(svg, png) == ("image/svg+xml", b"<svg/>")


def test_runs_stand_in_the_order_of_the_studies_whatever_order_they_are_given_in(
    saved_runs, tmp_path
):
    given = [saved_runs[name] for name in ("sweep", "sink", "reversal")]
    text = build_report(given, tmp_path / "out", {}).read_text()
    places = [text.index(f'<section id="{run.name}') for run in reversed(given)]
    assert places == sorted(places)


def test_nothing_comes_from_the_network(report, page):
    assert re.findall(r"(?:src|href)=.?https?:", report.read_text()) == []
    assert not {"script", "link", "iframe", "object"} & {tag for tag, _ in page.tags}
    (policy,) = [
        attrs["content"]
        for _, attrs in page.tags
        if attrs.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policy.startswith("default-src 'none'")


def test_text_from_data_is_shown_and_not_run(copied, tmp_path):
    attack = "<script>alert(1)</script>"
    change(
        copied, "run.json", lambda text: text.replace('"name": "planted"', f'"name": "{attack}"')
    )
    change(
        copied,
        "summary.json",
        lambda text: text.replace("uniform attention over", f"{attack} over"),
    )
    text = build_report([copied], tmp_path / "out", {}).read_text()
    assert "<script" not in text
    assert text.count("&lt;script&gt;alert(1)&lt;/script&gt;") >= 2


def test_the_miniature_says_so_and_others_do_not(copied, page, tmp_path):
    # the record's command is on the page and may hold the word
    assert "(miniature)" not in page.text
    assert "Miniature." not in page.text
    change(
        copied,
        "run.json",
        lambda text: text.replace('"family": "other"', '"family": "miniature"', 1),
    )
    marked = Page(build_report([copied], tmp_path / "out", {}).read_text())
    assert "It is not evidence about OpenAI's CLIP" in marked.text
    assert "sink (miniature)" in marked.text


def test_a_record_that_does_not_tell_is_refused(copied, tmp_path):
    change(copied, "run.json", lambda text: text.replace('"family": "other",', "", 1))
    with pytest.raises(ValueError, match="run its command again"):
        build_report([copied], tmp_path / "out", {})


def test_a_run_without_all_parts_is_reported_as_such(copied, tmp_path):
    record = read_record(copied)
    parts = f'"parts_done": {record.parts_done}'
    change(copied, "run.json", lambda text: text.replace(parts, '"parts_done": 0'))
    (copied / "summary.json").unlink()
    page = Page(build_report([copied], tmp_path / "out", {}).read_text())
    assert f"parts are missing, 0 of {record.n_parts} are there" in page.text
    assert "there is no verdict" in page.text


def test_failed_samples_and_limits_are_named(copied, tmp_path):
    change(
        copied,
        "run.json",
        lambda text: text.replace('"failures": []', '"failures": ["image 3: broken"]'),
    )
    change(copied, "run.json", lambda text: text.replace('"limit": null', '"limit": 8'))
    page = Page(build_report([copied], tmp_path / "out", {}).read_text())
    assert "limited to the first 8 images of those that the study takes" in page.text
    assert "image 3: broken" in page.text


def test_published_numbers_are_marked_and_apart(page):
    before, _, after = page.text.partition("Published by the authors")
    assert all(statement in after and statement not in before for statement in STATEMENTS)
    ours = after.partition("Measured here")[2]
    assert "340.89" in after.partition("Measured here")[0]
    assert "340.89" not in ours
    assert "that is kept (one-sided 95 % bound)" in ours
    assert "do not subtract them" in ours


def test_a_budget_that_a_method_refuses_is_said_and_a_method_that_refuses_all_has_its_row():
    lines = [("a", 48, 0.5), ("a", 8, 0.25), ("b", 48, 0.75), ("none", 144, 0.9)]
    table = pd.DataFrame(lines, columns=["method", "budget", "value"]).assign(low=0.125, high=1.0)
    found = by_budget("t", with_intervals(table), refused=[("b", 8), ("c", 48), ("c", 8)])
    assert found.heads == ("method", "48 tokens", "8 tokens", "144 tokens")
    assert [[cell.text for cell in row] for row in found.rows] == [
        ["none", "", "", "0.9 [0.125, 1]"],
        ["b", "0.75 [0.125, 1]", "refused", ""],
        ["a", "0.5 [0.125, 1]", "0.25 [0.125, 1]", ""],
        ["c", "refused", "refused", ""],
    ]


def test_what_a_record_notes_stands_on_the_page_and_in_the_terminal(saved_runs, tmp_path):
    folder = shutil.copytree(saved_runs["sweep"], tmp_path / saved_runs["sweep"].name)
    reason = "fastv cannot average {} of 144; the smallest budget is 37"
    excluded = [
        {"method": "fastv", "budget": budget, "reason": reason.format(budget)} for budget in (16, 8)
    ]
    changes = {"notes": ["image 3: memory ran out"], "excluded": excluded}
    record = json.loads((folder / "run.json").read_text()) | changes
    (folder / "run.json").write_text(json.dumps(record))
    together = f"left out: fastv@16, fastv@8: {reason.format('16/8')}"
    page = Page(build_report([folder], tmp_path / "out", {}).read_text())
    assert all(text in page.text for text in (together, "image 3: memory ran out", "fastv refused"))
    told = run_text(folder)
    assert f"  note: image 3: memory ran out\n  note: {together}\n" in told


def test_published_headlines_follow_from_the_published_rows():
    printed = efficiency().set_index(["quantity", "method", "tokens"])["value"]
    values = printed.astype(float).to_dict()
    time = [
        values["CUDA time (ms)", "LiteLVLM", tokens] / values["CUDA time (ms)", "unpruned", 576]
        for tokens in (192, 64)
    ]
    memory = "stored activations (GB)"
    shrink = [
        values[memory, "unpruned", 576] / values[memory, "LiteLVLM", tokens] for tokens in (192, 64)
    ]
    # 1 - 265.83/340.89 = .220, 1 - 237.35/340.89 = .304; .81/.35 = 2.31, .81/.21 = 3.86
    assert [round(100 * (1 - share)) for share in time] == [22, 30]
    assert [round(factor, 1) for factor in shrink] == [2.3, 3.9]


def test_tables_put_a_value_and_its_interval_into_one_cell():
    table = grid(
        "t",
        pd.DataFrame(
            {"name": ["a"], "delta": [0.25], "low": [0.1], "high": [float("nan")], "n": [7]}
        ),
    )
    assert table.heads == ("name", "delta [interval]", "n")
    assert [cell.text for cell in table.rows[0]] == ["a", "0.25 [no interval]", "7"]
    assert [cell.numeric for cell in table.rows[0]] == [False, True, True]
