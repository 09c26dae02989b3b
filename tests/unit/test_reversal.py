"""The reversal study on planted signals: what it must find, what it must not, and bad data."""

import dataclasses
from importlib import import_module
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from planted import GRID, PlantedData, PlantedModel, PlantedTower, planted_data, sample_of

from litelvlm.analysis.api import complete_run, read_record, read_rows, read_summary
from litelvlm.analysis.inputs.clip_models import ClipModel
from litelvlm.analysis.inputs.foreign import (
    choose_foreign_masks,
    choose_foreign_texts,
    draw_foreign,
)
from litelvlm.analysis.inputs.labels import FILLS_IMAGE, OUTSIDE_CROP
from litelvlm.analysis.inputs.samples import image_targets
from litelvlm.analysis.studies import reversal
from litelvlm.analysis.studies.constructions import PRIMARY
from litelvlm.analysis.studies.reversal.controls import distractor, mask_controls
from litelvlm.analysis.studies.reversal.rows import TEXT_FREE, ReversalContext, Texts, measures
from litelvlm.analysis.studies.reversal.tables import strata_table
from tests.study_inputs import NO_TARGET, target_mask, token_coverage

CLIPS = "litelvlm.analysis.inputs.clip_models"
FAST = reversal.Config(shifts=40, blobs=5, pool=24, donors=3, chunk_size=5, random_seeds=1)


def study(out, signal, data=None, config=FAST, model=None):
    return complete_run(
        reversal.STUDY,
        model or PlantedModel(signal),
        related_data() if data is None else data,
        config,
        out,
    )


def related_data(n_images=24):
    """Three objects of two categories in each image: some two always share one."""
    return planted_data(n_images, objects=3, categories=2)


def verdicts(folder):
    return {claim.id: claim.verdict for claim in read_summary(folder).claims}


def primary(rows, control="none", mode="template", probe="released"):
    wanted = {"control": control, "text_mode": mode, "probe": probe, "labels": "primary"}
    return rows[(rows[list(wanted)] == pd.Series(wanted)).all(axis=1)].set_index("sent_id")


@pytest.fixture(scope="module")
def background(tmp_path_factory):
    return study(tmp_path_factory.mktemp("background"), "background")


@pytest.fixture(scope="module")
def instance(tmp_path_factory):
    return study(tmp_path_factory.mktemp("instance"), "instance")


def test_a_background_preference_passes_h1_only(background):
    found = verdicts(background)
    assert found["H1"] == found["H1.sign"] == found["H1.centre"] == "supported"
    assert found["H2"] == found["H3"] == found["H3.other"] == "not supported"
    assert found["N4"] == "supported"
    said = read_summary(background).interpretation
    assert "text-independent background preference" in said
    assert (
        "Too small to count: H2 is shown to lie within 0.05 of that value (two one-sided tests, "
        "p = 0.0001); H3 is" in said
    )
    strict = {
        c.id: c for c in reversal.make_claims(read_rows(background), reversal.Config(margin=1e-4))
    }
    # Nothing is as close to 0 as that but H2, where both texts rank alike.
    assert (strict["H2"].equivalent, strict["H3"].equivalent) == (True, False)


def test_an_instance_signal_passes_everything(instance):
    found = verdicts(instance)
    del found["N8"]  # the planted tower without a signal has an accidental one
    assert set(found) == {"H1.sign", "H1.centre", "H1", "H2", "H2.random", "H3", "H3.other", "N4"}
    assert set(found.values()) == {"supported"}
    assert (
        "it depends on the text; it depends on the object" in read_summary(instance).interpretation
    )


def test_planted_values_come_back(instance, background):
    # Instance: the referent's 9 tokens score about -1, all others about 0: AUROC 0, RI 1, all 9
    # among the lowest 16.
    row = primary(read_rows(instance)).iloc[0]
    assert (row.auroc, row.ri, row.n_in, row.rec_low_16, row.rec_high_16) == (0.0, 1.0, 9, 1.0, 0.0)
    assert row.rec_low_8 == pytest.approx(8 / 9)
    assert row.chance_rec_48 == pytest.approx(48 / 144)
    # Background: of 135 tokens outside, 18 belong to other objects and tie up to noise: RI about 1
    # - 18 / 135.
    mean = primary(read_rows(background)).ri.mean()
    assert mean == pytest.approx(1 - 18 / 135, abs=0.02)


