"""Planted truth: the reversal study finds what was put in, and nothing where there is nothing."""

import numpy as np
import pytest
import torch
from planted_studies import N_TOKENS, few_draws, place_objects, reversal_index_of, reversal_studies

from litelvlm.analysis.stats.ranking import auroc, reversal_index
from litelvlm.analysis.studies import reversal
from litelvlm.pruning import Cues
from litelvlm.pruning.scoring import text_similarity

STUDIES, RESAMPLES = 400, 300
CONFIG = reversal.Config()


def claims_of(studies, config=CONFIG):
    """Claims of every simulated study, by id."""
    found = []
    for number, rows in enumerate(studies):
        with few_draws(RESAMPLES, number):
            found.append(reversal.make_claims(rows, config))
    return {claims[0].id: claims for claims in zip(*found, strict=True)}


def rejected(claims):
    return np.mean([claim.p_value <= 0.05 for claim in claims])


def shares(claims):
    verdicts = [claim.verdict for claim in claims]
    return {verdict: verdicts.count(verdict) / len(verdicts) for verdict in sorted(set(verdicts))}


@pytest.mark.parametrize("planted", [0.0, 0.137, 0.4213, 0.5, 0.9, 1.0])
def test_the_auroc_put_into_cue_tensors_comes_back(planted):
    # 96 tokens in, 480 out: wins = planted * 46080 pairs, spread evenly over the tokens in the
    # mask.
    rng, n_in, n_out = np.random.default_rng(0), 96, 480
    wins = round(planted * n_in * n_out)
    beaten = np.diff(np.arange(n_in + 1) * wins // n_in)
    scores = np.concatenate([beaten - 0.5, np.arange(n_out)])
    order = rng.permutation(n_in + n_out)
    inside = (np.arange(n_in + n_out) < n_in)[order]
    # The text reads the first coordinate; the others hold what it must not see.
    patches = np.column_stack([scores[order], rng.normal(0, 100, (n_in + n_out, 7))]).astype(
        np.float32
    )
    cues = Cues.from_tensors(patch_embeds=torch.from_numpy(patches), text_embeds=torch.eye(8)[:1])
    found = float(auroc(text_similarity(cues)[0].numpy(), inside, ~inside))
    assert abs(found - wins / (n_in * n_out)) < 1e-6
    assert abs(found - planted) < 0.5 / (n_in * n_out) + 1e-6


def test_the_fast_index_of_these_simulations_is_the_studys():
    rng = np.random.default_rng(1)
    inside, scores = place_objects(rng, 20), rng.normal(size=(20, 2, N_TOKENS))
    fast = reversal_index_of(scores, inside)
    slow = [
        [reversal_index(auroc(s, m, ~m)) for s, m in zip(*pair, strict=True)]
        for pair in zip(scores, inside, strict=True)
    ]
    assert fast == pytest.approx(np.array(slow), abs=1e-12)


@pytest.fixture(scope="module")
def without_signal():
    return claims_of(reversal_studies(STUDIES))


@pytest.mark.parametrize("id", ["H1.sign", "H1.centre", "H2", "H3"])
def test_without_signal_each_test_keeps_its_level(without_signal, id):
    assert 0.03 <= rejected(without_signal[id]) <= 0.07


def test_without_signal_the_joint_claim_errs_less_than_its_parts(without_signal):
    assert rejected(without_signal["H1"]) <= 0.05
    assert shares(without_signal["H1"]).get("supported", 0) <= 0.03


def test_a_place_preference_alone_is_no_reversal():
    # Low scores where objects tend to lie: every mask of the other images is reversed alike, so H1
    # sits at its edge.
    claims = claims_of(reversal_studies(100, centre=3.0, seed=1))
    assert rejected(claims["H1.sign"]) == 1.0
    assert rejected(claims["H1"]) <= 0.07
    assert shares(claims["H1"]).get("supported", 0) <= 0.05


def test_a_background_preference_passes_h1_and_neither_h2_nor_h3():
    claims = claims_of(reversal_studies(120, background=0.8, seed=2))
    assert shares(claims["H1"]) == {"supported": 1.0}
    for id in ("H2", "H3"):
        assert shares(claims[id]).get("supported", 0) <= 0.075


def test_enough_images_tell_a_background_preference_from_an_open_question():
    studies = reversal_studies(20, n_images=400, background=0.8, seed=4)
    claims = claims_of(studies)
    assert shares(claims["H1"]) == {"supported": 1.0}
    for id in ("H2", "H3"):
        assert shares(claims[id])["not supported"] >= 0.9
        assert all(claim.equivalent == (claim.p_equivalent <= 0.05) for claim in claims[id])
    said = [reversal.interpret(found, {}) for found in zip(*claims.values(), strict=True)]
    assert np.mean(["a text-independent background preference" in text for text in said]) >= 0.8


def test_a_difference_of_the_margin_itself_is_called_nothing_in_five_of_a_hundred_studies():
    studies = reversal_studies(200, n_images=60, seed=6)
    margin = 0.15  # wide against the noise of 60 images, or nothing could be called equivalent
    moved = [rows.assign(ri=rows["ri"] + margin * (rows["control"] == "none")) for rows in studies]
    claims = claims_of(moved, reversal.Config(margin=margin))
    for id in ("H2", "H3"):
        assert 0.01 <= np.mean([claim.equivalent for claim in claims[id]]) <= 0.09


def test_an_instance_signal_passes_all_three():
    claims = claims_of(reversal_studies(30, instance=0.8, seed=3))
    for id in ("H1", "H2", "H3"):
        assert shares(claims[id]) == {"supported": 1.0}
