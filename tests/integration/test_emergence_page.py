"""The page on the family says what its stored rows say."""

import re
from pathlib import Path

import pandas as pd
import pytest

from litelvlm.analysis.studies.emergence.claims import make_claims
from litelvlm.analysis.studies.emergence.rows import Config
from litelvlm.analysis.studies.emergence.store import bundled_files
from litelvlm.analysis.studies.emergence.tables import make_tables

PAGE = Path(__file__).parents[2] / "docs" / "emergence.md"


@pytest.fixture(scope="module")
def rows():
    parts = [pd.read_parquet(path) for path in bundled_files()]
    return pd.concat(parts, ignore_index=True).astype({"value": float, "sd": float})


@pytest.fixture(scope="module")
def tables(rows):
    return make_tables(rows, Config().gate)


@pytest.fixture(scope="module")
def page():
    return re.sub(r"\s+", " ", PAGE.read_text())


def rounded(value, signed=False):
    text = f"{value:+.2f}" if signed else f"{value:.2f}"
    return text.replace("-0.00", "0.00") if not signed else text


def interval(value, low, high, signed=False):
    return f"{rounded(value, signed)} [{rounded(low, signed)}, {rounded(high, signed)}]"


def test_claims_on_the_page_are_those_of_the_rows(rows, page):
    claims = {claim.id: claim for claim in make_claims(rows, Config())}
    for id in ("base.reversal.C", "sink.made.C", "sink.added", "together", "gain.follows"):
        claim = claims[id]
        assert interval(claim.estimate, claim.low, claim.high) in page, id
    hidden = claims["sink.causes"]
    assert f"{-hidden.estimate:+.3f} [{-hidden.high:+.3f}, {-hidden.low:+.3f}]" in page
    for id in ("A.sink.rate", "B.reversal.pooling", "B.reversal.scope", "A.sink.uninformative"):
        claim = claims[id]
        assert interval(claim.estimate, claim.low, claim.high, signed=True) in page, id


def test_changes_on_the_page_are_those_of_the_tables(tables, page):
    cells = tables["cells"].set_index(["stage", "cell", "outcome"]).loc["C"]
    for cell in ("helper-1.0", "pooling-mean", "uninformative-0.5", "sos_loss-1.0", "scope-object"):
        for outcome in ("reversal", "reversal_true", "sink"):
            line = cells.loc[(cell, outcome)]
            ends = line["difference"], line["difference_low"], line["difference_high"]
            assert interval(*ends, signed=True) in page, (cell, outcome)
    crossed = tables["crossed"].set_index(["stage", "cell"]).loc["C"]
    for cell in ("helper-1.0", "helper-0.3", "pooling-mean", "sos_loss-1.0"):
        line = crossed.loc[cell]
        ends = line["difference"], line["difference_low"], line["difference_high"]
        assert interval(*ends, signed=True) in page, cell


def test_counts_on_the_page_are_those_of_the_rows(tables, page):
    outcomes = tables["outcomes"]
    assert f"The package holds the rows of {len(outcomes)} trainings" in page
    stage = outcomes[outcomes["stage"] == "C"]
    assert f"({len(stage)} trainings; all learned but the {(~stage['learned']).sum()} with" in page
    natural = outcomes[(outcomes["sos_loss"] == 0) & ~outcomes["repeated"]]
    high = natural[natural["largest_layer"] > 2]
    assert f"In {len(high)} of {len(natural)} trainings one layer" in page
    joined = stage[stage["cell"] == "scope-object_filler-20_uninformative-0.5"]
    lifts = joined["largest_layer_uninformative"]
    assert f"{lifts.min():.1f} to {lifts.max():.1f} times its uniform share" in page
