"""Claims: verdicts from intervals, and joint claims that need all of their parts."""

import numpy as np
import pytest

from litelvlm.analysis.api import Bootstrap, Estimate, bootstrap_means
from litelvlm.analysis.cli.text import claim_text
from litelvlm.analysis.runs.claims import Claim, joint_claim, make_claim, null_claim, verdict
from litelvlm.analysis.runs.over_trainings import over_trainings
from litelvlm.analysis.stats.ends import INDEX, SHARE
from litelvlm.analysis.stats.student import student_mean


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.1, 0.3, "supported"),
        (-0.3, -0.1, "not supported"),
        (-0.1, 0.1, "undetermined"),
        (-0.2, 0.0, "not supported"),
    ],
)
def test_verdict(low, high, expected):
    assert verdict(Estimate(0.0, low, high, 20, 30, ""), 0.0) == expected
    assert verdict(Estimate(0.0, low, high, 19, 30, ""), 0.0) == "undetermined"


@pytest.mark.parametrize(
    ("level", "half_width", "errors"), [(0.95, 1.959964, 2.801585), (0.9, 1.644854, 2.486475)]
)
def test_the_smallest_detectable_difference_knows_the_level(level, half_width, errors):
    # Of one standard error: the end of the interval, and .842 more for four times out of five.
    estimate = Estimate(0.0, -half_width, half_width, 50, 50, "m")
    claim = make_claim("a", "A.", estimate, 0.0, "nothing", level=level)
    assert claim.detectable == pytest.approx(errors, abs=1e-5)
    assert Claim.model_validate_json(claim.model_dump_json()).detectable == claim.detectable


def test_a_joint_claim_needs_all_its_parts_and_survives_json():
    good = make_claim(
        "a",
        "A.",
        Estimate(0.2, 0.1, 0.3, 20, 90, "m"),
        0.0,
        "nothing",
        p_value=0.01,
        p_claimed=0.005,
    )
    open_ = make_claim(
        "b",
        "B.",
        Estimate(0.3, np.nan, np.nan, 1, 9, "m"),
        0.0,
        "chance",
        p_value=0.5,
        p_claimed=0.25,
    )
    both = joint_claim("ab", "Both.", [good, open_])
    assert (both.id, both.verdict, both.estimate, both.n) == ("ab", "undetermined", 0.3, 9)
    assert both.null_description == "b decides: chance"
    assert both.one_sided
    assert both.p_value == 0.25
    again = Claim.model_validate_json(open_.model_dump_json())
    assert np.isnan(again.low)
    assert again.verdict == "undetermined"


def part(name, estimate, p_value, p_claimed):
    low, high = estimate - 0.1, estimate + 0.1
    numbers = Estimate(estimate, low, high, 20, 40, "m")
    return make_claim(name, "S.", numbers, 0.0, "nothing", p_value=p_value, p_claimed=p_claimed)


def test_a_joint_claim_shows_the_part_that_decides():
    # Far on the wrong side: two-sided p is small, one-sided p near 1.
    held, nearer, weaker, open_, against = (
        part("held", 0.5, 0.001, 0.0005),
        part("nearer", 0.4, 0.001, 0.0005),
        part("weaker", 0.3, 0.01, 0.005),
        part("open", 0.05, 0.3, 0.15),
        part("against", -0.5, 0.001, 0.9995),
    )
    for parts, decides in (
        ([held, nearer], nearer),
        ([nearer, held], nearer),
        ([held, weaker], weaker),
        ([weaker, held], weaker),
        ([held, open_], open_),
        ([open_, held], open_),
        ([held, against], against),
        ([against, open_, held], against),
    ):
        both = joint_claim("all", "All.", parts)
        assert (both.estimate, both.low, both.verdict) == (
            decides.estimate,
            decides.low,
            decides.verdict,
        )
        assert both.p_value == max(p.p_claimed for p in parts)
    assert joint_claim("all", "All.", [held, against]).p_value == 0.9995


def drawn(centre, spread=0.01, n_images=40):
    draws = centre + spread * np.linspace(-2, 2, 401)[:, None]
    return Bootstrap(np.array([centre]), draws, n_images, n_images)


