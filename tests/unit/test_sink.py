"""The attention-sink study on planted attention."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
import torch
from planted import PlantedData, PlantedModel, planted_data

from litelvlm.analysis.api import complete_run, read_record, read_rows, read_summary
from litelvlm.analysis.inputs.clip_models import randomised
from litelvlm.analysis.signals.text_attention import (
    MEAN_HEAD,
    TRUNCATED,
    UnusableTextError,
    attention_measures,
    carried_shares,
    content_positions,
    permuted,
)
from litelvlm.analysis.studies import sink
from tests.study_inputs import CONTROL_WORDS, NO_WORDS

FAST = sink.Config(chunk_size=5, random_seeds=2)


def claims_of(rows):
    return sink.make_claims(rows, sink.Config())


def study(out, pull, data=None, config=FAST):
    return complete_run(
        sink.STUDY, PlantedModel(pull=pull), planted_data() if data is None else data, config, out
    )


def verdicts(folder):
    return {claim.id: claim.verdict for claim in read_summary(folder).claims}


def test_measures_by_hand():
    # [SOS] .5, content .2 + .1, punctuation .1, [EOS] .1; T = 5.
    rows = np.array([[[0.5, 0.2, 0.1, 0.1, 0.1]]])
    found = {
        name: v.item()
        for name, v in attention_measures(rows, np.array([1, 2]), np.array([3])).items()
    }
    assert found["a_sos"] == 0.5
    assert found["lift"] == 2.5
    assert found["content_share"] == pytest.approx(0.3)
    assert found["content_uniform"] == pytest.approx(0.4)
    assert found["punct_share"] == pytest.approx(0.1)
    assert found["self_share"] == pytest.approx(0.1)
    entropy = -(0.5 * np.log(0.5) + 0.2 * np.log(0.2) + 3 * 0.1 * np.log(0.1))
    assert found["entropy_norm"] == pytest.approx(entropy / np.log(5))


@pytest.mark.parametrize("length", [6, 9, 15])
def test_uniform_attention_has_lift_one_and_full_entropy_at_every_length(length):
    none = np.array([], dtype=np.int64)
    found = attention_measures(np.full((2, 3, length), 1 / length), none, none)
    assert found["lift"] == pytest.approx(np.ones((2, 3)))
    assert found["entropy_norm"] == pytest.approx(np.ones((2, 3)))


def test_attention_without_entropy_is_a_number():
    none = np.array([], dtype=np.int64)
    assert (
        attention_measures(np.array([[[1.0, 0.0, 0.0]]]), none, none)["entropy_norm"].item() == 0.0
    )


@pytest.mark.parametrize("bad", [[0.5, 0.1], [np.nan, 1.0]])
def test_rows_that_are_no_attention_are_refused(bad):
    with pytest.raises(ValueError, match="does not sum to 1"):
        attention_measures(np.array([[bad]]), np.array([1]), np.array([1]))


def test_content_is_found_inside_its_sentence():
    assert content_positions([1, 9, 5, 6, 8, 2], [5, 6]).tolist() == [2, 3]
    with pytest.raises(UnusableTextError, match="do not stand together"):
        content_positions([1, 9, 5, 8, 6, 2], [5, 6])
    with pytest.raises(UnusableTextError, match="leaves nothing of the expression"):
        content_positions([1, 9, 2], [])


def test_permuted_words_are_the_same_words():
    text = "the small red ball on the left"
    other = permuted(text, np.random.default_rng(0))
    assert sorted(other.split()) == sorted(text.split())
    assert other != text
    assert permuted("ball", np.random.default_rng(0)) == "ball"


def test_a_planted_sink_is_found_and_random_weights_have_none(tmp_path):
    folder = study(tmp_path, 2.0)
    found = verdicts(folder)
    assert found.pop("share.words") == "not supported"
    assert set(found) == {"H4", "H4.random", "H4.null", "H4.order", "share.sos", "share.most"}
    assert set(found.values()) == {"supported"}
    rows = read_rows(folder)
    trained = rows[
        (rows.text_mode == "template") & (rows.weights == "trained") & (rows["query"] == "eos")
    ]
    # softmax of one logit of 2 among T: e^2 / (e^2 + T - 1).
    expected = np.exp(2) / (np.exp(2) + trained.n_tokens - 1)
    assert trained.a_sos.to_numpy() == pytest.approx(expected.to_numpy(), abs=1e-6)
    random = rows[rows.weights == "random"]
    assert random.lift.to_numpy() == pytest.approx(1.0, abs=1e-6)
    assert set(random["head"]) == {MEAN_HEAD}
    assert set(random.weights_seed) == {0, 1}
    # [SOS] carries a tenth of what a word does, whatever attention it gets: e^2 / 10 of e^2 / 10 +
    # T - 1.
    carried = np.exp(2) / 10 / (np.exp(2) / 10 + trained.n_tokens - 1)
    assert trained.norm_share.to_numpy() == pytest.approx(carried.to_numpy(), abs=1e-6)


def test_uniform_attention_supports_nothing(tmp_path):
    folder = study(tmp_path, 0.0)
    assert verdicts(folder)["H4"] != "supported"
    assert verdicts(folder)["H4.random"] != "supported"
    told = read_summary(folder).interpretation
    assert "no sink" in told or "is undetermined here" in told


def test_attention_away_from_sos_is_not_supported(tmp_path):
    assert verdicts(study(tmp_path, -2.0))["H4"] == "not supported"


def test_rows_and_tables_are_complete(tmp_path):
    folder = study(tmp_path, 1.0)
    rows = read_rows(folder)
    # 2 layers: template, expression and permuted with 3 heads and their mean; two random towers as
    # means over heads only.
    assert (rows.groupby("sent_id").size() == 2 * (4 + 4 + 4 + 2)).all()
    assert not rows.duplicated(
        ["sent_id", "text_mode", "weights", "weights_seed", "query", "layer", "head"]
    ).any()
    bare = rows[(rows.text_mode == "expression") & (rows["head"] == 0) & (rows.layer == 0)]
    assert (bare.n_tokens == 4).all()
    asked = rows[(rows.text_mode == "template") & (rows["head"] == 0) & (rows.layer == 0)]
    # "Can you segment the the ball in this image?": 9 words and a mark between [SOS] and [EOS].
    assert (asked.n_tokens == 12).all()
    assert (asked.content_uniform == 2 / asked.n_tokens).all()
    assert (asked.punct_share > 0).all()
    summary = read_summary(folder)
    grid = summary.table("grid")
    # 2 layers x 3 heads of three wordings.
    assert len(grid) == 18
    assert set(grid.text_mode) == {"template", "expression", "permuted"}
    assert (grid.low <= grid.lift).all()
    assert (grid.q >= grid.p).all()
    layers = summary.table("layers")
    # Four wordings or weights with 12 measures of [EOS].
    assert len(layers) == 2 * 4 * 12
    line = layers[(layers.weights == "random") & (layers.measure == "lift") & (layers.layer == 1)]
    assert line["mean"].item() == pytest.approx(1.0)
    lengths = summary.table("length")
    assert (lengths.uniform_a_sos == 1 / lengths.n_tokens).all()
    assert lengths.entropy.max() <= np.log(12) + 1e-6
    positions = summary.table("positions")
    assert positions.groupby(["layer", "kind"]).share.sum().to_numpy() == pytest.approx(1.0)
    assert len(positions) == 2 * 5 * 3


def test_what_is_carried_is_split_by_norm():
    found = carried_shares(np.array([2.0, 1.0, 1.0, 4.0]), np.array([1]), np.array([2]))
    assert [
        found[name].item() for name in ("norm_share", "norm_content", "norm_punct", "norm_self")
    ] == [
        0.25,
        0.125,
        0.125,
        0.5,
    ]


def test_a_tower_that_reads_the_order_or_whose_random_twin_has_a_sink_fails_its_nulls():
    same = {"head": MEAN_HEAD, "query": "eos", "weights": "trained"}
    parts = [
        same | {"text_mode": mode, "lift": lift}
        for mode, lift in (("template", 1.5), ("permuted", 1.2))
    ]
    parts.append(same | {"weights": "random", "text_mode": "template", "lift": 1.3})
    ids = {"image_id": np.arange(25), "sent_id": np.arange(25)}
    claims = claims_of(pd.concat([pd.DataFrame(ids | part) for part in parts]))
    found = {claim.id: claim.verdict for claim in claims}
    assert (found["H4.null"], found["H4.order"]) == ("not supported", "not supported")
    wide = {
        claim.id: claim.verdict
        for claim in sink.make_claims(
            pd.concat([pd.DataFrame(ids | p) for p in parts]), sink.Config(margin=0.4)
        )
    }
    assert (wide["H4.null"], wide["H4.order"]) == ("supported", "supported")


def test_expressions_that_cannot_be_read_are_skipped_with_their_reason(tmp_path):
    data = planted_data(3)
    bad = ("  ", "<p>", "ball " * 20)
    for image, sents in ((0, bad[:2]), (1, bad[2:])):
        own = data[image].expressions
        worded = [dataclasses.replace(e, sent=s) for e, s in zip(own, sents, strict=False)]
        data[image] = data[image].with_expressions((*worded, *own[len(worded) :]))
    record = read_record(study(tmp_path, 1.0, data))
    assert (record.state, record.counts.done) == ("done", 3)
    assert record.counts.skipped == {NO_WORDS: 1, CONTROL_WORDS: 1, TRUNCATED: 1}


def test_one_image_and_no_usable_text(tmp_path):
    folder = study(tmp_path / "one", 2.0, planted_data(1))
    assert set(verdicts(folder).values()) == {"undetermined"}
    assert read_summary(folder).table("grid").q.isna().all()
    data = planted_data(1)
    long = tuple(dataclasses.replace(e, sent="ball " * 20) for e in data[0].expressions)
    data = PlantedData([dataclasses.replace(data[0], expressions=long)])
    empty = study(tmp_path / "none", 2.0, data)
    assert read_summary(empty).claims == ()
    assert "undetermined" in read_summary(empty).interpretation


def test_random_weights_can_be_left_out(tmp_path):
    folder = study(tmp_path, 2.0, config=FAST.model_copy(update={"random_seeds": 0}))
    shares = {"share.sos", "share.words", "share.most"}
    assert set(verdicts(folder)) == {"H4", "H4.order"} | shares
    assert "not compared" in read_summary(folder).interpretation


def test_the_random_tower_leaves_the_given_one_and_the_generator_alone():
    model = PlantedModel(pull=2.0)
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    other = randomised(model, seed=1)
    assert torch.equal(torch.rand(3), expected)
    assert model.tower.clip.pull.item() == 2.0
    assert other.clip.pull.item() == 0.0


def test_shares_of_attention_are_judged_against_uniform_and_each_other():
    rng, n = np.random.default_rng(0), 60
    frame = pd.DataFrame(
        {
            "image_id": np.arange(n) // 2,
            "sent_id": np.arange(n),
            "category_id": np.arange(n) % 5,
            "head": MEAN_HEAD,
            "query": "eos",
            "text_mode": "template",
            "weights": "trained",
            "n_tokens": 10,
            "lift": 5.0,
            "a_sos": 0.5 + rng.normal(0, 0.02, n),
            "content_share": 0.1 + rng.normal(0, 0.02, n),
            "content_uniform": 0.3,
        }
    )
    found = {claim.id: claim for claim in claims_of(frame)}
    assert found["share.sos"].estimate == pytest.approx(0.4, abs=0.01)
    assert "pays 50" in found["share.sos"].statement
    assert found["share.sos"].verdict == found["share.most"].verdict == "supported"
    assert found["share.words"].estimate == pytest.approx(-0.2, abs=0.01)
    assert found["share.words"].verdict == "not supported"
    # A true zero is shown by the margin of a hundredth of all attention.
    equal = frame.assign(content_share=0.3 + rng.normal(0, 0.02, n))
    zero = {claim.id: claim for claim in claims_of(equal)}["share.words"]
    assert (zero.margin, zero.verdict) == (0.01, "not supported")
    assert zero.equivalent
    assert "other categories (5 seen)" in found["H4"].generalises
