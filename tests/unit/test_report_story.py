"""A report opens with its story, explains its terms once and puts runs side by side."""

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest

from litelvlm.analysis.api import read_record, read_summary
from litelvlm.analysis.pages.report.claims import WIDTH, adjusted_in, cards, interval_plot
from litelvlm.analysis.pages.report.compare import run_labels
from litelvlm.analysis.pages.report.glossary import Explainer, Term, glossary_page, terms
from litelvlm.analysis.pages.report.opening import what_would_change_it
from litelvlm.analysis.pages.report.page import build_report
from litelvlm.analysis.runs.parts import read_part, write_part
from litelvlm.analysis.studies.stories import leading

ROOT = Path(__file__).parents[2]
VOID = {"meta", "img", "br", "hr", "input", "link"}


class Nesting(HTMLParser):
    """Whether every tag is closed where it must be, and which ids there are."""

    def __init__(self, text):
        super().__init__()
        self.open, self.ids, self.wrong = [], [], []
        self.feed(text)
        self.wrong += self.open

    def handle_starttag(self, tag, attrs):
        self.ids += [value for name, value in attrs if name == "id"]
        if tag not in VOID and tag not in ("p", "li", "dt", "dd", "tr", "td", "th"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.ids += [value for name, value in attrs if name == "id"]

    def handle_endtag(self, tag):
        if tag in ("p", "li", "dt", "dd", "tr", "td", "th"):
            return
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)


def text_of(page):
    return " ".join(re.sub(r"<[^>]+>", " ", page).split())


def altered(folder, out, model, verdict):
    """A copy of a run as if another model had made it, its first claim with another verdict."""
    copy = shutil.copytree(folder, out / f"{folder.name}-{model}")
    record = json.loads((copy / "run.json").read_text())
    record["model"]["name"], record["key"] = model, record["key"][::-1]
    (copy / "run.json").write_text(json.dumps(record))
    for path in (copy / "rows").iterdir():
        table, meta = read_part(path)
        write_part(path, table.to_pylist(), meta.model_copy(update={"key": record["key"]}))
    summary = json.loads((copy / "summary.json").read_text())
    summary["claims"][0]["verdict"] = verdict
    (copy / "summary.json").write_text(json.dumps(summary))
    return copy


@pytest.fixture(scope="module")
def two(saved_runs, tmp_path_factory):
    """A report of one study of two models."""
    folder = tmp_path_factory.mktemp("two")
    other = altered(saved_runs["sink"], folder, "another", "not supported")
    return build_report([saved_runs["sink"], other], folder / "out", {}).read_text()


@pytest.fixture
def whole(report):
    return report.read_text()


def test_every_tag_is_closed_and_every_id_is_there_once(whole, two):
    for page in (whole, two):
        found = Nesting(page)
        assert found.wrong == []
        assert len(found.ids) == len(set(found.ids))
        assert set(re.findall(r'href="#([^"]+)"', page)) <= set(found.ids)


def lead_of(summary):
    return leading(summary.study, summary.claims)


def test_the_plot_beside_an_answer_is_of_the_claim_that_it_tells(saved_runs):
    summary = read_summary(saved_runs["sink"])
    part = summary.claims[0].model_copy(update={"id": "H4.part", "verdict": "supported"})
    assert lead_of(summary.model_copy(update={"claims": (part, *summary.claims)})).id == "H4"
    budgets = [
        part.model_copy(update={"id": f"random@{budget}", "verdict": verdict})
        for budget, verdict in ((48, "undetermined"), (32, "not supported"), (8, "supported"))
    ]
    swept = summary.model_copy(update={"study": "sweep", "claims": tuple(budgets)})
    assert lead_of(swept).id == "random@8"
    assert lead_of(swept.model_copy(update={"claims": tuple(budgets[:2])})).id == "random@32"
    assert lead_of(swept.model_copy(update={"claims": ()})) is None


def test_two_models_stand_side_by_side(saved_runs, two, tmp_path):
    claims = read_summary(saved_runs["sink"]).claims
    beside = text_of(two.partition('id="beside"')[2].partition('id="verdicts"')[0])
    assert f"planted beside another: 1 of {len(claims)} claims have different verdicts" in beside
    assert beside.count("Verdicts differ.") == 1
    assert all(claim.statement in beside.replace("&#39;", "'") for claim in claims)
    alone = build_report([saved_runs["sink"]], tmp_path, {}).read_text()
    assert 'id="beside"' not in alone