@pytest.mark.parametrize(
    ("centre", "expected"),
    [(0.0, "supported"), (0.03, "supported"), (0.045, "undetermined"), (-0.2, "not supported")],
)
def test_a_null_is_claimed_by_equivalence(centre, expected):
    claim = null_claim("N", "Nothing.", drawn(centre), 0.0, "nothing", 0.05)
    assert claim.verdict == expected
    assert claim.one_sided
    assert claim.p_value == claim.p_equivalent
    assert (
        null_claim("N", "Nothing.", drawn(centre, n_images=19), 0.0, "nothing", 0.05).verdict
        == "undetermined"
    )


def test_equivalence_refutes_only_what_the_interval_leaves_open():
    open_, small = Estimate(0.0, -0.02, 0.02, 40, 40, ""), Estimate(0.02, 0.01, 0.03, 40, 40, "")
    for numbers, expected in ((open_, "not supported"), (small, "supported")):
        claim = make_claim("a", "A.", numbers, 0.0, "nothing", margin=0.05, p_equivalent=0.001)
        assert (claim.verdict, claim.equivalent) == (expected, True)
        assert (
            claim.equivalence
            == "shown to lie within 0.05 of that value (two one-sided tests, p = 0.001)"
        )
        assert claim_text(claim).endswith(f"null 0 (nothing); {claim.equivalence}\n")
    few = make_claim(
        "a", "A.", open_._replace(n_images=19), 0.0, "nothing", margin=0.05, p_equivalent=0.001
    )
    assert (few.verdict, few.equivalent) == ("undetermined", False)
    assert (
        few.equivalence
        == "not shown to lie within 0.05 of that value (two one-sided tests, p = 0.001)"
    )
    bare = make_claim("a", "A.", open_, 0.0, "nothing", excluded={"gone": 2, "kept": 0})
    assert (bare.verdict, bare.equivalence, bare.excluded) == ("undetermined", "", {"gone": 2})


def test_equivalence_by_hand_and_beside_the_t_tests():
    # Of four draws two lie at or below -.1 and one at or above .1: the larger count, with one
    # added, of five.
    result = Bootstrap(np.array([0.0]), np.array([[-0.2], [-0.1], [0.0], [0.2]]), 25, 25)
    assert result.p_equivalent(0.1).tolist() == [0.6]
    assert result.p_equivalent(0.5, null=0.3).tolist() == [0.4]
    assert np.isnan(Bootstrap(np.array([0.5]), np.empty((0, 1)), 1, 5).p_equivalent(0.1)).all()
    with pytest.raises(ValueError, match="positive margin"):
        result.p_equivalent(0.0)
    values = np.random.default_rng(0).normal(0.01, 0.2, 400)
    ours = bootstrap_means(values[:, None], np.arange(400), 20_000).p_equivalent(0.03)[0]
    assert ours == pytest.approx(student_mean(values).p_equivalent(0.03), abs=0.01)


def test_trainings_that_are_all_alike_prove_no_certainty():
    top = over_trainings(np.full(5, 0.0), 0.05, SHARE)
    assert top.p_equivalent == pytest.approx(0.95**5)
    ahead = over_trainings(np.ones(5), 0.05, SHARE)
    assert (ahead.estimate.low, ahead.estimate.high) == pytest.approx((0.025 ** (1 / 5), 1.0))
    assert ahead.p_value == 0.0  # a mean of 0 is where the measure ends
    assert over_trainings(np.ones(5), 0.05, INDEX).p_value == pytest.approx(2 * 0.5**5)
    assert over_trainings(np.ones(5), 0.05).p_value == 0.0  # without ends only the side is known


def test_one_sided_bootstrap_p_values_by_hand():
    # Of four draws two are at most 0 and three at least 0: 3/5 and 4/5 with one added, two-sided at
    # most 1.
    result = Bootstrap(np.array([0.5]), np.array([[-1.0], [0.0], [1.0], [2.0]]), 5, 5)
    assert result.p_values(0.0, one_sided=True).tolist() == [0.6]
    assert result.p_values(0.0).tolist() == [1.0]
    assert result.p_values(1.5, one_sided=True).tolist() == [0.8]
    assert np.isnan(
        Bootstrap(np.array([0.5]), np.empty((0, 1)), 1, 5).p_values(one_sided=True)
    ).all()
