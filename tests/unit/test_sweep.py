"""The accuracy sweep on a planted model.

It segments exactly the kept tokens of the named object.
"""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from planted import PATCH, PlantedData, PlantedModel, planted_data

from litelvlm.analysis.api import complete_run, read_record, read_rows, read_summary
from litelvlm.analysis.runs.formatting import interval
from litelvlm.analysis.studies import sweep
from litelvlm.analysis.studies.sweep.paired import pair_scores
from litelvlm.analysis.studies.sweep.tables import comparison_table

METHODS = ("litelvlm", "high_similarity", "random", "uniform", "mask_oracle", "inverse_mask_oracle")
FAST = sweep.Config(methods=METHODS, budgets=(48, 16), seeds=3, chunk_size=5, batch_size=4)


def study(out, model=None, data=None, config=FAST):
    return complete_run(
        sweep.STUDY, model or PlantedModel(), planted_data() if data is None else data, config, out
    )


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    model = PlantedModel()
    return model, study(tmp_path_factory.mktemp("sweep"), model)


def test_rows_hold_every_cell_once_with_its_pixels(swept):
    rows = read_rows(swept[1])
    assert not rows.duplicated(["sent_id", "method", "budget", "seed"]).any()
    # none once, five methods at two budgets, random with three seeds at two budgets.
    assert (rows.groupby("sent_id").size() == 1 + 5 * 2 + 3 * 2).all()
    area = 9 * PATCH**2
    none = rows[rows.method == "none"]
    assert (none.budget == 144).all()
    assert (none.n_kept == 144).all()
    assert (none.inter_px == area).all()
    assert (none.iou == 1.0).all()
    assert (rows[rows.method != "none"].n_kept == rows[rows.method != "none"].budget).all()
    assert (rows[rows.method == "litelvlm"].iou == 1.0).all()
    # Half of 16 tokens go to the 9 of the target, half of 48 hold them all.
    oracle = rows[rows.method == "mask_oracle"]
    assert (oracle[oracle.budget == 48].iou == 1.0).all()
    assert oracle[oracle.budget == 16].iou.between(8 / 9 - 1e-9, 1).all()
    assert (rows[rows.method == "inverse_mask_oracle"].inter_px == 0).all()
    for threshold in (0.5, 0.7, 0.9):
        assert (rows[f"p{round(100 * threshold)}"] == (rows.iou >= threshold)).all()
    assert rows.p90.nunique() == 2
    assert rows.seg_found.all()
    assert (rows[rows.method != "litelvlm"].n_ctx == 0).all()
    assert set(rows[rows.method == "random"].seed) == {0, 1, 2}
    assert set(rows.protocol) == {"single"}


def test_each_image_is_encoded_once_and_batches_are_of_equal_length(swept):
    model, _ = swept
    assert model.encoded == 20
    assert all(len(set(batch)) == 1 and len(batch) <= 4 for batch in model.batches)
    assert sum(map(len, model.batches)) == 40 * 17


def test_claims_on_a_planted_advantage(swept):
    summary = read_summary(swept[1])
    claims = {claim.id: claim for claim in summary.claims}
    assert set(claims) == {"random@48", "random@16", "H8"}
    assert {claim.verdict for claim in claims.values()} == {"supported"}
    assert claims["H8"].estimate == 1.0
    assert claims["H8"].null == 0.9
    assert claims["random@16"].p_value < 0.01
    # A random sixth or third of the object's tokens is kept on average.
    assert claims["random@48"].estimate == pytest.approx(1 - 48 / 144, abs=0.06)
    assert "beats random tokens at 48, 16 tokens" in summary.interpretation


def test_a_budget_of_all_tokens_is_the_baseline_and_decides_nothing(tmp_path):
    config = sweep.Config(methods=["litelvlm", "random"], budgets=(144, 48), seeds=1)
    folder = complete_run(
        sweep.STUDY, PlantedModel("instance", noise=0.3), planted_data(4), config, tmp_path
    )
    summary = read_summary(folder)
    assert {claim.id for claim in summary.claims} == {"random@48", "H8"}
    assert "With 48 tokens" in next(claim.statement for claim in summary.claims if claim.id == "H8")
    rows = (
        read_rows(folder).set_index(["sent_id", "method", "budget"])["inter_px"].unstack("sent_id")
    )
    assert (rows.loc[("litelvlm", 144)] == rows.loc[("none", 144)]).all()


