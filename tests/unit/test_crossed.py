"""Intervals over images and categories: by hand, by simulation, and where they say nothing."""

import numpy as np
import pandas as pd
import pytest
from crossed_studies import layout
from scipy import stats

from litelvlm.analysis.api import bootstrap_means, mean_estimate
from litelvlm.analysis.cli.text import claim_text
from litelvlm.analysis.runs.claims import effect_claim, null_claim
from litelvlm.analysis.runs.means import mean_claim, nothing_claim
from litelvlm.analysis.stats.crossed import crossed_mean
from litelvlm.analysis.stats.crossed_trainings import crossed_trainings
from litelvlm.analysis.stats.ends import INDEX, SHARE
from litelvlm.analysis.stats.lines import category_lines, crossed_line
from litelvlm.analysis.stats.trainings import t_estimate

STUDIES, LAYOUTS = 1200, 24


def effects(rng, images, categories, category=1.0, image=0.5):
    """Values around 0 with effects of image, category, both together and expression."""
    n_images, n_categories = images.max() + 1, categories.max() + 1
    values = rng.normal(0, image, n_images)[images] + rng.normal(0, 0.3, len(images))
    values += rng.normal(0, category, n_categories)[categories]
    return values + rng.normal(0, 0.4, (n_images, n_categories))[images, categories]


def crossed_data(rng, n_categories, n_images, category=1.0):
    images, categories = layout(rng, n_categories, n_images, most=3)
    return effects(rng, images, categories, category), images, categories


