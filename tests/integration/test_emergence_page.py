"""The claims of the stored rows, and the table of stage C, which is that of the rows."""

import json
import re
from pathlib import Path

import pandas as pd
import pytest
from scipy.stats import ttest_ind

from litelvlm.analysis.stats.trainings import t_estimate
from litelvlm.analysis.studies.emergence import Config, make_claims, make_tables
from litelvlm.analysis.studies.emergence.crossed import (
    CHANGE_OF_REVERSAL,
    by_category,
    crossed_mean_of,
    reversal_by_category,
)
from litelvlm.analysis.studies.emergence.links import counted_gains
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


def plain(value, low, high, sign=""):
    return f"{value:{sign}.2f} [{low:.2f}, {high:.2f}]"


def said():
    """The page as one line."""
    return " ".join(PAGE.read_text().split())


def changed(high, low):
    """Difference of the means of two groups of trainings, with Welch's interval."""
    return high.mean() - low.mean(), *ttest_ind(high, low, equal_var=False).confidence_interval()


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
        shown = plain(found.value, found.low, found.high)
        assert shown in text, shown
        text = text.partition(shown)[2]


def test_pooling_and_captions_turn_the_index_together_as_the_page_says(tables):
    stage_b = tables["outcomes"].query("stage == 'B'").set_index(["pooling", "scope"])
    index = {key: part["reversal_true"] for key, part in stage_b.groupby(level=[0, 1])}
    assert {len(part) for part in index.values()} == {16}
    for scope, words in (("scene", "scene it is"), ("object", "one object it is")):
        shown = plain(*changed(index["mean", scope], index["cls", scope]), "+")
        assert f"{words} {shown}" in said()
    raised = changed(index["cls", "object"], index["cls", "scene"])
    assert f"by {plain(*raised)} in stage B" in said()
    value, low, high = changed(index["mean", "object"], index["mean", "scene"])
    assert f"With mean pooling they lower it there, by {plain(-value, -high, -low)}" in said()


def test_helpers_and_mean_pooling_turn_the_difference_from_opposite_sides(tables):
    cells = tables["outcomes"].query("stage == 'C'").groupby("cell")
    true, absent = (cells[f"reversal_{text}"].mean() for text in ("true", "absent"))
    helpers = [cell for cell in true.index if cell.startswith("helper")]
    assert len(helpers) == 3
    assert f"to between {true[helpers].max():.2f} and {true[helpers].min():.2f}" in said()
    assert absent[helpers].between(-0.1, 0).all()
    found = t_estimate(cells.get_group("pooling-mean")["reversal_absent"].to_numpy())
    assert f"absent texts to {plain(found.value, found.low, found.high)}" in said()
    assert abs(true["pooling-mean"]) < 0.1


def test_what_drawing_attention_to_sos_shrinks_is_told_by_kind_of_training(tables):
    outcomes = tables["outcomes"].query("~repeated and learned and sos_loss == 0")
    outcomes = outcomes.dropna(subset="reversal_more_sos")
    trained = (outcomes["pooling"] == "mean") | (outcomes["helper"] > 0)
    for part, words in (
        (outcomes, "from {:.2f} to {:.2f} on average"),
        (outcomes[~trained], "from {:.2f} to {:.2f} ({} trainings)"),
        (outcomes[trained], "from {:.2f} to {:.2f} ({})"),
    ):
        sizes = (part[name].abs().mean() for name in ("reversal", "reversal_more_sos"))
        assert words.format(*sizes, len(part)) in said()


def test_when_the_sink_on_captions_that_say_nothing_comes_is_that_of_the_rows(tables):
    cell = "scope-object_filler-20_uninformative-0.5"
    courses = tables["trajectories"].set_index("cell").loc[cell]
    lifts = courses.groupby("step")
    ends = lifts["largest_layer_uninformative"].agg(["min", "max"])
    for step, words in ((125, "{:.1f} to {:.1f} times at a quarter"), (250, "{:.1f} to {:.1f} at")):
        assert words.format(*ends.loc[step]) in said()
    assert "uniform share on captions without content, in all 5 trainings" in said()
    assert f"{ends.loc[500, 'min']:.1f} to {ends.loc[500, 'max']:.1f} times" in said()


def test_captions_of_one_object_lower_attention_in_stage_b_as_the_page_says(tables):
    effects = tables["effects"].set_index("name")
    shown = plain(*effects.loc["B.sink.scope", ["effect", "low", "high"]])
    assert f"Stage B agrees ({shown})" in said()


def test_what_the_late_helper_changes_on_pictures_is_open_over_categories(rows, tables):
    every = tables["outcomes"].assign(learned=True)  # none of stage D passes the gate
    reversals = reversal_by_category(rows)
    helped, base = (
        by_category(reversals, every, "D", cell) for cell in ("helper-0.3_helper_from-0.25", "base")
    )
    mean = crossed_mean_of(helped - base.loc[helped.index], CHANGE_OF_REVERSAL).estimate()
    assert mean.n == 5
    assert f"the interval of the change is [{mean.low:.2f}, {mean.high:.2f}]" in said()