def test_tables_agree_with_rows(swept):
    rows, summary = read_rows(swept[1]), read_summary(swept[1])
    scores = summary.table("scores")
    chosen = rows[(rows.method == "random") & (rows.budget == 48)]
    line = scores[(scores.method == "random") & (scores.budget == 48)].set_index("metric")
    assert line.loc["ciou", "value"] == pytest.approx(chosen.inter_px.sum() / chosen.union_px.sum())
    assert line.loc["giou", "value"] == pytest.approx(chosen.iou.mean())
    assert line.loc["p50", "value"] == pytest.approx((chosen.iou >= 0.5).mean())
    assert (line.low <= line.value).all()
    assert (line.n_images == 20).all()
    assert (line.n == 40).all()
    compared = summary.table("comparisons").set_index(["method", "budget", "metric", "reference"])
    delta = compared.loc[("uniform", 48, "ciou", "random")]
    values = scores.set_index(["method", "budget", "metric"]).value
    assert delta.delta == pytest.approx(
        values["uniform", 48, "ciou"] - values["random", 48, "ciou"]
    )
    kept = compared.loc[("random", 48, "ciou", "none")]
    assert kept.retention == pytest.approx(values["random", 48, "ciou"])
    assert kept.retention_bound <= kept.retention
    assert (compared.p_holm >= compared.p).all()
    seeds = summary.table("seeds")
    assert len(seeds[(seeds.method == "random") & (seeds.budget == 48)]) == 3
    kinds = summary.table("kinds")
    assert set(kinds.kind) == {"attribute", "place"}
    assert (kinds[(kinds.method == "none") & (kinds.metric == "ciou")].value == 1.0).all()


def test_agreement_compares_with_the_unpruned_mask_and_not_with_the_truth(tmp_path):
    class Blurred(PlantedModel):
        """Loses the object's first patch, pruned or not: every mask errs, and all err alike."""

        def one(self, state, conversation, selection):
            found = super().one(state, conversation, selection)
            logits = found.logits.clone()
            patches = logits[:, 0].unfold(1, PATCH, PATCH).unfold(2, PATCH, PATCH)
            row, column = np.argwhere(np.isin(state.codes, code_of(conversation, state)))[0]
            patches[0, row, column] = -1.0
            return dataclasses.replace(found, logits=logits)

    def code_of(conversation, state):
        whole = super(Blurred, Blurred()).one(state, conversation, None).mask[0]
        return np.unique(state.codes[(whole[::PATCH, ::PATCH]).numpy()])

    config = sweep.Config(methods=("mask_oracle(share=1.0)", "uniform"), budgets=(48,), seeds=1)
    folder = complete_run(sweep.STUDY, Blurred(), planted_data(6, objects=1), config, tmp_path)
    rows = read_rows(folder)
    oracle = rows[rows.method == "mask_oracle(share=1.0)"]
    assert (oracle.iou == 8 / 9).all()
    assert (oracle.agreement == 1.0).all()
    assert (rows[rows.method == "none"].agreement == 1.0).all()
    even = rows[rows.method == "uniform"]
    assert (even.same_union_px == 8 * PATCH**2).all()
    assert (even.same_inter_px == even.inter_px).all()
    table = read_summary(folder).table("agreement").set_index(["method", "budget"])
    line = table.loc["uniform", 48]
    assert line.agreement == pytest.approx(even.same_inter_px.sum() / even.same_union_px.sum())
    assert line.ciou == pytest.approx(even.inter_px.sum() / even.union_px.sum())
    assert (line.n_kept, line.n_average) == (48, 48.0)
    assert table.loc[("none", 144), "agreement"] == 1.0


def test_batch_size_changes_no_row(swept, tmp_path):
    folder = study(tmp_path, config=FAST.model_copy(update={"batch_size": 1}))
    assert folder.name != swept[1].name
    pd.testing.assert_frame_equal(read_rows(folder), read_rows(swept[1]))


