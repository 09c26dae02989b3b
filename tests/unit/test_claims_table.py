"""The table of claims in docs/ablations.md names every claim, and is filled from runs alone."""

import re
from pathlib import Path

from litelvlm.analysis.api import read_summary
from litelvlm.analysis.pages.claims_table import filled, verdicts_of
from litelvlm.analysis.studies.ablations import claims as ablations
from litelvlm.analysis.studies.ablations import official
from litelvlm.analysis.studies.confirmatory import HYPOTHESES
from litelvlm.analysis.studies.mechanism.probes import BASE, PROBES

PAGE = (Path(__file__).parents[2] / "docs" / "ablations.md").read_text(encoding="utf-8")


def ids_of(page):
    """Ids of all claims that the table names."""
    table = page[page.index("| request or claim |") :]
    cells = [line.split("|")[2] for line in table.splitlines() if line.count("|") == 5]
    return {id for cell in cells for id in re.findall(r"`([^`]+)`", cell)}


def test_every_claim_that_a_study_can_make_stands_in_the_table(saved_runs):
    pairs = {pair.id for pair in (*ablations.PAIRS, *official.PAIRS)}
    made = {claim.id for run in saved_runs.values() for claim in read_summary(run).claims}
    of_studies = {re.sub(r"@\d+$", "@K", id) for id in made}
    named = ids_of(PAGE)
    assert {*HYPOTHESES, *pairs, *(set(PROBES) - {BASE})} <= named
    assert {id for id in of_studies if not id.startswith("E")} <= named


def test_no_verdict_is_written_by_hand_and_runs_fill_them_in(saved_runs):
    assert filled(PAGE, {}) == PAGE[PAGE.index("| request or claim |") :]
    assert not re.search(r"\| (supported|not supported|undetermined)", PAGE)
    found = verdicts_of([saved_runs["sweep"], saved_runs["reversal"]])
    table = filled(PAGE, found)
    assert f" H1 {found['H1']}" in table
    budget = next(id for id in found if id.startswith("random@"))
    assert f"{budget} {found[budget]}" in table
