"""Planted truth: the accuracy claims keep their level at the edge of what they deny.

They also find what was put in.
"""

import numpy as np
import pytest
from planted_studies import paired

from litelvlm.analysis.api import mean_estimate
from litelvlm.analysis.stats.bootstrap import bootstrap, ratios
from litelvlm.analysis.stats.significance import paired_swap_test
from litelvlm.analysis.studies import ablations
from litelvlm.analysis.studies.ablations.claims import lead_claims
from litelvlm.analysis.studies.scores import SCORES
from litelvlm.analysis.studies.sweep.claims import retention_claim

STUDIES, RESAMPLES, IMAGES, BUDGET = 400, 300, 60, 48
KEPT, LEAD = 0.90, 0.05
CIOU, CONFIG = SCORES["ciou"], ablations.Config(lead=LEAD)


def sweeps(scores, n_studies=STUDIES, seed=0):
    """Simulated sweeps with two expressions per image.

    ``scores`` is the true share of unpruned cIoU of each method.

    Intersections of an image go up and down together; every method adds noise of its own.
    """
    rng = np.random.default_rng(seed)
    names = ["none", *scores]
    truth = np.array([1.0, *scores.values()])
    image_ids = np.repeat(np.arange(IMAGES), 2)
    cells = tuple((name, 144 if name == "none" else BUDGET) for name in names)
    for number in range(n_studies):
        common = rng.normal(0, 6, IMAGES)[image_ids]
        own = rng.normal(0, 6, (len(names), IMAGES))[:, image_ids] + rng.normal(
            0, 6, (len(names), 2 * IMAGES)
        )
        union = rng.uniform(50, 150, IMAGES)[image_ids][:, None] * np.ones(len(names))
        inter = union * truth * (60 + common + own).T / 100
        yield paired(cells, inter, union, image_ids, None, RESAMPLES, number)


def rejected(p_values):
    return np.mean(np.array(p_values) <= 0.05)


def claims_on(made):
    """p-value and interval of an equal pair, the claim of retention and that of a lead."""
    ours, theirs, whole = (("litelvlm", BUDGET), ("random", BUDGET), ("none", 144))
    pixels = [made.summands(CIOU, cell) for cell in (ours, theirs)]
    return (
        paired_swap_test(*pixels, made.image_ids, 399, made.seed).p_value,
        made.difference(CIOU, ours, theirs).over_images.estimates()[0],
        retention_claim(made.retention(CIOU, ours, whole), KEPT, BUDGET, "single"),
        lead_claims(made, CONFIG, BUDGET)[0],
    )


@pytest.fixture(scope="module")
def at_the_edge():
    """Ours equals random tokens, keeps exactly 90 %, and leads the best rival by exactly 5 %."""
    truth = {"litelvlm": KEPT, "random": KEPT, "trim": KEPT / (1 + LEAD), "scope": 0.5}
    return list(zip(*map(claims_on, sweeps(truth)), strict=True))


def test_equal_methods_differ_in_five_of_a_hundred_studies(at_the_edge):
    p_values, deltas, _, _ = at_the_edge
    assert 0.03 <= rejected(p_values) <= 0.07
    assert 0.03 <= np.mean([not delta.low <= 0 <= delta.high for delta in deltas]) <= 0.07


def test_the_p_value_of_a_table_follows_the_wider_interval():
    # Seven of twelve categories favour the first method, which images alone cannot know.
    rng = np.random.default_rng(5)
    image_ids, categories = np.arange(240), np.tile(np.arange(12), 20)
    favour = 1.8 + np.linspace(-6, 6, 12)[categories]
    ours, theirs = 60 + favour + rng.normal(0, 1, 240), 60 + rng.normal(0, 1, 240)
    cells = (("litelvlm", BUDGET), ("random", BUDGET))
    inter, union = np.column_stack([ours, theirs]), np.full((240, 2), 100.0)
    made = paired(cells, inter, union, image_ids, categories, RESAMPLES)
    swap, crossed = made.swap_p_value(CIOU, *cells), made.difference(CIOU, *cells).crossed
    line = made.difference_line(CIOU, *cells)
    assert swap < 0.01 < 0.05 < line["p"] == crossed.p_value()
    assert line["low"] > 0 > line["low_categories"]
    effect = made.difference(CIOU, *cells)
    assert effect.over_images.p_equivalent(0.03)[0] < 0.01 < 0.05 < effect.p_equivalent(0.03)
    without = paired(cells, inter, union, image_ids, None, RESAMPLES)
    assert without.difference_line(CIOU, *cells)["p"] == swap