def test_foreign_masks_are_averaged():
    # The referent scores lowest, so a foreign mask ranks low as far as it overlaps; by hand from
    # the donors drawn.
    model, data = PlantedModel("instance"), planted_data()
    donors = draw_foreign(data, model, 24, seed=0)
    context = ReversalContext(
        model, data, FAST, "", (8,), donors, Texts(torch.zeros(24, 6), {}, {})
    )
    sample, expression = data[0], data[0].expressions[0]
    covered = token_coverage(target_mask(sample, expression), model)
    scores = np.random.default_rng(0).normal(size=144)
    row = next(
        row
        for row in mask_controls(context, scores, sample, expression, covered, PRIMARY)
        if row["control"] == "other_masks"
    )
    drawn = choose_foreign_masks(
        donors, sample, 9, 144, np.random.default_rng([0, expression.sent_id, 3])
    )
    expected = np.mean([measures(scores, donors[i].coverage, (8,))["ri"] for i in drawn])
    assert row["ri"] == pytest.approx(expected, abs=1e-12)
    assert row["n_draws"] == len(drawn) == 20


def test_a_crowd_is_no_other_object():
    model, sample = PlantedModel(), related_data(1)[0]
    expression = next(
        e
        for e in sample.expressions
        if distractor(model, sample, e, True, np.random.default_rng(0)) is not None
    )
    crowds = {
        ann_id: SimpleNamespace(category_id=a.category_id, crowd=ann_id not in expression.ann_ids)
        for ann_id, a in sample.annotations.items()
    }
    crowded = dataclasses.replace(sample, annotations=crowds)
    for same_category in (True, False):
        assert (
            distractor(model, crowded, expression, same_category, np.random.default_rng(0)) is None
        )
    found, _ = image_targets(planted_data(1), model, crowded)
    assert {e.sent_id: keys["n_same_category"] for _, e, keys, _ in found}[expression.sent_id] == 1


def test_controls_take_their_explanation_away(instance, background):
    rows = read_rows(instance)
    assert abs(primary(rows, "moved_mask").ri.mean()) < 0.1
    assert primary(rows, "same_category_object").ri.mean() < 0.1
    assert primary(rows, "other_text", "shuffled").ri.mean() < 0.3
    assert primary(rows, "other_category_object").ri.mean() < 0.1
    # A category holds two names or three: a text of the same category names another of its objects.
    assert primary(rows, "same_category_text", "shuffled").ri.mean() < 0.1
    free = read_rows(background)
    shuffled, true = primary(free, "other_text", "shuffled"), primary(free)
    assert shuffled.ri.to_numpy() == pytest.approx(true.ri.to_numpy(), abs=1e-12)
    for mode in ("empty", "photo", "instruction", "mean"):
        assert primary(free, "no_text", mode).ri.to_numpy() == pytest.approx(true.ri.to_numpy())
    assert abs(primary(rows, "other_masks").ri.mean()) < 0.3


def test_rows_hold_every_construction_once(instance):
    rows = read_rows(instance)
    tags = ["sent_id", "probe", "layer", "sim", "text_mode", "control", "labels"]
    assert not rows.duplicated(tags).any()
    everywhere = (
        rows[
            ~rows.control.isin(
                ["same_category_text", "same_category_object", "other_category_object"]
            )
        ]
        .groupby("sent_id")
        .size()
    )
    # 4 wordings, other texts, 4 times no text, other masks, the moved mask, blobs, 5 scores without
    # text, an oracle, 2 of random weights.
    assert set(everywhere) == {20}
    assert {"same_category_text", "same_category_object", "other_category_object"} <= set(
        rows.control
    )
    assert (rows[rows.control == "moved_mask"].n_draws == 40).all()
    assert (rows[rows.control == "other_masks"].n_draws == 20).all()
    kinds = {
        control: set(group)
        for control, group in rows.dropna(subset="same_category").groupby("control").same_category
    }
    assert kinds == {
        "other_text": {False},
        "same_category_text": {True},
        "same_category_object": {True},
        "other_category_object": {False},
    }
    assert rows.loc[rows.control == "none", "rank_agreement"].between(-1, 1).all()


