"""Falls of the index, verdict words and the words of an expression, by hand."""

import numpy as np
import pandas as pd
import pytest

from litelvlm.analysis.api import Bootstrap, Estimate, bootstrap_means
from litelvlm.analysis.studies import mechanism
from litelvlm.analysis.studies.mechanism.probes import PROBES, Ranking
from litelvlm.analysis.studies.mechanism.rows import probe_row
from litelvlm.analysis.studies.mechanism.tables import NOTHING, TOO_FEW, fall_of, in_words
from litelvlm.analysis.studies.mechanism.words import split_words


def claims_of(rows):
    """Those about probes; test_contrasts.py has the settled contrasts."""
    claims = mechanism.make_claims(rows, mechanism.Config())
    return [claim for claim in claims if claim.id.split("@")[0] in PROBES]


def tables_of(rows):
    return mechanism.make_tables(rows, mechanism.Config())


def estimate(low, high):
    return Estimate((low + high) / 2, low, high, 40, 80, "")


def made_up(n_images=30, base=0.4, probe=0.1, noise=0.02, seed=0):
    """Rows of two probes with two expressions per image.

    The second probe is missing for the last image.
    """
    rng, rows = np.random.default_rng(seed), []
    for sent_id in range(2 * n_images):
        keys = {"clip_model": "", "image_id": sent_id // 2, "sent_id": sent_id, "visible_frac": 1.0}
        rows.append(
            keys | {"probe": "released", "ri": base + noise * rng.normal(), "ri_foreign": 0.0}
        )
        if sent_id < 2 * n_images - 2:
            rows.append(
                keys
                | {
                    "probe": "identity_attention",
                    "ri": probe + noise * rng.normal(),
                    "ri_foreign": 0.0,
                }
            )
    return pd.DataFrame(rows)


def test_the_fall_is_the_difference_with_paired_draws():
    draws = np.array([[0.5, 0.25], [0.4, 0.1]] * 50)
    fall, p_value = fall_of(Bootstrap(np.array([0.5, 0.2]), draws, 30, 90))
    assert fall.value == pytest.approx(0.3)
    assert (fall.low, fall.high) == pytest.approx((0.25, 0.3))
    assert p_value == pytest.approx(2 / 101)


def test_a_part_of_nothing_is_undefined_and_says_why():
    draws = np.array([[0.1, 0.1], [-0.1, 0.1]] * 50)
    fall, p_value = fall_of(Bootstrap(np.array([0.0, 0.1]), draws, 30, 90))
    assert np.isnan([fall.value, fall.low, fall.high, p_value]).all()
    assert fall.method == "undefined: the interval of RI as released does not lie above 0"
    one = bootstrap_means(np.array([[0.4, 0.1]]), np.array([1]))
    assert fall_of(one)[0].method == "undefined: one image"


@pytest.mark.parametrize(
    ("base", "probe", "fall", "word"),
    [
        ((0.2, 0.3), (-0.02, 0.04), (0.2, 0.28), "removed"),
        ((0.2, 0.3), (-0.30, -0.1), (0.4, 0.5), "flipped"),
        ((0.2, 0.3), (0.01, 0.06), (0.17, 0.25), "attenuated"),
        ((0.2, 0.3), (0.21, 0.3), (-0.02, 0.03), "kept"),
        ((0.2, 0.3), (0.18, 0.31), (-0.1, 0.2), "open"),
        ((0.05, 0.15), (0.6, 0.8), (-0.65, -0.5), "amplified"),
        ((-0.1, 0.3), (0.0, 0.01), (0.1, 0.2), NOTHING),
        ((-0.3, -0.1), (0.0, 0.01), (0.1, 0.2), NOTHING),
    ],
)
def test_words_follow_the_rule(base, probe, fall, word):
    assert in_words(estimate(*base), estimate(*probe), estimate(*fall), 0.05) == word


def test_a_sevenfold_growth_is_amplified_and_refutes_the_claim():
    rows = made_up(base=0.1, probe=0.7)
    (claim,) = claims_of(rows)
    table = tables_of(rows)["probes"].set_index("probe")
    assert claim.verdict == "not supported"
    assert table.loc["identity_attention", "verdict"] == "amplified"
    assert table.loc["identity_attention", "fall"] == pytest.approx(-0.6, abs=0.02)


def test_a_flip_without_the_mean_text_is_explained():
    rows = made_up(base=0.2, probe=-0.4).replace({"probe": {"identity_attention": "no_mean_text"}})
    probes = tables_of(rows)["probes"]
    told = mechanism.interpret(claims_of(rows), {"probes": probes})
    assert "from 0.20 to -0.40: the referent's tokens now rank high" in told
    kept = mechanism.interpret(
        claims_of(rows),
        {"probes": probes.assign(verdict="attenuated")},
    )
    assert "mean text" not in kept


def test_categories_that_differ_leave_the_fall_open():
    rows = made_up(n_images=40, base=0.5, probe=0.4)
    rows["category_id"] = rows["image_id"] % 4 + 1
    rows["category"] = rows["category_id"].map({1: "a", 2: "b", 3: "c", 4: "d"})
    rows.loc[(rows.probe == "identity_attention") & (rows.category_id == 1), "ri"] = 0.9
    rows.loc[(rows.probe == "identity_attention") & (rows.category_id == 2), "ri"] = -0.3
    (claim,) = claims_of(rows)
    assert (claim.verdict, claim.seen_only) == ("undetermined", True)
    tables = tables_of(rows)
    assert tables["probes"].set_index("probe").loc["identity_attention", "verdict"] == "open"
    falls = (
        tables["categories"].query("claim == 'identity_attention'").set_index("category")["mean"]
    )
    assert falls["a"] == pytest.approx(-0.4, abs=0.02)
    assert falls["b"] == pytest.approx(0.8, abs=0.02)
    assert "for other categories this is open" in mechanism.interpret([claim], {})
    line = tables_of(rows)["probes"].set_index("probe").loc[claim.id]
    assert line["q"] == line["p"] == claim.p_value > 0.05


def test_too_few_images_get_no_word():
    undefined = Estimate(0.4, np.nan, np.nan, 1, 2, "undefined: one image")
    assert in_words(undefined, undefined, undefined, 0.05) == TOO_FEW
    few = estimate(0.2, 0.3)._replace(n_images=19)
    assert in_words(few, estimate(-0.3, -0.1), estimate(1.5, 2.0), 0.05) == TOO_FEW


def test_claims_and_table_from_made_up_rows():
    claims = {claim.id: claim for claim in claims_of(made_up())}
    assert claims["identity_attention"].verdict == "supported"
    assert claims["identity_attention"].estimate == pytest.approx(0.3, abs=0.02)
    assert claims["identity_attention"].n == 58
    assert claims["identity_attention"].excluded == {"only outliers in or out of the target": 2}
    table = tables_of(made_up())["probes"].set_index("probe")
    assert table.loc["identity_attention", "verdict"] == "attenuated"
    assert table.loc["identity_attention", "ri_base"] == pytest.approx(0.4, abs=0.01)
    # The released ranking takes nothing away from itself: a line of the table, but no claim and no
    # test of the family.
    assert (table.loc["released", "fall"], table.loc["released", "verdict"]) == (0.0, "kept")
    assert list(claims) == ["identity_attention"]
    assert np.isnan(table.loc["released", ["p", "q"]].astype(float)).all()
    assert table.loc["identity_attention", "q"] == table.loc["identity_attention", "p"]
    assert "goes away under identity_attention" in mechanism.interpret(list(claims.values()), {})


def test_what_a_probe_leaves_out_is_counted_by_reason():
    rows = made_up().replace({"probe": {"identity_attention": "attributes"}})
    rows.loc[rows.image_id == 3, "visible_frac"] = 0.4
    (claim,) = claims_of(rows)
    assert claim.excluded == {"target less than half visible": 2, "no attribute was found": 2}
    assert claim.n == 56


@pytest.mark.parametrize(("base", "noise"), [(0.0, 0.3), (-0.4, 0.02)])
def test_without_reversal_nothing_is_decided(base, noise):
    rows = made_up(base=base, noise=noise)
    claims = claims_of(rows)
    assert {claim.verdict for claim in claims} == {"undetermined"}
    assert mechanism.interpret(claims, {}) == (
        "No probe is judged: "
        "the reversal index of the released ranking is not shown to lie above 0."
    )
    assert claims_of(rows.iloc[:0]) == []
    assert tables_of(rows.iloc[:0]) == {}
    assert mechanism.interpret([], {}) == "No probe could be read."


def test_tokens_that_are_not_ranked_leave_both_sides():
    scores = np.array([[3.0, 1.0, 2.0, 0.0]])
    covered = np.array([1.0, 1.0, 0.0, 0.0])
    ranked = np.array([True, False, True, True])
    row = probe_row(Ranking(scores, scores, ranked), 0, np.array([0]), covered)
    # Of the mask only the highest score is left: AUROC 1.
    assert (row["ri"], row["ri_foreign"], row["n_ranked"]) == (-1.0, -1.0, 3)
    none = np.zeros(4, dtype=bool)
    assert probe_row(Ranking(scores, None, none), 0, np.array([0]), covered) is None
    assert probe_row(Ranking(scores * np.nan, None, ranked), 0, np.array([0]), covered) is None


@pytest.mark.parametrize(
    ("expression", "noun", "attributes"),
    [
        ("the small red circle left of the white square", "circle", "small red"),
        ("the leftmost square", "square", "leftmost"),
        ("the circle", "circle", ""),
        ("man in blue", "man", ""),
        ("left man", "man", "left"),
        ("left", "left", ""),
        ("woman on the right", "woman", ""),
        ("the", "", ""),
    ],
)
def test_noun_and_attributes(expression, noun, attributes):
    assert split_words(expression) == (noun, attributes)
