"""Changes between methods, and whether they differ between groups: planted truths, and refusals."""

import re

import numpy as np
import pandas as pd
import pytest

from litelvlm.analysis.runs.hypotheses import Hypothesis
from litelvlm.analysis.studies.own_hypotheses import claim_of

LOSS = {"unpruned": {"method": "none"}, "pruned": {"method": "ours", "budget": 16}}
"""The loss: what the unpruned model has and the pruned one lacks."""
SIZES = {"small": {"area_frac": {"max": 0.05}}, "large": {"area_frac": {"min": 0.0501}}}


def rows(small_loss=0.1, large_loss=0.1, n=180, seed=0):
    """Small referents have an IoU of .4 and large ones of .8, before each loses something."""
    rng = np.random.default_rng(seed)
    images = np.arange(n) // 3
    area = rng.uniform(0, 0.1, n)
    frame = pd.DataFrame(
        {
            "image_id": images,
            "sent_id": np.arange(n),
            "category_id": rng.integers(1, 30, n),
            "area_frac": area,
            "protocol": "single",
            "seed": 0,
        }
    )
    small = area <= 0.05
    whole = np.where(small, 0.4, 0.8) + rng.normal(0, 0.05, n // 3)[images]
    lost = np.where(small, small_loss, large_loss) + rng.normal(0, 0.03, n)
    lost += rng.normal(0, 0.02, n // 3)[images]
    cells = {("none", 144): whole, ("ours", 16): whole - lost, ("random", 16): whole - 2 * lost}
    return pd.concat(
        [
            frame.assign(method=method, budget=budget, iou=iou, p50=iou > 0.5)
            for (method, budget), iou in cells.items()
        ],
        ignore_index=True,
    )


def claim(frame, **fields):
    base = {"id": "x", "statement": "Told.", "study": "sweep", "measure": "iou"}
    return claim_of(Hypothesis.model_validate(base | fields), frame)


def test_levels_of_groups_say_yes_where_the_change_in_them_says_no():
    frame = rows(small_loss=0.1, large_loss=0.1)
    large_first = dict(reversed(SIZES.items()))
    level = claim(frame, where=LOSS["pruned"], groups=large_first, levels=True)
    assert level.verdict == "supported", "small referents are harder, pruned or not"
    found = claim(frame, change=LOSS, groups=SIZES)
    assert found.verdict != "supported"
    assert found.estimate == pytest.approx(0, abs=0.02)


def test_a_planted_interaction_has_the_sign_that_the_page_states():
    """Positive where the first group changes more: its change minus that of the second."""
    frame = rows(small_loss=0.2, large_loss=0.05)
    more = claim(frame, change=LOSS, groups=SIZES)
    assert more.estimate == pytest.approx(0.15, abs=0.02)
    assert more.verdict == "supported"
    gain = dict(reversed(LOSS.items()))
    assert claim(frame, change=gain, groups=SIZES).verdict == "not supported"
    assert claim(frame, change=gain, groups=SIZES).estimate == pytest.approx(-more.estimate)
    assert claim(frame, change=LOSS, groups=dict(reversed(SIZES.items()))).estimate == (
        pytest.approx(-more.estimate)
    )
    assert "(mean iou under unpruned minus the same under pruned) of small minus that of large" in (
        more.null_description
    )


def test_a_change_pairs_the_same_expressions_of_whatever_type():
    frame = rows()
    gain = {"ours": {"method": "ours"}, "random": {"method": "random"}}
    found = claim(frame, where={"budget": 16}, change=gain)
    assert found.estimate == pytest.approx(0.1, abs=0.01)
    assert found.high - found.low < 0.02, "the spread of .2 between referents cancels"
    wide = frame.pivot(index="sent_id", columns="method", values="p50").astype(float)
    hits = claim(frame, measure="p50", where={"budget": 16}, change=gain)
    assert hits.estimate == pytest.approx((wide["ours"] - wide["random"]).mean())
    assert repr(claim(frame, where={"budget": 16}, groups=gain)) == repr(found)


def test_the_interval_of_an_interaction_is_that_of_a_bootstrap_by_hand():
    frame = rows(small_loss=0.15, n=90)
    wide = frame.pivot(index="sent_id", columns="method", values="iou")
    keys = frame.drop_duplicates("sent_id").set_index("sent_id")
    loss, small = (wide["none"] - wide["ours"]).to_numpy(), keys["area_frac"].to_numpy() <= 0.05
    members = [np.flatnonzero(keys["image_id"] == image) for image in range(30)]
    draws = []
    for picked in np.random.default_rng(0).integers(0, 30, (10_000, 30)):
        places = np.concatenate([members[image] for image in picked])
        value, group = loss[places], small[places]
        draws.append(value[group].mean() - value[~group].mean())
    found = claim(frame, change=LOSS, groups=SIZES)
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(draws, [0.025, 0.975])))
    assert found.low_categories <= found.low
    assert found.high_categories >= found.high