def test_attention_and_index_of_conditions_without_helper_are_those_of_the_rows(tables):
    links = tables["links"].set_index(["first", "second", "trainings", "level"])
    columns = ["correlation", "low", "high"]
    for level in ("between", "within"):
        line = links.loc[("sink", "reversal_true", "class token, no helper", level)]
        assert plain(*line[columns]) in said()


def test_no_training_on_pictures_passes_the_gate_and_all_have_a_difference(tables):
    pictures = tables["outcomes"].query("stage == 'D'").set_index("training")
    assert len(pictures) == 11
    assert pictures["found"].max() < 0.8
    assert pictures["reversal"].min() > 0
    longer, base = pictures.loc["D-steps-1200-s0"], pictures.loc["D-base-s0"]
    assert (
        f"It finds {longer['found']:.3f}, where the base with its seed finds {base['found']:.3f}"
        in said()
    )
    assert f"difference is {longer['reversal']:.2f} instead of {base['reversal']:.2f}" in said()


def test_gains_above_zero_are_told_by_pooling_and_budget(tables):
    counted, said_here = counted_gains(tables["gains"]), said()
    above = counted[counted["index"] > 0]
    gains = {
        share: above[f"lowest_{share}"] - above[f"random_{share}"] for share in ("0.5", "0.125")
    }
    pooled = {name: above["pooling"] == name for name in ("cls", "mean")}

    def shown(values):
        found = t_estimate(values.to_numpy())
        return plain(found.value, found.low, found.high)

    half, eighth = (shown(gains[share][pooled["cls"]]) for share in gains)
    ahead = (gains["0.125"][pooled["cls"]] > 0).sum()
    assert (
        f"The {pooled['cls'].sum()} with the class token gain {half} at half of the tokens and "
        f"{eighth} at an eighth, where {ahead} of them gain."
    ) in said_here
    others = gains["0.125"][pooled["mean"]]
    assert (len(others), (others > 0).sum()) == (10, 0)
    told = f"The ten with mean pooling gain {shown(others)} at an eighth, and none of them gains."
    assert told in said_here
    weak, strong = above[above["index"] <= 0.2]["gain"], above[above["index"] > 0.4]["gain"]
    assert f"up to 0.2 the mean of the budgets is {shown(weak)} ({len(weak)})" in said_here
    assert "all five above 0.4 gain" in said_here
    assert (len(strong), (strong > 0).sum()) == (5, 5)
    middle = above[(above["index"] > 0.2) & (above["index"] <= 0.4)]["gain"]
    assert f"from 0.2 to 0.4 it is {shown(middle)} ({len(middle)})" in said_here
    mean = t_estimate(above["gain"].to_numpy())
    ends = plain(mean.value, mean.low, mean.high).replace("-0.00 ", "0.00 ")
    assert f"a gain is not shown on average ({ends})" in said_here


def test_what_readers_of_remade_trainings_gain_is_what_is_stored():
    stored = json.loads((ROOT / "benchmarks" / "results" / "remade_trainings.json").read_text())
    text, lines = said(), table_under("less independent than these intervals take them to be:")
    groups = ("class token, no helper", "mean pooling or helper")
    assert len(lines) == len(stored["over trainings"]) == 6
    for name, *shown, ahead in lines:
        ends = [stored[group][name] for group in groups]
        assert shown == [plain(*(one[end] for end in ("mean", "low", "high"))) for one in ends]
        over = stored["over trainings"][name]
        assert ahead == f"{over['above 0']} of {over['trainings']}"
    count, cells = len(stored["trainings"]), len(stored["conditions"])
    assert f"{count} trainings of {cells} conditions were made again" in text
    left_out = len(stored["left out"])
    assert f"{left_out} more did not learn" in text
    others = sum(one["moved"] != 0 for one in stored["trainings"])
    told = f"of {count} that were made again on two others and learned {others} gave another index"
    assert told in text
    ahead = stored["over trainings"]["value path - random"]["above 0"]
    front = " ".join((ROOT / "README.md").read_text().split())
    lead = f"it is ahead of random tokens in {ahead}"
    assert f"Of {count} others under {cells} conditions {lead}" in text
    assert f"Of {count} others that learned, under {cells} conditions, {lead}" in front
    size, most = (stored["moved by rounding"][key] for key in ("mean size", "largest"))
    assert f"differs by {size:.2f} on average and by {most:.2f} at most" in text


def test_what_a_foreign_text_takes_from_litelvlm_depends_on_the_training(tables):
    counted = counted_gains(tables["gains"]).dropna(subset="gain_lowest_foreign")
    taken = counted["gain"] - counted["gain_lowest_foreign"]
    driven = (counted["pooling"] == "mean") | (counted["helper"] > 0)
    alone, with_them = (t_estimate(taken[part].to_numpy()) for part in (~driven, driven))
    assert f"takes {plain(alone.value, alone.low, alone.high)} ({alone.n} trainings)" in said()
    added = plain(-with_them.value, -with_them.high, -with_them.low)
    assert f"*adds* {added} ({with_them.n})" in said()
