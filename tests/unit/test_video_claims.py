"""The study of clips on rows whose scores are known."""

import re

import numpy as np
import pandas as pd
import pytest

from litelvlm.analysis.studies.video import Config, interpret, make_claims, make_tables

CONFIG = Config()
CLIPS = 40
KEPT = {"V1": (392, 200), "V3": (96, 40), "V4": (96, 40)}
READ = {"V1": (416, 416), "V3": (224, 168), "V4": (224, 168)}
WHOLE = {"V1": 1152, "V3": 288, "V4": 288}
SCORES = {"none": 0.6, "litelvlm": 0.58, "vispruner": 0.5, "random": 0.54, "uniform": 0.6}
IN_TIME = {"uniform(frames=first)": 0.3, "random(frames=whole)": 0.6}


def planted(narrow=0.2, spared=0.2, matched=0.1):
    """Rows of methods with these scores, which vary a little from clip to clip.

    Args:
        narrow: What the narrow window costs the unpruned model.
        spared: How much less it costs the pruned one.
        matched: What an object gains where it is paired anew.
    """
    of_clip, rows = np.random.default_rng(0).normal(0, 0.02, CLIPS), []

    def add(point, window, method, budget, n_kept, score):
        for clip in range(CLIPS):
            jf = score + of_clip[clip]
            rows.append(
                {"image_id": clip, "sent_id": clip, "category_id": clip % 8, "seed": 0}
                | {"kind": ("looks", "motion")[clip % 2], "protocol": "single", "window": window}
                | {"point": point, "method": method, "budget": budget, "n_kept": n_kept}
                | {"j": jf, "f": jf, "jf": jf, "seg_found": True, "area_frac": 0.1}
                | {"matched_jf": jf + matched, "merged_jf": jf, "matched_n": 1.0}
            )

    for point, budgets in KEPT.items():
        add(point, "published", "none", WHOLE[point], 416, SCORES["none"])
        for budget, n_kept in zip(budgets, READ[point], strict=True):
            for method, score in SCORES.items() | (IN_TIME.items() if point == "V4" else set()):
                if method != "none":
                    add(point, "published", method, budget, n_kept, score)
    add("V3", "256", "none", 288, 416, SCORES["none"] - narrow)
    for budget, n_kept in zip(KEPT["V3"], READ["V3"], strict=True):
        add("V3", "256", "litelvlm", budget, n_kept, SCORES["litelvlm"] - narrow + spared)
    return pd.DataFrame(rows)


@pytest.fixture(scope="module")
def claims():
    return {claim.id: claim for claim in make_claims(planted(), CONFIG)}


def test_the_paper_s_shares_are_the_nulls(claims):
    for point, (first, second) in KEPT.items():
        for budget, null in ((first, 0.995), (second, 0.95)):
            claim = claims[f"{point}.keeps@{budget}"]
            assert claim.null == null
            assert claim.estimate == pytest.approx(0.58 / 0.6, abs=0.002)
        # It keeps 97 %: less than at 196 of 576, more than at 81.
        assert claims[f"{point}.keeps@{first}"].verdict == "not supported"
        assert claims[f"{point}.keeps@{second}"].verdict == "supported"


def test_the_paper_s_method_is_compared_at_every_point(claims):
    for point, budgets in KEPT.items():
        for budget in budgets:
            for rival in ("vispruner", "random"):
                claim = claims[f"{point}.{rival}@{budget}"]
                assert claim.verdict == "supported"
                assert claim.estimate == pytest.approx(SCORES["litelvlm"] - SCORES[rival])


def test_a_budget_is_judged_by_the_paper_s_share_that_it_is_near_to():
    rows = planted()
    few = rows.replace({"budget": {96: 216, 392: 864}})  # three quarters of all
    ids = {claim.id: claim.null for claim in make_claims(few, CONFIG)}
    assert ids["V3.keeps@40"] == ids["V1.keeps@200"] == 0.95
    assert not {"V3.keeps@216", "V1.keeps@864"} & set(ids)
    assert "V3.random@216" in ids


def test_controls_in_time_need_no_other_method():
    rows = planted()
    own = rows[~rows["method"].isin(["litelvlm", "vispruner"])]
    assert {"V4.first@96", "V4.whole@40", "window.unpruned"} <= {
        claim.id for claim in make_claims(own, CONFIG)
    }


