"""A few hundred of the cases that `benchmarks/fuzz.py` draws by the thousand, and past failures."""

import pytest

from tests.fuzz.properties import PROPERTIES, corpus, run_cases

CASES = 25


@pytest.mark.parametrize("name", PROPERTIES)
def test_a_property_holds_for_any_input(name):
    count = round(CASES * PROPERTIES[name].share)
    assert run_cases(name, count) >= count // 2


PAST = list(corpus())


@pytest.mark.parametrize(
    ("name", "case", "outcome"), [entry[1:] for entry in PAST], ids=[e[0] for e in PAST]
)
def test_a_past_failure_stays_repaired(name, case, outcome):
    assert (PROPERTIES[name].check(case) or "holds") == outcome
