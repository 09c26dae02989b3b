"""The confirmatory family: Holm over eight hypotheses, tested or not."""

import numpy as np
import pytest

from litelvlm.analysis.api import Estimate
from litelvlm.analysis.runs.claims import make_claim
from litelvlm.analysis.runs.verdicts import adjusted_verdict, within_family
from litelvlm.analysis.studies.confirmatory import HYPOTHESES, confirmatory


def claim(id, p, low=0.1, high=0.3, n_images=30):
    return make_claim(
        id,
        f"{id}.",
        Estimate((low + high) / 2, low, high, n_images, 90, "m"),
        0.0,
        "none",
        p_value=p,
    )


def test_adjusted_p_values_by_hand():
    table = confirmatory(
        [claim("H3", 0.02), claim("H1", 0.001), claim("H1.sign", 0.0), claim("H2", 0.006)]
    )
    assert table["id"].tolist() == list(HYPOTHESES)
    # Sorted .001, .006, .02 and five of 1, times 8, 7, 6 ...: .008, .042, .12.
    assert table["p_holm"][:3].tolist() == pytest.approx([0.008, 0.042, 0.12])
    assert table["verdict"].tolist() == [
        "supported",
        "supported",
        "undetermined",
        *["not tested"] * 5,
    ]
    assert table["alone"][:3].tolist() == ["supported"] * 3
    assert table["p_holm"][3:].isna().all()
    assert table["n_images"].tolist() == [30, 30, 30, 0, 0, 0, 0, 0]


def test_another_run_never_weakens_a_verdict():
    rng = np.random.default_rng(0)
    for _ in range(50):
        claims = [
            claim(id, float(p)) for id, p in zip(HYPOTHESES, rng.random(8) * 0.05, strict=True)
        ]
        fewer, all_ = confirmatory(claims[:5]), confirmatory(claims)
        assert (all_["p_holm"][:5] <= fewer["p_holm"][:5] + 1e-15).all()


def test_what_an_interval_refutes_or_leaves_open_stays_so():
    table = confirmatory(
        [
            claim("H1", 0.0001, -0.3, -0.1),
            claim("H2", float("nan"), n_images=1),
            claim("H3", 0.0001, n_images=5),
        ]
    ).set_index("id")
    assert table.loc["H1", "verdict"] == "not supported"
    assert table.loc["H2", "verdict"] == table.loc["H3", "verdict"] == "undetermined"
    assert np.isnan(table.loc["H2", "p_holm"])
    assert adjusted_verdict("supported", float("nan")) == "undetermined"


def test_two_claims_of_one_hypothesis_are_refused():
    with pytest.raises(
        ValueError, match=r"H2 occurs twice; give one run of each study, .* in one protocol"
    ):
        confirmatory([claim("H2", 0.1), claim("H2", 0.2)])


def test_no_claim_at_all_is_a_table_of_untested_hypotheses():
    assert set(confirmatory([])["verdict"]) == {"not tested"}


def test_claims_of_one_family_keep_what_holm_leaves():
    found = [claim("a", 0.03), claim("b", 0.001), claim("c", 0.9, -0.3, -0.1), claim("d", np.nan)]
    # Of four: .001 times 4, then .03 times 3 and .9 times 2, which are more than .05.
    judged = within_family(found)
    # Without a p-value nothing is supported.
    verdicts = ["undetermined", "supported", "not supported", "undetermined"]
    assert [one.verdict for one in judged] == verdicts
    ends = [one.method.partition("; ")[2] for one in judged]
    assert ends[:2] == ["Holm over 4: p = 0.09", "Holm over 4: p = 0.004"]
    assert [one.estimate for one in judged] == [one.estimate for one in found]
    # Members that could not be tested count with p = 1.
    assert within_family(found[:1], 1)[0].verdict == "supported"
    assert within_family(found[:1], 2)[0].verdict == "undetermined"
    assert within_family([]) == []