def test_the_choice_in_time_has_its_controls(claims):
    assert claims["V4.first@96"].verdict == "supported"
    assert claims["V4.first@96"].estimate == pytest.approx(0.3)
    for same in ("V4.clip@96", "V4.whole@40"):
        assert claims[same].estimate == pytest.approx(0.0, abs=1e-12)
        assert claims[same].verdict == "not supported"


def test_a_window_costs_what_it_hides(claims):
    assert claims["window.unpruned"].estimate == pytest.approx(0.2)
    assert "a window of 256 tokens" in claims["window.unpruned"].statement
    # Pruned tokens all fit into it: the whole cost is spared.
    assert claims["window.pruned@96"].estimate == pytest.approx(0.2)
    assert claims["window.pruned@40"].verdict == "supported"
    dear = {claim.id: claim for claim in make_claims(planted(spared=0.0), CONFIG)}
    assert dear["window.pruned@96"].estimate == pytest.approx(0.0, abs=1e-12)


def test_the_published_window_is_the_one_that_hides_where_none_is_the_other():
    rows = planted().replace({"window": {"256": "none"}})
    found = {claim.id: claim for claim in make_claims(rows, CONFIG)}
    assert found["window.unpruned"].estimate == pytest.approx(-0.2)
    assert "the model's window" in found["window.unpruned"].statement


def test_objects_that_are_paired_anew_gain(claims):
    assert claims["matching"].estimate == pytest.approx(0.1)
    assert claims["matching"].n == CLIPS
    rows = planted()
    rows.loc[rows["image_id"] < 10, "matched_n"] = 0.0
    assert {c.id: c.n for c in make_claims(rows, CONFIG)}["matching"] == CLIPS - 10
    lost = {claim.id: claim for claim in make_claims(planted(matched=-0.1), CONFIG)}["matching"]
    assert lost.low_categories <= lost.low < lost.high < 0
    rows["matched_n"] = 0.0
    assert "matching" not in {claim.id for claim in make_claims(rows, CONFIG)}


def test_tables_hold_scores_beside_the_tokens_that_are_read():
    tables = make_tables(planted(), CONFIG)
    scores = tables["scores"].query("metric == 'jf'")
    assert len(scores) == 3 * (1 + 2 * 4) + 2 * 2 + 1 + 2
    own = scores.query("point == 'V1' and method == 'litelvlm' and window == 'published'")
    assert own["n_kept"].tolist() == [416, 416]
    tokens = tables["tokens"].query("window == 'published'")
    assert tokens.query("point == 'V1'")["n_kept"].tolist() == [416, 416, 416]
    assert tokens.query("point == 'V3'")[["budget", "n_kept"]].to_numpy().tolist() == [
        [40, 168],
        [96, 224],
        [288, 416],
    ]
    gains = tables["protocols"].query("point == 'V3' and method == 'none'")
    assert gains["value"].to_numpy() == pytest.approx(0.1)
    assert set(tables["kinds"]["kind"]) == {"looks", "motion"}
    assert (
        float(tables["published"].query("tokens == 81 and method == 'LiteLVLM'")["J&F"].max())
        == 66.1
    )


def test_claims_of_a_kind_are_adjusted_together(claims):
    kinds = {id: id.partition("@")[0].split(".")[-1] for id in claims}
    for id, claim in claims.items():
        if id == "matching":
            assert "Holm" not in claim.method
        else:
            assert f"Holm over {[*kinds.values()].count(kinds[id])}: p = " in claim.method


def test_verdicts_are_counted_in_words(claims):
    said = interpret([*claims.values()], {})
    assert (
        "keeps the paper's share of the unpruned J&F is supported in 3, not supported in 3 of 6"
    ) in said
    assert "is ahead of vispruner is supported in 6 of 6 pairs" in said
    counted = re.findall(r"is ([a-z ]+) in (\d) of 2 budgets", said)
    assert sum(int(count) for _, count in counted) == 6  # three questions at two budgets
    for id in ("window.unpruned", "window.pruned@40", "matching"):
        one = claims[id]
        assert f"{one.statement} {one.verdict.capitalize()}: {one.estimate:.3g} [" in said


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"points": ("V9",)}, "unknown prune point 'V9'"),
        ({"points": ("V3", "V3")}, "points names one twice"),
        ({"shares": (0.1, 0.3)}, "shares must fall from entry to entry"),
        ({"shares": (1.5,)}, "less than 1"),
        ({"methods": ("none",)}, "the unpruned model is always run"),
        ({"clips": 0}, "greater than or equal to 1"),
    ],
)
def test_configurations_that_mean_nothing_are_refused(fields, words):
    with pytest.raises(ValueError, match=words):
        Config(**fields)
