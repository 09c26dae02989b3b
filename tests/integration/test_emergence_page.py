"""The claims of the stored rows, and the table of stage C, which is that of the rows."""

import re
from pathlib import Path

import pandas as pd
import pytest

from litelvlm.analysis.studies.emergence import Config, make_claims, make_tables
from litelvlm.analysis.studies.emergence.store import bundled_files

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "emergence.md"
CHANGE = ["difference", "difference_low", "difference_high"]


@pytest.fixture(scope="module")
def rows():
    parts = [pd.read_parquet(path) for path in bundled_files()]
    return pd.concat(parts, ignore_index=True).astype({"value": float, "sd": float})


@pytest.fixture(scope="module")
def tables(rows):
    return make_tables(rows, Config())


@pytest.fixture(scope="module")
def claims(rows):
    return {claim.id: claim for claim in make_claims(rows, Config())}


def interval(values):
    value, low, high = (f"{v:+.2f}" for v in values)
    return f"{value} [{low}, {high}]"


def table_under(text):
    """Cells of the lines of the first table below a piece of the page."""
    found = PAGE.read_text().split(text, 1)[1]
    table = re.search(r"(?:^\|.*\n)+", found, re.MULTILINE).group().splitlines()[2:]
    return [[part.strip() for part in line.strip("|").split("|")] for line in table]


def test_the_stored_rows_support_these_claims_and_no_others(claims):
    assert len(claims) == 123
    assert {id for id, claim in claims.items() if claim.verdict == "supported"} == {
        *("A.sink.rate", "B.reversal.pooling", "base.reversal.C"),
        *("C.reversal.helper-0.3_helper_from-0.25", "C.reversal_true.helper-0.3_helper_from-0.25"),
        *("C.sink.scope-object", "C.sink.sos_loss-1.0", "mediator.cells"),
        *("gain.follows", "gain.follows.cells", "gain.negative"),
    }
    assert claims["sink.made.C"].verdict == "undetermined"
    few = [claim for id, claim in claims.items() if id.startswith("C.") and claim.n < 5]
    assert {claim.verdict for claim in few} == {"undetermined"}
    assert not any(id.startswith(("D.reversal", "base.reversal.D")) for id in claims)


def test_changes_of_stage_c_are_those_of_the_rows(tables, claims):
    cells = tables["cells"].set_index(["stage", "cell", "outcome"]).loc["C"]
    lines = table_under("**Bold: the claim is supported.**")
    assert len(lines) == 9
    for _, name, n, *shown in lines:
        cell = name.strip("`")
        assert int(n) == cells.loc[(cell, "sink"), "n"]
        for outcome, text in zip(("reversal", "reversal_true", "sink"), shown, strict=True):
            bold = "**" if claims[f"C.{outcome}.{cell}"].verdict == "supported" else ""
            expected = interval(cells.loc[(cell, outcome), CHANGE])
            assert text == f"{bold}{expected}{bold}", (cell, outcome)
