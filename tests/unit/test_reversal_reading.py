"""What the reversal study says in words: no more than its verdicts carry."""

import pytest

from litelvlm.analysis.api import Estimate
from litelvlm.analysis.runs.claims import make_claim
from litelvlm.analysis.studies import reversal

ENDS = {
    "supported": (0.1, 0.3),
    "not supported": (-0.01, 0.02),
    "undetermined": (-0.1, 0.3),
    "weaker": (-0.3, -0.1),
}


def judged(**verdicts):
    """Claims by verdict.

    "not supported" is shown by equivalence, "weaker" by an interval on the other side.
    """
    return [
        make_claim(
            name.replace("_", "."),
            "S.",
            Estimate(0.1, *ENDS[found], 20, 40, ""),
            0.0,
            "nothing",
            margin=0.05,
            p_equivalent=0.001 if found == "not supported" else 0.9,
        )
        for name, found in verdicts.items()
    ]


@pytest.mark.parametrize(
    ("second", "third", "said"),
    [
        ("supported", "not supported", "it depends on the text; it does not depend on the object."),
        ("not supported", "supported", "it does not depend on the text; it depends on the object."),
        ("not supported", "not supported", "text-independent background preference"),
        (
            "undetermined",
            "undetermined",
            "text cannot be told; whether it depends on the object cannot be told.",
        ),
        # A preference that the text does not touch, and that is no stronger on the referent.
        ("not supported", "weaker", "text-independent background preference"),
        # A text that weakens the reversal is one that it depends on.
        (
            "weaker",
            "not supported",
            "it is weaker with the true text than with others; it does not depend on the ob",
        ),
    ],
)
def test_the_reading_says_what_was_told_apart_and_no_more(second, third, said):
    text = reversal.interpret(judged(H1="supported", H2=second, H3=third), {})
    assert said in text
    assert ("background" in text) == (
        second == "not supported" and third in ("not supported", "weaker")
    )
    assert ("not depend on the text" in text) == (
        second == "not supported" and "background" not in text
    )


def test_the_reading_takes_a_missing_claim_as_open_and_says_nothing_more_without_h1():
    assert reversal.interpret(judged(H1="supported"), {}) == reversal.interpret(
        judged(H1="supported", H2="undetermined", H3="undetermined"), {}
    )
    for found in ("not supported", "undetermined"):
        text = reversal.interpret(judged(H1=found, H2="supported", H3="supported"), {})
        assert text == f"A reversal of similarity on the referent is {found} here."


def test_a_referent_that_ranks_low_because_of_its_place_does_rank_low():
    text = reversal.interpret(judged(H1_sign="supported", H1="undetermined"), {})
    assert text == (
        "The referent's tokens rank low; "
        "that they do so beyond what their place explains is undetermined here."
    )
    assert "rank low" not in reversal.interpret(
        judged(H1_sign="undetermined", H1="undetermined"), {}
    )