def test_runs_are_told_apart_by_what_differs(saved_runs):
    record = read_record(saved_runs["sink"])
    later = record.model_copy(update={"commit": "f" * 40})
    limited = record.model_copy(update={"limit": 5})
    a, b, c = Path("a"), Path("b"), Path("c")
    assert run_labels({a: record}) == {a: ""}
    assert run_labels({a: record, b: limited}) == {a: "all images", b: "first 5 images"}
    few_clips = limited.model_copy(update={"data": record.data | {"samples": "clips"}})
    assert run_labels({a: record, b: few_clips}) == {a: "all images", b: "first 5 clips"}
    labels = run_labels({a: record, b: later})
    assert labels[b].startswith("commit fffffffff")
    assert len({*run_labels({a: record, b: later, c: limited}).values()}) == 3
    retrained = record.model_copy(update={"model": record.model | {"digest": "a" * 64}})
    assert run_labels({a: record, b: retrained})[b] == "weights aaaaaaaaaaaa"
    google = record.model_copy(update={"data": record.data | {"split_by": "google"}})
    assert run_labels({a: record, b: google})[b] == "split by google"


def test_what_would_change_it_names_open_hypotheses_and_limits(saved_runs):
    record, summary = read_record(saved_runs["sink"]), read_summary(saved_runs["sink"])
    limited = record.model_copy(update={"limit": 5})
    told = " ".join(what_would_change_it([limited], {"sink": summary}))
    assert "Only the first 5 of those that a study takes were read (--limit)" in told
    more = [limited, record.model_copy(update={"limit": 3}), record]
    told_of_all = " ".join(what_would_change_it(more, {"sink": summary}))
    assert (
        "Only the first 3 or 5 of those that a study takes were read by some of the runs"
        in told_of_all
    )
    assert f"H4 of sink ({summary.claims[0].power})" in told


def test_a_card_says_what_adjustment_leaves(saved_runs):
    record = read_record(saved_runs["sink"])
    lines = [
        {"id": "H4", "verdict": "undetermined", "alone": "supported", "adjusted": "0.2"},
        {"id": "H6", "verdict": "supported", "alone": "supported", "adjusted": "0.001"},
    ]
    family = {
        "title": "model planted ffffffff, data planted val (none)",
        "lines": lines,
        "problem": "",
    }
    found = adjusted_in([family, family | {"title": "another", "lines": lines[1:]}], record)
    assert found == {"H4": ("undetermined", "0.2")}
    open_, folded = cards(read_summary(saved_runs["sink"]), found)
    assert open_[0]["adjusted"] == "undetermined (p 0.2 after adjustment)"
    assert open_[0]["left"] == "undetermined"
    assert all(card["left"] == card["verdict"] for card in open_[1:] + folded)
    assert len(open_) + len(folded) == len(read_summary(saved_runs["sink"]).claims)


def test_a_plot_shows_the_intervals_in_order(saved_runs):
    claims = read_summary(saved_runs["reversal"]).claims
    plots = [plot for plot in map(interval_plot, claims) if plot]
    assert plots
    for plot in plots:
        ends = (plot.wide_low, plot.low, plot.high, plot.wide_high)
        assert list(ends) == sorted(ends)
        assert all(0 < place < WIDTH for place in (*ends, plot.null, plot.estimate))
    claim = claims[0].model_copy(update={"low": float("nan")})
    assert interval_plot(claim) is None


def test_claims_on_one_axis_can_be_compared(saved_runs):
    claim = read_summary(saved_runs["sink"]).claims[0]
    numbers = ("estimate", "low", "high")
    higher = claim.model_copy(
        update={name: getattr(claim, name) + 1 for name in numbers}
        | {"low_categories": float("nan"), "high_categories": float("nan")}
    )
    first, second = interval_plot(claim, [higher]), interval_plot(higher, [claim])
    assert first.null == second.null
    assert first.estimate < second.estimate


def test_the_page_of_the_glossary_is_the_one_that_the_terms_make():
    assert (ROOT / "docs" / "glossary.md").read_text() == glossary_page()
    assert len({term.anchor for term in terms()}) == len(terms())


def test_a_term_is_linked_where_it_occurs_first_and_markup_is_escaped():
    explain = Explainer(
        [Term("Null", ("null", "nulls"), 'No *effect*, see [verdict](#verdict) "x"')]
    )
    first = explain("<b>The Null</b> and the null")
    assert str(first) == (
        '&lt;b&gt;The <a class="term" href="#null" '
        'title="No effect, see verdict &#34;x&#34;">Null</a>&lt;/b&gt; and the null'
    )
    assert str(explain("nulls again")) == "nulls again"
    assert str(Explainer(explain.terms)("nullify, non-null")) == "nullify, non-null"
    assert 'No <em>effect</em>, see <a href="#verdict">verdict</a>' in explain.terms[0].html
