"""The page on the family says what its stored rows say."""

import json
import re
from pathlib import Path

import pandas as pd
import pytest

from litelvlm.analysis.stats.trainings import association
from litelvlm.analysis.studies.emergence.claims import make_claims
from litelvlm.analysis.studies.emergence.config import Config
from litelvlm.analysis.studies.emergence.links import natural_trainings
from litelvlm.analysis.studies.emergence.store import bundled_files
from litelvlm.analysis.studies.emergence.tables import make_tables
from litelvlm.training.trainings.design import CONFIRMATORY

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "emergence.md"


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


@pytest.fixture(scope="module")
def page():
    return re.sub(r"\s+", " ", PAGE.read_text())


def rounded(value, signed=False):
    text = f"{value:+.2f}" if signed else f"{value:.2f}"
    return text.replace("-0.00", "0.00") if not signed else text


def interval(value, low, high, signed=False):
    return f"{rounded(value, signed)} [{rounded(low, signed)}, {rounded(high, signed)}]"


def table_under(heading):
    """Lines of the first table below a piece of text, split into cells."""
    text = PAGE.read_text()
    found = text[text.index(heading) :].split("\n")
    start = next(i for i, line in enumerate(found) if line.startswith("|"))
    lines = []
    for line in found[start:]:
        if not line.startswith("|"):
            break
        lines.append([part.strip() for part in line.strip("|").split("|")])
    return lines[2:]


def test_claims_on_the_page_are_those_of_the_rows(claims, page):
    for id in (
        *("base.reversal.C", "base.reversal.B.cls", "sink.made.C", "sink.added"),
        *("together", "together.cells", "mediator", "mediator.cells"),
        *("gain.follows", "gain.follows.cells", "gain.positive"),
    ):
        claim = claims[id]
        assert interval(claim.estimate, claim.low, claim.high) in page, id
    negative = claims["gain.negative"]
    assert interval(-negative.estimate, -negative.high, -negative.low) in page
    hidden = claims["sink.causes"]
    assert f"{-hidden.estimate:+.3f} [{-hidden.high:+.3f}, {-hidden.low:+.3f}]" in page
    for id in (f"{e.stage}.{e.outcome}.{e.factor}" for e in CONFIRMATORY):
        claim = claims[id]
        assert interval(claim.estimate, claim.low, claim.high, signed=True) in page, id
        if id.startswith("B."):
            ends = f"[{claim.low_categories:+.2f}, {claim.high_categories:+.2f}]"
            assert ends in page, id


def test_verdicts_on_the_page_are_those_of_the_claims(claims, page):
    supported = {id for id, claim in claims.items() if claim.verdict == "supported"}
    assert supported == {
        *("A.sink.rate", "B.reversal.pooling", "base.reversal.C"),
        *("C.reversal.helper-0.3_helper_from-0.25", "C.reversal_true.helper-0.3_helper_from-0.25"),
        *("C.sink.scope-object", "C.sink.sos_loss-1.0", "mediator.cells"),
        *("gain.follows", "gain.follows.cells", "gain.negative"),
    }
    made, base = claims["sink.made.C"], claims["base.reversal.C"]
    assert made.verdict == "undetermined"
    assert f"p = {made.p_value:.3f}".replace("0.", ".") in page
    assert f"p-value of {base.p_value:.3f}".replace("0.", ".") in page
    cells = [claim for id, claim in claims.items() if id.startswith("C.")]
    assert f"`C.sink.*`), {len(cells)} in all" in page
    few = [claim for claim in cells if claim.n < 5]
    assert {claim.verdict for claim in few} == {"undetermined"}
    (small,) = [claim.id for claim in cells if claim.verdict == "not supported"]
    assert small == "C.sink.helper-0.3_helper_from-0.25"


def signed(line, *names):
    return interval(*(line[name] for name in names), signed=True)


CHANGE = ("difference", "difference_low", "difference_high")


def test_every_change_of_stage_c_is_on_the_page(tables, claims):
    cells = tables["cells"].set_index(["stage", "cell", "outcome"]).loc["C"]
    every = set(cells.index.get_level_values("cell")) - {"base"}
    lines = table_under("**Bold: the claim is supported.**")
    assert {line[1].strip("`") for line in lines} == every
    for _, name, n, *shown in lines:
        cell = name.strip("`")
        assert int(n) == cells.loc[(cell, "sink"), "n"]
        for outcome, text in zip(("reversal", "reversal_true", "sink"), shown, strict=True):
            claim = claims.get(f"C.{outcome}.{cell}")
            if claim is None:
                assert text == "none has learned"
                continue
            expected = signed(cells.loc[(cell, outcome)], *CHANGE)
            bold = "**" if claim.verdict == "supported" else ""
            assert text == f"{bold}{expected}{bold}", (cell, outcome)
    parts = table_under("**The two parts of the text.**")
    assert {line[1].strip("`") for line in parts} == every
    for _, name, *shown in parts:
        cell = name.strip("`")
        if shown[0] == "none has learned":
            assert f"C.reversal.{cell}" not in claims
            continue
        for outcome, text in zip(("reversal_mean", "reversal_rest"), shown, strict=True):
            assert text == signed(cells.loc[(cell, outcome)], *CHANGE), (cell, outcome)


