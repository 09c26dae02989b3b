"""The claims of the stored rows, and the table of stage C, which is that of the rows."""

import re
from pathlib import Path

import pandas as pd
import pytest

from litelvlm.analysis.stats.trainings import t_estimate
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
    wrapped = r"\s+".join(map(re.escape, text.split()))
    found = re.split(wrapped, PAGE.read_text(), maxsplit=1)[1]
    table = re.search(r"(?:^\|.*\n)+", found, re.MULTILINE).group().splitlines()[2:]
    return [[part.strip() for part in line.strip("|").split("|")] for line in table]


def test_the_stored_rows_support_these_claims_and_no_others(claims):
    assert len(claims) == 128
    assert {id for id, claim in claims.items() if claim.verdict == "supported"} == {
        *("A.sink.rate", "B.reversal.pooling", "base.reversal.C"),
        *("C.reversal.helper-0.3_helper_from-0.25", "C.reversal_true.helper-0.3_helper_from-0.25"),
        *("C.sink.scope-object", "C.sink.sos_loss-1.0", "mediator.cells"),
        *("C.reversal.helper-0.3", "C.reversal_true.helper-0.3", "C.reversal.pooling-mean"),
        *("C.reversal.helper-1.0", "C.reversal_true.helper-1.0"),
        *("gain.follows", "gain.follows.cells", "gain.negative"),
        *("gain.value", "value.lowest", "value.grid", "value.text"),
    }
    assert claims["sink.made.C"].verdict == "undetermined"
    few = [claim for id, claim in claims.items() if id.startswith("C.") and claim.n < 5]
    assert {claim.verdict for claim in few} == {"undetermined"}
    assert not any(id.startswith(("D.reversal", "base.reversal.D")) for id in claims)


def test_changes_of_stage_c_are_those_of_the_rows(tables, claims):
    cells = tables["cells"].set_index(["stage", "cell", "outcome"]).loc["C"]
    lines = table_under("**Bold: the claim is supported.**")
    assert len(lines) == 11
    for _, name, n, *shown in lines:
        cell = name.strip("`")
        assert int(n) == cells.loc[(cell, "sink"), "n"]
        for outcome, text in zip(("reversal", "reversal_true", "sink"), shown, strict=True):
            bold = "**" if claims[f"C.{outcome}.{cell}"].verdict == "supported" else ""
            expected = interval(cells.loc[(cell, outcome), CHANGE])
            assert text == f"{bold}{expected}{bold}", (cell, outcome)


def test_what_readers_of_the_base_see_is_that_of_the_rows(rows):
    base = rows[(rows["stage"] == "C") & (rows["cell"] == "base") & (rows["measure"] == "iou")]
    iou = base.groupby(["budget", "text"])["value"]
    columns = ("value", "value_foreign", "lowest", "lowest_foreign", "grid", "random", "oracle")
    lines = table_under("IoU at the base, mean of ten trainings:")
    for (_, *shown), budget in zip(lines, (0.5, 0.25, 0.125), strict=True):
        assert (iou.count()[budget][[*columns]] == 10).all()
        assert shown == [f"{iou.mean()[budget, column]:.3f}" for column in columns]


def test_leads_of_the_value_path_at_the_base_are_those_of_the_rows(tables):
    gains = tables["gains"].query("stage == 'C' and cell == 'base'")
    text = " ".join(PAGE.read_text().partition("At the base, t intervals over ten")[2].split())
    value, lowest = gains["gain_value"], gains["gain"]
    for ahead in (
        value,
        value - gains["gain_grid"],
        value - lowest,
        value - gains["gain_value_foreign"],
        lowest - gains["gain_lowest_foreign"],
    ):
        found = t_estimate(ahead.to_numpy())
        shown = f"{found.value:.2f} [{found.low:.2f}, {found.high:.2f}]"
        assert shown in text, shown
        text = text.partition(shown)[2]


def test_no_training_on_pictures_passes_the_gate_and_all_have_a_difference(tables):
    said = " ".join(PAGE.read_text().split())
    pictures = tables["outcomes"].query("stage == 'D'").set_index("training")
    assert len(pictures) == 11
    assert pictures["found"].max() < 0.8
    assert pictures["reversal"].min() > 0
    longer, base = pictures.loc["D-steps-1200-s0"], pictures.loc["D-base-s0"]
    assert (
        f"It finds {longer['found']:.3f}, where the base with its seed finds {base['found']:.3f}"
        in said
    )
    assert f"difference is {longer['reversal']:.2f} instead of {base['reversal']:.2f}" in said