def test_tables_are_tidy_and_hold_intervals(instance):
    summary = read_summary(instance)
    ri = summary.table("ri")
    line = ri[
        (ri.control == "none")
        & (ri.probe == "released")
        & (ri.text_mode == "template")
        & (ri.labels == "primary")
    ]
    assert line.ri.item() == 1.0
    assert line.n.item() == 72
    assert line.n_images.item() == 24
    recall = summary.table("recall")
    assert recall[(recall.kept == "lowest") & (recall.budget == 16)].recall.item() == 1.0
    assert set(recall.ranking) == {"similarity", *TEXT_FREE, "mask"}
    strata = summary.table("strata")
    assert set(strata[strata.stratum == "kind"].group) == {"attribute", "place"}
    assert strata[strata.stratum == "kind"].n.sum() == 72


def test_the_group_of_long_expressions_says_that_it_holds_longer_ones(instance):
    true = primary(read_rows(instance))
    table = strata_table(true.assign(n_words=np.arange(len(true)) % 13 + 1))
    words = table[table.stratum == "n_words"]
    assert words.group.tolist() == [*map(str, range(1, 10)), "10 or more"]
    assert words.n.sum() == len(true)
    assert "10" not in set(words.group)


def named(names, studied):
    """Stands for loading towers: whatever name is asked for prefers background."""
    return tuple(
        ClipModel(name, PlantedTower(None, None, signal="background"), "0", studied)
        for name in names
    )


def test_other_clip_models_get_rows_and_claims_of_their_own(instance, tmp_path, monkeypatch):
    monkeypatch.setattr(import_module(CLIPS), "load_clips", named)
    folder = study(tmp_path, "instance", config=FAST.model_copy(update={"clip": ("other",)}))
    rows = read_rows(folder)
    own = rows[rows.clip_model == ""].reset_index(drop=True)
    pd.testing.assert_frame_equal(own, read_rows(instance))
    other = rows[rows.clip_model == "other"]
    assert primary(other).ri.mean() == pytest.approx(1 - 18 / 135, abs=0.02)
    assert other.rec_low_8.isna().all()
    assert "random_weights" not in set(other.control)
    found = verdicts(folder)
    assert (found["H2"], found["H2@other"]) == ("supported", "not supported")
    assert "H2.random@other" not in found
    summary = read_summary(folder)
    assert "Other CLIP models: " in summary.interpretation
    assert "H2@other not supported" in summary.interpretation
    # What its crop cannot label is counted: the three expressions of image 1.
    claims = {
        c.id: c
        for c in reversal.make_claims(rows[(rows.clip_model == "") | (rows.image_id != 1)], FAST)
    }
    assert claims["H1.sign@other"].excluded == {"cannot be labelled in this model's crop": 3}
    assert (claims["H1.sign"].n, claims["H1.sign@other"].n, claims["H1.sign"].excluded) == (
        72,
        69,
        {},
    )
    assert set(summary.table("layers").clip_model) == {"", "other"}
    assert set(summary.table("layers").layer) == {-2, -1}
    assert summary.table("strata").n.max() == 72


# --- bad data -------------------------------------------------------------------------------------


def odd_data():
    """Unusable targets among good ones.

    A full mask, an expression without a target and one outside the crop of a wide image.
    """
    data = planted_data(4)
    full = sample_of(50, np.ones(GRID, dtype=int), [1])
    lost = sample_of(51, data[0].codes, [1])
    lost = dataclasses.replace(
        lost, expressions=(dataclasses.replace(lost.expressions[0], ann_ids=(-1,)),)
    )
    codes = np.zeros((12, 24), dtype=int)
    codes[4:7, 0:3], codes[4:7, 10:13] = 1, 2
    wide = sample_of(52, codes, [1, 2])
    return PlantedData([*data, full, lost, wide])


def test_expressions_that_cannot_be_labelled_are_counted_by_reason(tmp_path):
    folder = study(tmp_path, "background", odd_data())
    record = read_record(folder)
    assert record.state == "done"
    assert record.counts.expected == 12
    assert record.counts.skipped == {FILLS_IMAGE: 1, NO_TARGET: 1, OUTSIDE_CROP: 1}
    assert record.counts.done == 9
    assert set(read_rows(folder).image_id) == {1, 2, 3, 4, 52}


def test_constant_scores_are_at_chance_and_not_supported(tmp_path):
    model = PlantedModel("background", noise=0.0)
    model.tower.sentence_embedding = lambda sentence: torch.zeros(6)
    folder = study(tmp_path, "background", model=model)
    row = primary(read_rows(folder)).iloc[0]
    assert (row.ri, row.gap, row.msc) == (0.0, 0.0, 0.0)
    assert verdicts(folder)["H1"] == "not supported"