def test_without_an_interaction_five_of_a_hundred_runs_reject():
    found = [claim(rows(n=90, seed=seed), change=LOSS, groups=SIZES) for seed in range(80)]
    rejected = sum(one.p_claimed <= 0.05 for one in found)
    # One-sided at 5 %: 4 of 80 expected, 3 standard deviations are 6.
    assert 1 <= rejected <= 10


def test_an_expression_without_its_pair_is_counted_and_left_out():
    frame = rows()
    lacking = frame.drop(frame.index[(frame["method"] == "ours") & (frame["sent_id"] < 7)])
    found = claim(lacking, change=LOSS)
    assert found.excluded == {"without a value under both conditions": 7}
    assert found.n == 180 - 7
    unmeasured = frame.assign(iou=frame["iou"].where(frame["sent_id"] >= 7))
    alone = claim(unmeasured, where=LOSS["pruned"], null=0.5)
    assert alone.excluded == {"without a value": 7}


def test_the_group_with_fewer_images_limits_the_verdict():
    frame = rows(small_loss=0.3)
    frame = frame[(frame["area_frac"] > 0.05) | (frame["image_id"] < 15)]
    found = claim(frame, change=LOSS, groups=SIZES)
    assert found.estimate > 0.15
    assert found.n_images < 20
    assert found.verdict == "undetermined"


def test_resamples_without_one_of_the_groups_do_not_count():
    frame = rows(small_loss=0.3)
    small = frame["area_frac"] <= 0.05
    frame = frame.assign(iou=np.where(small, 0.4, 0.8))[~small | (frame["image_id"] < 3)]
    found = claim(frame, where=LOSS["pruned"], groups=SIZES, levels=True)
    assert (found.low, found.high) == pytest.approx((-0.4, -0.4))


def test_an_interval_ends_where_the_measure_does():
    frame = rows(small_loss=0.0, large_loss=0.0, n=90).assign(iou=1.0)
    frame.loc[frame["sent_id"] < 3, "iou"] = 0.0
    found = claim(frame, where=LOSS["pruned"], null=0.5)
    assert found.high_categories == 1.0
    assert found.low_categories <= found.low


GAIN = {"ours": {"method": "ours"}, "random": {"method": "random"}}
REFUSED = {
    "methods are mixed": ({"where": {"budget": 16}, "null": 0.5}, "2 values of 'method' ('ours'"),
    "budgets are mixed": (
        {"change": {"a": {"method": "ours"}, "b": {"method": ["none", "random"]}}},
        "b leaves 2 values of 'budget' (144, 16)",
    ),
    "one method an image": (
        {"where": {"budget": 16, "method": ["ours", "random"]}, "null": 0.5, "odd": True},
        "where leaves 2 values of 'method' ('ours', 'random'); a mean must not mix them: add "
        "method: ours to where, or compare two of them with change",
    ),
    "levels of groups": ({"where": LOSS["pruned"], "groups": SIZES}, "add levels: true"),
    "groups of methods and sizes": (
        {"groups": {k: v | GAIN["ours"] for k, v in SIZES.items()}},
        "method says how a row was measured",
    ),
    "a change of sizes": (
        {"where": LOSS["pruned"], "change": SIZES},
        "change names area_frac, which says nothing of how a row was measured",
    ),
    "a change of nothing": ({"change": {"a": GAIN["ours"], "b": LOSS["pruned"]}}, "the same rows"),
    "rows picked by outcome": (
        {"where": {"p50": True, "budget": 16}, "change": GAIN},
        "'p50' is not the same for an expression under ours and under random",
    ),
    "groups by outcome": (
        {
            "where": {"budget": 16},
            "change": GAIN,
            "groups": {"y": {"p50": True}, "n": {"p50": False}},
        },
        "'p50' is not the same",
    ),
    "groups that overlap": (
        {"change": LOSS, "groups": SIZES | {"large": {"area_frac": {"min": 0.0}}}},
        "are in both groups",
    ),
    "a null below all": ({"where": LOSS["pruned"]}, "lies between 0 and 1 whatever"),
    "a null above all": ({"change": LOSS, "null": 1.0}, "lies between -1 and 1 whatever"),
    "a mean of budgets": ({"measure": "budget"}, "'budget' says under which condition"),
    "a budget that was not run": (
        {"where": {"method": "ours", "budget": 48}},
        "no row with a value is left in where: none has the budget that it asks for; there are 16",
    ),
}