def test_a_model_that_needs_no_tokens_shows_no_advantage(tmp_path):
    model = PlantedModel()
    whole = model.one
    model.one = lambda state, talk, selection: whole(state, talk, None)
    folder = study(tmp_path, model)
    found = {claim.id: claim for claim in read_summary(folder).claims}
    assert found["random@48"].verdict == "not supported"
    assert found["random@48"].estimate == 0.0
    assert found["random@48"].p_value == 1.0
    assert found["H8"].verdict == "supported"


def test_high_similarity_fails_where_the_signal_is_reversed(swept):
    compared = (
        read_summary(swept[1])
        .table("comparisons")
        .set_index(["method", "budget", "metric", "reference"])
    )
    line = compared.loc[("high_similarity", 48, "ciou", "random")]
    assert line.high < 0
    assert line.p_holm < 0.05


# --- configuration --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"methods": ("litelvm",)}, "did you mean 'litelvlm'"),
        ({"methods": ()}, "methods"),
        ({"methods": ("random", "random")}, "twice: random"),
        ({"methods": ({"name": "litelvlm", "fields": {"sead": 1}},)}, "sead"),
        ({"budgets": ()}, "budgets"),
        ({"seeds": 0}, "seeds"),
        ({"protocol": "offical"}, "protocol"),
        ({"protocol": "official", "answer_index": 1}, "draws its templates"),
        ({"method": ("random",)}, "method"),
    ],
)
def test_bad_configurations_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        sweep.Config(**fields)


def test_budgets_beyond_the_model_are_refused(tmp_path):
    with pytest.raises(
        ValueError, match="budget 145 is not a whole number of tokens from 1 to 144"
    ):
        study(tmp_path, config=FAST.model_copy(update={"budgets": (145,)}))


# --- bad data -------------------------------------------------------------------------------------


def test_an_expression_without_target_counts_as_the_official_score_does(tmp_path):
    data = planted_data(2)
    first = data[0]
    lost = dataclasses.replace(first.expressions[0], ann_ids=(-1,))
    data[0] = dataclasses.replace(first, expressions=(lost, *first.expressions[1:]))
    rows = read_rows(study(tmp_path, data=data))
    found = rows[rows.sent_id == lost.sent_id]
    assert (found.visible_frac == 0).all()
    assert set(found.n_in) == {0}
    assert set(rows[rows.sent_id != lost.sent_id].n_in) == {9}
    # Something is predicted where nothing is meant: IoU 0. The inverse oracle has no mask to avoid.
    assert (found[found.method == "none"].iou == 0).all()


def test_a_nan_state_fails_its_image_and_the_rest_goes_on(tmp_path):
    model, data = PlantedModel(), planted_data(3)
    clean = model.encode_image

    def encode(image):
        state = clean(image)
        if (state.codes == data[1].codes).all():
            state.clip.patch_embeds = state.clip.patch_embeds * float("nan")
        return state

    model.encode_image = encode
    folder = study(tmp_path, model, data)
    record = read_record(folder)
    assert record.state == "failed"
    assert record.counts.failed == 2
    assert "image_id 2, sent_id 200" in record.failures[0]
    assert "NaN" in record.failures[0]
    assert set(read_rows(folder).image_id) == {1, 3}
    assert read_summary(folder).partial


def test_a_prediction_of_the_wrong_size_names_its_sample(tmp_path):
    model = PlantedModel()
    whole = model.one

    def cut(state, talk, selection):
        found = whole(state, talk, selection)
        return dataclasses.replace(found, logits=found.logits[:, :, :-1])

    model.one = cut
    with pytest.raises(RuntimeError, match=r"no sample succeeded.*image_id 1, sent_id 100"):
        study(tmp_path, model, planted_data(1))


def test_one_image_has_no_verdict(tmp_path):
    folder = study(tmp_path, data=planted_data(1))
    claims = read_summary(folder).claims
    assert {claim.verdict for claim in claims} == {"undetermined"}
    assert read_summary(folder).table("comparisons").p_holm.isna().all()


def test_a_sweep_without_the_paper_s_method_makes_no_claim(tmp_path):
    folder = study(tmp_path, config=sweep.Config(methods=("uniform",), budgets=(16,)))
    summary = read_summary(folder)
    assert summary.claims == ()
    scores = summary.table("scores").set_index(["method", "budget", "metric"])["value"]
    told = f"uniform at 16 {scores['uniform', 16, 'ciou']:.3f} ["
    assert told in summary.interpretation.partition("Minus")[0]
    assert "Minus random" not in summary.interpretation
    assert "random" not in set(summary.table("comparisons").reference)


