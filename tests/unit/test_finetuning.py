"""The fine-tuning study on rows whose scores are known."""

import numpy as np
import pandas as pd
import pytest

from litelvlm.analysis.studies.finetuning import Config, interpret, make_claims, make_tables
from litelvlm.analysis.studies.finetuning.contrasts import evaluated
from litelvlm.analysis.studies.finetuning.effects import (
    bound,
    gap_after,
    gap_closed,
    rank_agreement,
)

BEFORE = {"litelvlm": 0.40, "random": 0.45, "uniform": 0.52, "value_path": 0.48, "avgpool": 0.55}
CONFIG = Config()
IMAGES, SEEDS = 40, 5


def planted(after, foreign, seeds=SEEDS):
    """Rows of models with these scores, which vary a little from image and training.

    Args:
        after: Score of each method in the model fine-tuned with it.
        foreign: What it scores less in a model of another method.
        seeds: Trainings.
    """
    rng = np.random.default_rng(0)
    of_image = rng.normal(0, 0.02, IMAGES)
    models = [("untuned", -1)]
    models += [(name, seed) for seed in range(seeds) for name in ("none", *BEFORE)]
    rows = []
    for tuned_with, training in models:
        of_training = rng.normal(0, 0.002) if training >= 0 else 0.0
        cells = [("none", 144), *((m, b) for m in BEFORE for b in CONFIG.budgets)]
        for method, budget in cells:
            score = 0.6 if method == "none" else BEFORE[method]
            if tuned_with != "untuned" and method != "none":
                score = after[method] - (0.0 if tuned_with == method else foreign)
            for image in range(IMAGES):
                share = score + of_training + of_image[image]
                rows.append(
                    {"image_id": image, "sent_id": image, "category_id": image % 8, "seed": 0}
                    | {"method": method, "budget": budget, "union_px": 10_000}
                    | {"inter_px": round(10_000 * share), "protocol": "single"}
                    | {"tuned_with": tuned_with, "training": training}
                )
    return pd.DataFrame(rows)


def by_id(rows):
    return {claim.id: claim for claim in make_claims(rows, CONFIG)}


def test_a_gap_that_closes_and_a_model_that_is_bound_are_found():
    after = {name: score + 0.05 for name, score in BEFORE.items()} | {"litelvlm": 0.57}
    rows = planted(after, foreign=0.03)
    claims = by_id(rows)
    assert claims["gap.before"].verdict == "supported"
    assert claims["gap.before"].estimate == pytest.approx(0.12, abs=1e-3)
    assert claims["gap.after"].verdict == "not supported"  # within the margin
    assert claims["gap.closed"].estimate == pytest.approx(0.12, abs=5e-3)
    assert claims["gap.closed"].verdict == claims["bound"].verdict == "supported"
    assert claims["bound"].estimate == pytest.approx(0.03, abs=5e-3)
    assert claims["gain.random"].estimate == pytest.approx(0.05, abs=5e-3)
    assert claims["gain.other"].verdict == claims["pruned"].verdict == "supported"
    assert claims["gain.none"].verdict == "not supported"
    assert claims["gap.after"].unit == "trainings"
    assert claims["gap.after"].n == SEEDS
    told = interpret([*claims.values()], {})
    assert "is gone after fine-tuning" in told
    assert "is bound to its method" in told


def test_where_training_changes_nothing_nothing_is_found():
    claims = by_id(planted(BEFORE, foreign=0.0))
    wanted = {"gap.after": "supported", "gap.closed": "not supported", "bound": "not supported"}
    assert {id: claims[id].verdict for id in wanted} == wanted
    assert claims["ranking"].estimate == pytest.approx(1.0)
    assert claims["ranking"].verdict == "supported"


def test_an_order_that_turns_round_is_no_order_kept():
    turned = {name: 1.0 - score for name, score in BEFORE.items()}
    found = evaluated(planted(turned, foreign=0.0))
    assert rank_agreement(found, 48).by_training.tolist() == pytest.approx([-1.0] * SEEDS)
    assert by_id(planted(turned, foreign=0.0))["ranking"].verdict == "not supported"


def test_fewer_than_five_trainings_leave_claims_open():
    claims = by_id(planted(BEFORE, foreign=0.05, seeds=3))
    assert claims["bound"].verdict == "undetermined"
    assert np.isfinite(claims["bound"].low)
    assert np.isnan(by_id(planted(BEFORE, foreign=0.05, seeds=1))["bound"].low)


def test_sums_equal_those_of_pixels():
    """The linear value of each training has the mean that pixels give."""
    rows = planted({name: score + 0.02 for name, score in BEFORE.items()}, foreign=0.01)
    found = evaluated(rows)

    def score(tuned_with, training, method):
        chosen = rows[
            (rows["tuned_with"] == tuned_with)
            & (rows["training"] == training)
            & (rows["method"] == method)
            & (rows["budget"] == 48)
        ]
        return chosen["inter_px"].sum() / chosen["union_px"].sum()

    for seed in range(SEEDS):
        own = score("uniform", seed, "uniform") - score("litelvlm", seed, "litelvlm")
        before = score("untuned", -1, "uniform") - score("untuned", -1, "litelvlm")
        other = score("uniform", seed, "uniform") - score("avgpool", seed, "uniform")
        for terms, expected in (
            (gap_after(48), own),
            (gap_closed(48), before - own),
            (bound("uniform", ["avgpool"], 48), other),
        ):
            assert found.by_training(terms)[seed].mean() == pytest.approx(expected)


def test_tables_hold_every_model_under_every_method():
    tables = make_tables(planted(BEFORE, foreign=0.0), CONFIG)
    cells = 1 + len(BEFORE) * len(CONFIG.budgets)
    assert len(tables["scores"]) == (2 + len(BEFORE)) * cells
    assert len(tables["trainings"]) == (1 + SEEDS * (1 + len(BEFORE))) * cells
    untuned = tables["scores"]["tuned_with"] == "untuned"
    assert tables["scores"].loc[untuned, "low_trainings"].isna().all()
    assert tables["scores"].loc[~untuned, "low_trainings"].notna().all()
    assert set(tables["scores"].loc[tables["scores"]["trained"], "budget"]) == {48}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"methods": ("litelvlm", "random")}, "add uniform"),
        ({"methods": ("litelvlm", "uniform", "none")}, "leave none out"),
        ({"trained_seeds": 0}, "greater than or equal to 1"),
        ({"images": 1}, "images\n.*greater than or equal to 2"),
        ({"other_budgets": (48,)}, r"other_budgets \[48\] names .* or the trained budget 48"),
        ({"other_budgets": (16, 16)}, r"other_budgets \[16, 16\] names one twice"),
        ({"steps": 3}, "warmup 15 is more than the 3 steps.* give warmup from 0 to 3"),
    ],
)
def test_a_study_without_what_it_compares_is_refused(changes, told):
    with pytest.raises(ValueError, match=told):
        Config(**changes)