def test_every_clear_exploratory_effect_is_on_the_page(tables, page):
    effects = tables["effects"].set_index("name")
    explored = effects[~effects["confirmatory"]]
    assert f"exploratory effects of both stages, {len(explored)} in all" in page
    clear = explored[explored["q"] < 0.05]
    lines = table_under("**Every exploratory effect of stages A and B")
    assert {line[0].strip("`") for line in lines} == set(clear.index)
    for name, _, low, high, change, q in lines:
        line = clear.loc[name.strip("`")]
        assert (low, high) == (line["low_level"], line["high_level"])
        assert change == signed(line, "effect", "low", "high")
        assert q == ("< .001" if line["q"] < 0.001 else f"{line['q']:.3f}".removeprefix("0"))


def test_the_base_in_numbers_is_that_of_the_tables(tables, page):
    base = tables["cells"].set_index(["stage", "cell", "outcome"]).loc[("C", "base")]
    outcomes = (
        *("reversal_true", "reversal_absent", "reversal", "reversal_bare", "reversal_alone"),
        *("other_mask", "reversal_empty", "reversal_mean", "reversal_rest", "high_norm"),
        "alignment",
    )
    lines = table_under("**The base in numbers**")
    for outcome, (_, text) in zip(outcomes, lines, strict=True):
        line = base.loc[outcome]
        if outcome == "high_norm":
            assert text == f"{line['mean']:.3f} [{line['low']:.3f}, {line['high']:.3f}]"
        else:
            assert text == interval(line["mean"], line["low"], line["high"]), outcome
    layers = tables["layers"].query("stage == 'C'").set_index(["text", "layer"])["mean"]
    kinds = ("true", "absent", "empty", "mean")
    *shown, difference = table_under("Index by layer at the base")
    for kind, (_, *values) in zip(kinds, shown, strict=True):
        assert values == [rounded(layers[kind, layer]) for layer in range(-5, 0)], kind
    values = [rounded(layers["true", i] - layers["absent", i]) for i in range(-5, 0)]
    assert difference[1:] == values
    way = tables["trajectories"].query("stage == 'C' and cell == 'base'").groupby("share")
    start, *steps = (rounded(value) for value in way["reversal"].mean())
    assert (
        f"{start} at the start, {steps[0]} after an eighth of the steps, {steps[1]} after" in page
    )
    assert f"{steps[2]} after half and {steps[3]} at the end" in page


def test_every_link_is_on_the_page(tables):
    words = {
        "sink": "attention on [SOS]",
        "alignment": "alignment",
        "reversal_true": "index",
        "reversal": "difference",
        "gain": "gain of LiteLVLM",
    }
    links = tables["links"].set_index(["first", "second", "trainings", "level"])
    expected = set()
    for first, second, trainings in {key[:3] for key in links.index}:
        within, between = (links.loc[(first, second, trainings, x)] for x in ("within", "between"))
        apart, means = (
            interval(line["correlation"], line["low"], line["high"]) for line in (within, between)
        )
        expected.add(
            (
                f"{words[first]} and {words[second]}",
                f"{trainings} ({int(within['n'])})",
                apart,
                f"{means}, {int(between['n'])} conditions",
            )
        )
    assert {tuple(line) for line in table_under("**What the intervals count.**")} == expected


def test_the_link_that_captions_of_one_object_made_is_gone_without_them(tables, page):
    natural = natural_trainings(tables["outcomes"])
    free = natural[(natural["pooling"] == "cls") & (natural["helper"] == 0)]
    free = free[free["text_pooling"] == "eos"]
    assert f"{len(free)} trainings with a class token, counted as independent" in page
    sink, index = (free[name].to_numpy() for name in ("sink", "reversal_true"))
    captions = (free["stage"] + free["scope"]).to_numpy()
    left = association(sink, index, captions, permutations=10).estimate.value
    assert f"means of stage and kind of caption it is {left:.2f}" in page
    raw = association(sink, index, free["stage"].to_numpy(), permutations=10).estimate.value
    assert f"({raw:.2f} among" in page


def test_crossed_changes_on_the_page_are_those_of_the_table(tables, page):
    crossed = tables["crossed"].set_index(["stage", "cell"]).loc["C"]
    for cell in ("helper-1.0", "helper-0.3", "pooling-mean", "uninformative-0.5", "sos_loss-1.0"):
        assert signed(crossed.loc[cell], *CHANGE) in page, cell
    parts = tables["components"].set_index(["stage", "cell"]).loc[("C", "base")]
    for name in ("together", "image", "training", "category"):
        assert f"({parts[name]:.2f}" in page, name