def test_nan_scores_are_refused_and_the_sample_is_named(tmp_path):
    model = PlantedModel("instance")
    clean, data = model.tower.image, related_data()

    def image(pixels):
        found = clean(pixels)
        if (found.codes.numpy() == data[4].codes).all():
            found.patch_embeds[0, 7] = float("nan")
        return found

    model.tower.image = image
    folder = study(tmp_path, "instance", data, model=model)
    record = read_record(folder)
    assert record.state == "failed"
    assert record.counts.failed == 3
    (failure,) = record.failures
    assert "image_id 5, sent_id 500" in failure
    assert "holds NaN; check the image" in failure
    assert 5 not in set(read_rows(folder).image_id)


def test_one_image_gives_no_interval_and_no_verdict(tmp_path):
    folder = study(tmp_path, "instance", related_data(1))
    assert read_record(folder).state == "done"
    summary = read_summary(folder)
    assert {claim.verdict for claim in summary.claims} == {"undetermined"}
    assert {claim.id for claim in summary.claims} == {"H1.sign", "H3", "H3.other", "N4"}
    assert all(np.isnan(claim.low) for claim in summary.claims)


def test_nothing_to_study_gives_no_claims(tmp_path):
    full = PlantedData([sample_of(1, np.ones(GRID, dtype=int), [1])])
    folder = study(tmp_path, "instance", full)
    assert read_summary(folder).claims == ()
    assert read_record(folder).counts.skipped == {FILLS_IMAGE: 1}


def test_what_a_claim_leaves_out_is_counted_by_reason(instance):
    rows = read_rows(instance)
    # Image 1 mostly out of sight (3 expressions); of the 69 others one lacks a foreign text.
    rows.loc[rows.image_id == 1, "visible_frac"] = 0.4
    seen = rows[(rows.image_id > 1) & (rows.control == "none")]
    alone = (
        seen.sent_id.nunique()
        - rows[(rows.image_id > 1) & (rows.control == "same_category_object")].sent_id.nunique()
    )
    rows = rows[~((rows.sent_id == 301) & (rows.control == "other_text"))]
    claims = {claim.id: claim for claim in reversal.make_claims(rows, FAST)}
    hidden = {"target less than half visible": 3}
    assert (
        claims["H1.sign"].excluded
        == claims["H1"].excluded
        == claims["H1.centre"].excluded
        == hidden
    )
    assert claims["H2"].excluded == hidden | {"no text of another image and category": 1}
    assert claims["H3"].excluded == hidden | {
        "no other object of the category that can be labelled": alone
    }
    assert all(claim.n + sum(claim.excluded.values()) == 72 for claim in claims.values())
    assert all("targets at least half visible" in claim.statement for claim in claims.values())


# --- donors ---------------------------------------------------------------------------------------


def test_donors_come_from_other_images_and_fit():
    data, rng = planted_data(), np.random.default_rng(0)
    donors = draw_foreign(data, PlantedModel(), 24, seed=0)
    assert len({(d.image_id, d.sent) for d in donors}) == 24
    assert len({d.image_id for d in draw_foreign(data, PlantedModel(), 12, seed=0)}) == 12
    sample, expression = data[0], data[0].expressions[0]
    other = choose_foreign_texts(donors, sample, expression, 4, False, rng)
    assert len(other) == 4
    assert all(donors[i].image_id != sample.image_id for i in other)
    assert all(not donors[i].categories & set(expression.category_id) for i in other)
    same = choose_foreign_texts(donors, sample, expression, 4, True, rng)
    assert all(donors[i].categories & set(expression.category_id) for i in same)
    alike = [donor._replace(sent=f" {expression.sent.upper()}") for donor in donors[:-1]]
    for same_category in (False, True):
        found = choose_foreign_texts(
            [*alike, donors[-1]], sample, expression, 4, same_category, rng
        )
        assert set(found.tolist()) <= {len(alike)}
    masks = choose_foreign_masks(donors, sample, 9, 144, rng)
    assert len(set(masks.tolist())) == 20
    assert all(donors[i].image_id != sample.image_id for i in masks)
    assert len(choose_foreign_masks(donors[:0], sample, 9, 144, rng)) == 0
    assert len(choose_foreign_masks(donors[:5], sample, 9, 144, rng)) == sum(
        d.image_id != 1 for d in donors[:5]
    )
