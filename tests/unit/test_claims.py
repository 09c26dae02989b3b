"""Claims: verdicts from intervals, and joint claims that need all of their parts."""

import numpy as np
import pytest

from analysis.claims import Claim, joint_claim, make_claim, verdict
from analysis.statistics import Bootstrap, Estimate


@pytest.mark.parametrize(
    ("low", "high", "direction", "expected"),
    [
        (0.1, 0.3, "greater", "supported"),
        (-0.3, -0.1, "greater", "not supported"),
        (-0.1, 0.1, "greater", "undetermined"),
        (-0.3, -0.1, "less", "supported"),
        (0.1, 0.3, "less", "not supported"),
        (-0.2, 0.0, "greater", "not supported"),
    ],
)
def test_verdict(low, high, direction, expected):
    assert verdict(Estimate(0.0, low, high, 20, 30, ""), 0.0, direction) == expected
    assert verdict(Estimate(0.0, low, high, 19, 30, ""), 0.0, direction) == "undetermined"


def test_a_joint_claim_needs_all_its_parts_and_survives_json():
    good = make_claim("a", "A.", Estimate(0.2, 0.1, 0.3, 20, 90, "m"), 0.0, "nothing", p_value=0.01, p_claimed=0.005)
    open_ = make_claim("b", "B.", Estimate(0.3, np.nan, np.nan, 1, 9, "m"), 0.0, "chance", p_value=0.5, p_claimed=0.25)
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
    held, weaker, open_, against = (
        part("held", 0.5, 0.001, 0.0005),
        part("weaker", 0.3, 0.01, 0.005),
        part("open", 0.05, 0.3, 0.15),
        part("against", -0.5, 0.001, 0.9995),
    )
    for parts, decides in (
        ([held, weaker], weaker),
        ([weaker, held], weaker),
        ([held, open_], open_),
        ([open_, held], open_),
        ([held, against], against),
        ([against, open_, held], against),
    ):
        both = joint_claim("all", "All.", parts)
        assert (both.estimate, both.low, both.verdict) == (decides.estimate, decides.low, decides.verdict)
        assert both.p_value == max(p.p_claimed for p in parts)
    assert joint_claim("all", "All.", [held, against]).p_value == 0.9995


def test_one_sided_bootstrap_p_values_by_hand():
    # Of four draws two are at most 0 and three at least 0: 3/5 and 4/5 with one added, two-sided at most 1.
    result = Bootstrap(np.array([0.5]), np.array([[-1.0], [0.0], [1.0], [2.0]]), 5, 5)
    assert result.p_values(0.0, one_sided=True).tolist() == [0.6]
    assert result.p_values(0.0).tolist() == [1.0]
    assert result.p_values(1.5, one_sided=True).tolist() == [0.8]
    assert np.isnan(Bootstrap(np.array([0.5]), np.empty((0, 1)), 1, 5).p_values(one_sided=True)).all()