@pytest.mark.parametrize(("fields", "words"), REFUSED.values(), ids=REFUSED)
def test_a_form_that_cannot_mean_what_it_says_is_refused(fields, words):
    frame, fields = rows(small_loss=0.2), dict(fields)
    if fields.pop("odd", False):  # each expression once, under either method
        keep = np.where(frame["sent_id"] % 2, "ours", "random")
        frame = frame[frame["method"] == keep]
    with pytest.raises(ValueError, match=re.escape(words)):
        claim(frame, **fields)


def test_a_side_of_a_change_is_not_picked_by_its_own_outcome():
    ours, rest = {"method": "ours", "budget": 16}, {"method": "random", "budget": 16}
    for picked in ({"p50": True}, {"iou": {"min": 0.5}}):
        with pytest.raises(ValueError, match="says nothing of how a row was measured"):
            claim(rows(), change={"ours": ours | picked, "random": rest})


def test_expressions_of_other_images_are_no_pair():
    frame = rows().query("budget == 16 and method == 'ours'")
    other = frame.assign(image_id=frame["image_id"] + 1_000, method="random")
    with pytest.raises(ValueError, match="about another image under a and under b, so the two are"):
        claim(
            pd.concat([frame, other]),
            change={"a": {"method": "ours"}, "b": {"method": "random"}},
        )
    # Joined frames repeat their labels of lines, which tell nothing.
    joined = pd.concat([frame, frame.assign(method="random", iou=frame["iou"] - 0.2)])
    change = {"a": {"method": "ours"}, "b": {"method": "random"}}
    assert claim(joined, change=change).estimate == pytest.approx(0.2)


@pytest.mark.parametrize("seen", [1, 2, 3])
def test_a_group_of_few_categories_says_nothing_of_others(seen):
    frame = (
        rows()
        .query("budget == 16 and method == 'ours'")
        .assign(category_id=lambda d: d.sent_id % 12)
    )
    frame["category_id"] = np.where(
        frame["area_frac"] <= 0.05, frame["sent_id"] % seen, frame["category_id"]
    )
    found = claim(frame, groups=dict(reversed(SIZES.items())), levels=True)
    assert np.isfinite(found.low_categories) == (seen >= 3)
    assert ("other images of the same" in found.generalises) == (seen < 3)


@pytest.mark.parametrize(
    ("study", "measure"),
    [("sink", "lift"), ("sink_causal", "abs_d_ri"), ("sweep", "pred_px"), ("sweep", "n_kept")],
)
def test_a_measure_that_is_never_negative_needs_a_null_of_its_own(study, measure):
    frame = rows().query("budget == 16 and method == 'ours'")
    frame = frame[["image_id", "sent_id", "category_id"]].assign(**{measure: 3.0})
    with pytest.raises(ValueError, match="lies between 0 and inf whatever"):
        claim(frame, study=study, measure=measure)
    assert claim(frame, study=study, measure=measure, null=2.5).verdict == "supported"


def test_rows_that_are_not_about_expressions_are_refused():
    timed = pd.DataFrame({"method": ["none"], "value": [1.0]})
    with pytest.raises(ValueError, match="the rows of efficiency are not about expressions"):
        claim(timed, study="efficiency", measure="value", where={"method": "none"}, null=0.5)


@pytest.mark.parametrize(
    "fields", [{"levels": True}, {"levels": True, "change": LOSS}, {"change": {"a": {}}}]
)
def test_a_form_that_is_not_whole_is_refused(fields):
    with pytest.raises(ValueError, match=r"levels compares groups|no condition or two"):
        claim(rows(), **fields)