def test_a_method_of_ones_own_is_told_by_its_lead_over_random_tokens(tmp_path):
    folder = study(tmp_path, config=sweep.Config(methods=("uniform", "random"), budgets=(16,)))
    summary = read_summary(folder)
    pairs = summary.table("comparisons").set_index(["method", "metric", "reference"])
    line = pairs.loc["uniform", "ciou", "random"]
    told = interval(line["low_categories"], line["high_categories"])
    assert summary.interpretation.endswith(
        f"Minus random tokens: uniform at 16 {line['delta']:.3f} {told}."
    )


def test_rows_that_lack_a_cell_are_refused(swept):
    rows = read_rows(swept[1])
    with pytest.raises(ValueError, match="expression 100 lacks"):
        pair_scores(rows.drop(index=rows.index[(rows.sent_id == 100) & (rows.method == "uniform")]))


def test_an_unpruned_model_that_finds_nothing_has_no_retention():
    rows = pd.DataFrame(
        {
            "image_id": [1, 1, 2, 2],
            "sent_id": [1, 1, 2, 2],
            "method": ["none", "litelvlm"] * 2,
            "budget": [144, 16] * 2,
            "seed": 0,
            "inter_px": 0,
            "union_px": 5,
            "iou": 0.0,
            "target_px": 5,
            "kind": "unspecified",
        }
    )
    (claim,) = sweep.make_claims(rows, sweep.Config())
    assert (claim.id, claim.verdict) == ("H8", "undetermined")
    assert "the unpruned cIoU is 0 on these images" in claim.method
    assert np.isnan([claim.estimate, claim.low, claim.high, claim.p_value]).all()
    assert "is undetermined" in sweep.interpret([claim], {})
    table = comparison_table(pair_scores(rows))
    assert np.isnan(table.retention).all()


def sweep_rows(found):
    """Two cells per image, with 100 pixels of union.

    The pixels are found by the unpruned model and by the paper's method.
    """
    return pd.DataFrame(
        [
            {"image_id": image, "sent_id": image, "method": method, "budget": budget, "seed": 0}
            | {"inter_px": pixels, "union_px": 100, "iou": pixels / 100, "kind": "unspecified"}
            for image, pair in enumerate(found, start=1)
            for method, budget, pixels in (("none", 144, pair[0]), ("litelvlm", 16, pair[1]))
        ]
    )


def test_a_resample_without_a_hit_leaves_h8_undetermined_and_says_so():
    # The unpruned model finds something in one of three images: (2/3)^3 of the resamples, about
    # 2963 of 10000, hold none.
    claims = sweep.make_claims(sweep_rows([(50, 50), (0, 0), (0, 0)]), sweep.Config())
    (claim,) = claims
    assert (claim.verdict, claim.estimate) == ("undetermined", 1.0)
    lost = int(
        claim.method.removeprefix("undefined: the unpruned cIoU is 0 on ").split(
            " of 10000 resamples"
        )[0]
    )
    assert lost == pytest.approx(10_000 * (2 / 3) ** 3, abs=200)


def test_the_p_value_of_h8_agrees_with_its_one_sided_bound():
    rng = np.random.default_rng(0)
    whole = rng.integers(40, 90, 40)
    for share in (0.91, 0.92, 0.93, 0.94, 0.95, 0.89, 0.85):
        kept = whole * (share + rng.normal(0, 0.08, 40))
        (claim,) = sweep.make_claims(
            sweep_rows(list(zip(whole, kept, strict=True))), sweep.Config()
        )
        assert claim.one_sided
        # The bound is the 5 % quantile of the draws and p their share up to the null, which adds
        # one to both counts.
        assert (claim.low > claim.null) == (claim.p_value < 0.05 + 1e-3)
        assert (claim.high <= claim.null) == (claim.p_value > 0.95 - 1e-3)
        assert (claim.p_value > 0.5) == (claim.estimate < claim.null)


def test_empty_data_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="no images"):
        study(tmp_path, data=PlantedData())