@pytest.mark.parametrize(("n_categories", "n_images"), [(4, 60), (12, 80), (80, 200)])
def test_the_interval_holds_the_true_mean_in_95_of_100_studies(n_categories, n_images):
    rng = np.random.default_rng([1, n_categories])
    held = []
    for _ in range(LAYOUTS):
        where = layout(rng, n_categories, n_images, most=3)
        for _ in range(STUDIES // LAYOUTS):
            low, high = crossed_mean(effects(rng, *where), *where).ends()
            held.append(low <= 0 <= high)
    assert 0.93 <= np.mean(held) <= 0.97


def test_known_category_means_give_students_interval_by_hand():
    # No noise within categories of even sizes: four draws and nothing else.
    means = np.array([0.1, 0.4, 0.2, 0.9])
    categories = np.tile(np.arange(4), 10)
    found = crossed_mean(means[categories], np.arange(40), categories)
    half = stats.t.ppf(0.975, 3) * stats.sem(means)
    assert found.ends() == pytest.approx((means.mean() - half, means.mean() + half), rel=1e-5)
    assert found.p_value() == pytest.approx(stats.ttest_1samp(means, 0).pvalue, rel=1e-5)
    one_sided = stats.ttest_1samp(means, 0, alternative="greater").pvalue
    assert found.p_value(one_sided=True) == pytest.approx(one_sided, rel=1e-5)


def test_without_any_effect_of_category_it_is_close_to_the_interval_over_images():
    rng = np.random.default_rng(3)
    values, images, categories = crossed_data(rng, 40, 300, category=0.0)
    over_images = mean_estimate(values, images)
    low, high = crossed_mean(values, images, categories).ends()
    assert (high - low) / (over_images.high - over_images.low) == pytest.approx(1, abs=0.2)


@pytest.mark.parametrize(
    ("categories", "words"),
    [
        (np.full(12, -1), "the data state no categories"),
        (np.zeros(12, dtype=int), "of the same single category"),
        (np.arange(12) % 2, "too few for others"),
    ],
)
def test_where_categories_say_nothing_it_says_so_in_words(categories, words):
    found = crossed_mean(np.arange(12.0), np.arange(12), categories)
    assert not found.defined
    assert np.isnan(found.ends()).all()
    assert np.isnan(found.p_value())
    assert words in found.generalises


@pytest.mark.parametrize("bad", [[np.nan, 1.0], [np.inf, 1.0]])
def test_values_that_are_not_finite_are_refused(bad):
    with pytest.raises(ValueError, match="not a finite number at sample 0"):
        crossed_mean(np.array(bad), np.arange(2), np.arange(2))


def test_identical_values_have_no_error_at_all():
    found = crossed_mean(np.zeros(30), np.arange(30), np.arange(30) % 5)
    assert found.ends() == (0.0, 0.0)
    assert (found.p_value(), found.p_value(-0.1), found.p_equivalent(0.1)) == (1.0, 0.0, 0.0)
    over_images = bootstrap_means(np.zeros((30, 1)), np.arange(30), 100)
    claim = effect_claim("same", "It differs.", over_images, "none", crossed=found)
    assert claim.verdict == "not supported"


@pytest.mark.parametrize("unit", [1e-12, 1e-7, 1e9])
def test_the_unit_of_a_measure_changes_nothing_else(unit):
    where = crossed_data(np.random.default_rng(7), 12, 60)
    one, other = (crossed_mean(where[0] * by, *where[1:]) for by in (1.0, unit))
    assert (other.error / unit, other.df) == pytest.approx((one.error, one.df), rel=1e-6)


def judged(value, images, null, reach=SHARE, categories=50):
    """A claim about as many images of the same value."""
    rows = pd.DataFrame({"image_id": range(images), "category_id": np.arange(images) % categories})
    values = pd.Series(np.full(images, value))
    return mean_claim("all", "It is high.", values, rows, "chance", null=null, reach=reach)


def test_images_that_all_lie_at_the_end_of_a_measure_prove_no_certainty():
    few = judged(1.0, 20, 0.9)
    assert (few.verdict, few.high, few.high_categories) == ("undetermined", 1.0, 1.0)
    assert few.low == few.low_categories == pytest.approx(0.025 ** (1 / 20))  # by hand
    assert few.p_claimed == pytest.approx(0.9**20)
    assert "exact bound" in few.method
    seen = judged(1.0, 200, 0.9, categories=5)  # 200 images, but other categories are open
    assert (seen.verdict, seen.p_claimed) == ("undetermined", pytest.approx(0.9**5))
    many = judged(1.0, 40, 0.9)
    assert (many.verdict, many.p_value) == ("supported", pytest.approx(2 * 0.9**40))
    least = judged(-1.0, 40, 0.0, INDEX)
    assert (least.verdict, least.p_claimed) == ("not supported", 1.0)
    assert (least.low, least.high) == pytest.approx((-1.0, 1 - 2 * 0.025 ** (1 / 40)))


def test_one_image_beside_the_end_is_no_surer_than_none():
    images = np.arange(50)
    others = np.r_[0.0, np.ones(49)]
    none, one, two = (
        bootstrap_means(np.r_[np.zeros(away), np.ones(50 - away)][:, None], images, reach=SHARE)
        for away in (0, 1, 2)
    )
    lows = [found.estimates()[0].low for found in (none, one, two)]
    assert lows[0] == lows[1] == pytest.approx(0.025 ** (1 / 50))
    assert lows[2] < lows[1]
    assert one.p_values(0.93, one_sided=True)[0] == pytest.approx(0.93**50)
    assert bootstrap_means(others[:, None], images).estimates()[0].low > lows[1]


def test_differences_of_yes_and_no_that_are_all_0_show_no_equivalence():
    rows = pd.DataFrame({"image_id": range(50), "category_id": range(50)})
    same = pd.Series(np.zeros(50))
    measured = {"margin": 0.01, "reach": INDEX}
    claim = mean_claim("blank", "More.", same, rows, "none", yes_no=True, **measured)
    assert (claim.verdict, claim.p_equivalent) == ("undetermined", pytest.approx(0.99**50))
    away = 1 - 0.025 ** (1 / 50)
    assert claim.widest == pytest.approx((-away, away))
    # Of a measure that varies they are 0 by their making, such as without a text to read.
    assert mean_claim("ri", "More.", same, rows, "none", **measured).verdict == "not supported"


def test_heavy_categories_count_by_their_weight():
    """Half of the expressions and four fifths of the weight lie in one category of twelve."""
    rng, held, plain = np.random.default_rng(11), [], []
    for _ in range(400):
        shares = np.r_[0.5, np.full(11, 0.5 / 11)]
        categories = rng.choice(12, 300, p=shares)
        weights = np.where(categories == 0, 4.0, 1.0) * rng.lognormal(0, 0.5, 300)
        values = rng.normal(0, 0.05, 12)[categories] + rng.normal(0, 0.1, 300)
        lines = values * weights / weights.mean()
        where = np.arange(300), categories
        for found, kept in (
            (crossed_mean(values, *where, weights=weights), held),
            (crossed_mean(lines, *where), plain),
        ):
            low, high = found.ends()
            kept.append(low <= 0 <= high)
    assert np.mean(held) > 0.93
    assert np.mean(plain) < 0.85  # what the weights are for


def test_equal_weights_change_nothing_and_lines_without_weight_do_not_count():
    values, images, categories = crossed_data(np.random.default_rng(2), 12, 60)
    one = crossed_mean(values, images, categories)
    same = crossed_mean(values, images, categories, weights=np.full(len(values), 3e9))
    assert (same.value, same.error, same.df) == pytest.approx((one.value, one.error, one.df))
    weights = np.r_[np.ones(len(values)), 0.0]
    more = [np.r_[part, extra] for part, extra in ((values, 9), (images, 999), (categories, 99))]
    last = crossed_mean(*more, weights=weights)
    assert (last.value, last.error, last.n_categories) == pytest.approx((one.value, one.error, 12))


def test_rounding_of_weights_is_no_variance():
    """Categories of one image each, whose means are equal: expressions differ and nothing else."""
    rng = np.random.default_rng(9)
    for _ in range(300):
        weights, values = rng.lognormal(0, 1, (3, 5)), rng.normal(0, 1, (3, 5))
        sizes, squares = weights.sum(1), (weights**2).sum(1)
        values -= ((weights * values).sum(1) / sizes)[:, None]
        own = (weights * values**2).sum() / (sizes - squares / sizes).sum()
        each = np.repeat(np.arange(3), 5)
        found = crossed_mean(values.ravel(), each, each, weights=weights.ravel())
        assert found.error == pytest.approx(np.sqrt(own * squares.sum()) / sizes.sum())


@pytest.mark.parametrize("weights", [[1.0, -1.0], [0.0, 0.0], [1.0]])
def test_weights_that_cannot_be_are_refused(weights):
    with pytest.raises(ValueError, match="weights must be"):
        crossed_mean(np.ones(2), np.arange(2), np.arange(2), weights=np.array(weights))


def test_a_dominant_category_has_few_degrees_of_freedom():
    """What the other categories say of the spread is no certainty about one that decides."""
    rng, held = np.random.default_rng(13), []
    for _ in range(300):
        categories = rng.choice(30, 200, p=np.r_[0.8, np.full(29, 0.2 / 29)])
        values = rng.normal(0, 0.2, 30)[categories] + rng.normal(0, 0.1, 200)
        low, high = crossed_mean(values, np.arange(200), categories).ends()
        held.append(low <= 0 <= high)
    assert np.mean(held) > 0.93


def test_a_control_at_the_end_of_a_measure_is_as_good_as_its_null_on_enough_images():
    shown = []
    for images in (30, 60):
        rows = pd.DataFrame({"image_id": range(images), "category_id": range(images)})
        same = pd.Series(np.ones(images))
        shown.append(nothing_claim("same", "S.", same, rows, "equal", 0.05, null=1.0, reach=SHARE))
    assert [one.verdict for one in shown] == ["undetermined", "supported"]
    assert shown[1].p_equivalent == pytest.approx(0.95**60)


def test_no_values_and_a_margin_of_0_are_refused():
    with pytest.raises(ValueError, match="as many and at least one, got 0, 0 and 0"):
        crossed_mean(np.ones(0), np.arange(0), np.arange(0))
    with pytest.raises(ValueError, match="positive margin"):
        crossed_mean(np.ones(3), np.arange(3), np.arange(3)).p_equivalent(0.0)


def few_categories():
    """Sure over images, open over four categories of opposite effects."""
    categories = np.tile(np.arange(4), 25)
    values = np.array([0.8, 0.5, 0.0, -0.4])[categories]
    return values + np.random.default_rng(5).normal(0, 0.1, 100), np.arange(100), categories


def test_the_verdict_follows_the_wider_interval():
    values, images, categories = few_categories()
    over_images = bootstrap_means(values[:, None], images, 500)
    crossed = crossed_mean(values, images, categories)
    alone = effect_claim("H1", "It is reversed.", over_images, "none")
    both = effect_claim("H1", "It is reversed.", over_images, "none", crossed=crossed)
    assert (alone.verdict, both.verdict) == ("supported", "undetermined")
    assert (both.low, both.high) == (alone.low, alone.high)
    assert both.low_categories < 0 < both.low
    assert both.widest == (both.low_categories, both.high_categories)
    assert both.p_value > 0.05 > alone.p_value
    assert both.seen_only
    assert not alone.seen_only
    text = claim_text(both)
    assert "over images, [" in text
    assert "generalises over other images and other categories (4 seen)" in text
    assert "smallest detectable difference" in text


def test_a_null_that_differs_between_categories_is_not_called_nothing():
    _, images, categories = few_categories()
    values = np.array([0.2, -0.2, 0.2, -0.2])[categories]
    over_images = bootstrap_means(values[:, None], images, 500)
    crossed = crossed_mean(values, images, categories)
    alone = null_claim("N4", "Nothing.", over_images, 0.0, "none", 0.1)
    both = null_claim("N4", "Nothing.", over_images, 0.0, "none", 0.1, crossed=crossed)
    assert (alone.verdict, both.verdict) == ("supported", "undetermined")
    assert both.p_value == both.p_equivalent > 0.05


def test_lines_carry_both_intervals_and_every_category():
    values, images, categories = few_categories()
    rows = pd.DataFrame({"ri": values, "image_id": images, "category_id": categories})
    line = crossed_line(rows, "ri", "ri")
    assert line["low_categories"] < line["low"] < line["high"] < line["high_categories"]
    assert line["n_categories"] == 4
    named = category_lines(rows.assign(category=np.array(list("abcd"))[categories]), "ri", "ri")
    assert list(named["category"]) == ["a", "b", "c", "d"]
    assert named["n"].tolist() == [25] * 4
    assert category_lines(rows.assign(category_id=-1), "ri").empty
    assert crossed_line(rows.drop(columns="category_id"), "ri")["n_categories"] == 0


def test_an_interval_ends_where_its_measure_does_and_nothing_else_changes():
    _, images, categories = few_categories()
    values = np.array([0.95, 0.9, 0.2, 0.9])[categories]  # the interval of the mean would pass 1
    free, ended = (crossed_mean(values, images, categories, *reach) for reach in ((), (INDEX,)))
    assert free.ends()[1] > 1
    assert ended.ends() == (free.ends()[0], 1.0)
    assert ended.p_value() == free.p_value()
    assert ended.p_equivalent(0.1) == free.p_equivalent(0.1)
    rows = pd.DataFrame({"ri": values, "image_id": images, "category_id": categories})
    assert crossed_line(rows, "ri", reach=INDEX)["high_categories"] == 1.0
    wide = mean_claim("H1", "It is reversed.", rows["ri"], rows, "none", reach=INDEX)
    assert wide.high_categories == 1.0
    assert wide.low <= wide.estimate <= wide.high <= 1


def test_intervals_over_trainings_end_there_too():
    shares = np.array([0.7, 1.0, 1.0])
    assert t_estimate(shares).high > 1
    assert t_estimate(shares, SHARE)[:3] == (*t_estimate(shares)[:2], 1.0)
    table = np.array([[0.2, 1.0, 1.0], [0.3, 1.0, 0.9]])
    assert crossed_trainings(table).estimate().high > 1
    assert crossed_trainings(table, INDEX).estimate().high == 1.0