def test_values_of_sos_on_the_page_are_those_of_the_rows(tables, page):
    outcomes = tables["outcomes"]
    natural = outcomes[(outcomes["sos_loss"] == 0) & ~outcomes["repeated"]]
    a, b, c, d = natural.groupby("stage")["value_ratio"].mean()
    assert f"its norm is {a:.2f} (stage A), {b:.2f} (B), {c:.2f} (C) and {d:.2f} (D) times" in page
    heads = natural[natural["largest_head"] > 2]
    small = (heads["largest_head_value"] < 0.5).sum()
    assert f"Of the {len(heads)} trainings whose strongest head has a lift above 2, {small}" in page
    learned = outcomes[outcomes["learned"] & ~outcomes["repeated"]].dropna(subset=["reversal"])
    share = learned["share_reversed"]
    assert f"is {share.mean():.2f} on average over {len(share)} trainings" in page
    assert f"{share.min():.2f} to {share.max():.2f} by training" in page


def test_counts_on_the_page_are_those_of_the_rows(rows, tables, page):
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
    queries = rows[
        (rows["training"].isin(joined["training"]))
        & rows["final"]
        & (rows["measure"] == "lift")
        & (rows["text"] == "queries")
        & (rows["layer"] == 0)
        & (rows["head"] == -1)
    ]["value"]
    assert f"the first layer has a lift of {queries.min():.2f} to {queries.max():.2f}" in page


def test_trainings_on_pictures_are_those_of_the_rows(tables, claims, page):
    outcomes = tables["outcomes"].query("stage == 'D'")
    helper = "helper-0.3_helper_from-0.25"
    assert outcomes.groupby("cell")["seed"].nunique().to_dict() == {"base": 5, helper: 5}
    assert not outcomes["learned"].any()
    assert not any(id.startswith(("D.reversal", "base.reversal.D")) for id in claims)
    assert (outcomes["reversal"] > 0).all()
    assert f"they find {outcomes['found'].min():.2f} to {outcomes['found'].max():.2f}" in page
    cells = tables["cells"].set_index(["stage", "cell", "outcome"]).loc["D"]
    shown = (
        *("found", "reversal", "reversal_true", "reversal_rest", "reversal_mean"),
        *("share_reversed", "sink"),
    )
    for outcome, (_, base, own, change) in zip(
        shown, table_under("## What pictures change"), strict=True
    ):
        for cell, text in (("base", base), (helper, own)):
            assert text == interval(*cells.loc[(cell, outcome), ["mean", "low", "high"]]), outcome
        assert change == signed(cells.loc[(helper, outcome)], *CHANGE), outcome
    for cell, words in (("base", "at the base"), (helper, "with the helper")):
        found = outcomes.loc[outcomes["cell"] == cell, "reversal"]
        assert f"{found.min():.2f} to {found.max():.2f} {words}" in page
    base = outcomes[outcomes["cell"] == "base"].mean(numeric_only=True)
    whole, hidden, more = (base[f"reversal{end}"] for end in ("", "_no_sos", "_more_sos"))
    assert f"(base {whole:.2f}, hidden {hidden:.2f})" in page
    assert f"takes most of it away ({more:.2f})" in page


def test_the_model_without_a_helper_is_that_of_the_stored_result():
    result = json.loads((ROOT / "benchmarks" / "results" / "helper_free.json").read_text())
    scores = {
        arm: {(line["method"], line["budget"]): line for line in found["scores"]}
        for arm, found in result["arms"].items()
    }
    methods = {"all": "none", "mask oracle": "mask_oracle", "LiteLVLM": "litelvlm"}
    for name, *shown in table_under("**Can GLaMM read a CLIP without a helper?**"):
        method, budget = re.fullmatch(r"([\w ]+?),? (\d+)", name).groups()
        for arm, text in zip(("with helper", "without helper"), shown, strict=True):
            line = scores[arm][methods.get(method, method), int(budget)]
            expected = f"{line['value']:.3f} [{line['low']:.3f}, {line['high']:.3f}]"
            assert text.replace("**", "") == expected, (name, arm)
    (line,) = (line for line in table_under("## Recipes tried") if "shorter schedule" in line[0])
    found = result["arms"]["without helper"]["reversal"]
    names = ("found", "question: true", "question: absent")
    names += ("question: true - absent", "rest: true - absent")
    for name, text in zip(names, line[2:], strict=True):
        value, low, high = (f"{number:.2f}".replace("0.", ".") for number in found[name])
        assert text == f"{value} [{low}, {high}]", name