@pytest.mark.parametrize("place", [2, 3], ids=["H8", "H7"])
def test_what_is_exactly_at_the_edge_is_seldom_taken_for_more(at_the_edge, place, request):
    claims = at_the_edge[place]
    assert {claim.id for claim in claims} == {request.node.callspec.id}
    assert 0.03 <= rejected([claim.p_value for claim in claims]) <= 0.07
    assert np.mean([claim.verdict == "supported" for claim in claims]) <= 0.07
    assert np.mean([claim.verdict == "not supported" for claim in claims]) <= 0.07


@pytest.mark.parametrize(("truth", "least", "most"), [(0.8, 0.0, 0.0), (1.0, 0.95, 1.0)])
def test_retention_far_from_the_edge_is_told(truth, least, most):
    found = []
    for made in sweeps({"litelvlm": truth}, 40, seed=1):
        kept = made.retention(CIOU, ("litelvlm", BUDGET), ("none", 144))
        claim = retention_claim(kept, KEPT, BUDGET, "single")
        assert claim.level == 0.9
        found.append(claim.verdict == "supported")
    assert least <= np.mean(found) <= most


def test_several_rivals_at_the_edge_make_the_lead_stricter_and_not_looser():
    rivals = dict.fromkeys(("trim", "scope", "cdpruner"), 0.8 / (1 + LEAD))
    claims = [
        lead_claims(made, CONFIG, BUDGET)[0]
        for made in sweeps({"litelvlm": 0.8} | rivals, 100, seed=2)
    ]
    assert rejected([claim.p_value for claim in claims]) <= 0.03
    assert np.mean([claim.verdict == "not supported" for claim in claims]) <= 0.07


def test_a_lead_of_a_quarter_over_the_best_rival_is_found():
    truth = {"litelvlm": 0.8, "trim": 0.8 / 1.25, "scope": 0.5}
    for made in sweeps(truth, n_studies=20, seed=3):
        relative, points = lead_claims(made, CONFIG, BUDGET)
        assert relative.verdict == "supported"
        assert relative.estimate == pytest.approx(0.25, abs=0.1)
        # In points of cIoU: .6 * (.8 - .64) = .096.
        assert points.estimate == pytest.approx(0.096, abs=0.04)
        assert "here trim" in relative.statement


@pytest.mark.parametrize("measure", ["mean", "ciou"])
def test_clustered_intervals_cover_over_images_and_not_over_expressions(measure):
    # 100 images with 1 to 7 expressions each, whose image effect is twice the expressions' own.
    rng = np.random.default_rng(4)
    by_image, by_expression, n_studies = 0, 0, 250
    for number in range(n_studies):
        image_ids = np.repeat(np.arange(100), rng.integers(1, 8, 100))
        values = 0.5 + rng.normal(0, 0.1, 100)[image_ids] + rng.normal(0, 0.05, len(image_ids))
        for ids in (image_ids, np.arange(len(values))):
            if measure == "mean":
                found = mean_estimate(values, ids, resamples=RESAMPLES, seed=number)
            else:
                union = rng.uniform(50, 150, len(values))[:, None]
                columns = np.column_stack([values * union[:, 0], union])
                found = bootstrap(columns, ids, ratios, RESAMPLES, number).estimates()[0]
            covers = found.low <= 0.5 <= found.high
            by_image, by_expression = (
                (by_image + covers, by_expression)
                if ids is image_ids
                else (by_image, by_expression + covers)
            )
    assert 0.93 <= by_image / n_studies <= 0.97
    assert by_expression / n_studies < 0.85
