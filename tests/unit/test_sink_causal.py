"""The causal claim on made-up changes of the reversal index."""

import numpy as np
import pandas as pd
import pytest
from planted import PlantedModel

from litelvlm.analysis.signals.text_attention import SPLIT_WORDS, TRUNCATED
from litelvlm.analysis.studies import sink_causal
from litelvlm.analysis.studies.sink_causal.edits import layer_sets, readable
from litelvlm.analysis.studies.sink_causal.rows import compared

CHANGES = ("mask_sos", "zero_sos_value", "mask_content", "zero_content_value")


def claims_of(rows):
    return sink_causal.make_claims(rows, sink_causal.Config())


def tables_of(rows):
    return sink_causal.make_tables(rows, sink_causal.Config())


def made_up(sos=0.0, value=0.0, content=0.0, noise=0.01, n_images=30, seed=0):
    rng, rows = np.random.default_rng(seed), []
    for sent_id in range(2 * n_images):
        keys = {
            "image_id": sent_id // 2,
            "sent_id": sent_id,
            "visible_frac": 1.0,
            "layer_set": "all",
        }
        for name, mean in zip(CHANGES, (sos, value, content, content), strict=True):
            change = rng.choice([-1, 1]) * mean + noise * rng.normal()
            row = {"d_ri": change, "abs_d_ri": abs(change), "cos_eos": 0.9, "jaccard_8": 0.5}
            rows.append(keys | row | {"intervention": name})
    return pd.DataFrame(rows)


def verdicts(rows):
    return {claim.id: claim.verdict for claim in claims_of(rows)}


def test_changes_of_either_sign_do_not_cancel():
    rows = made_up(sos=0.2, value=0.2)
    assert abs(rows.loc[rows.intervention == "mask_sos", "d_ri"].mean()) < 0.06
    found = verdicts(rows)
    assert [found[id] for id in ("H5.mask", "H5.value", "H5")] == ["supported"] * 3
    claim = next(claim for claim in claims_of(rows) if claim.id == "H5.mask")
    assert claim.estimate == pytest.approx(0.2, abs=0.02)
    assert (claim.n, claim.n_images, claim.one_sided) == (60, 30, False)
    # Kept tokens and embeddings are planted alike.
    assert {found[f"{id}.{m}"] for id in ("H5.mask", "H5.value") for m in ("kept", "text")} == {
        "not supported"
    }


def test_a_content_token_that_matters_more_is_told():
    rows = made_up(sos=0.02, value=0.02, content=0.2)
    claims = claims_of(rows)
    assert {claim.verdict for claim in claims} == {"not supported"}
    told = sink_causal.interpret(claims, {"effects": tables_of(rows)["effects"]})
    assert "less than that on a content token" in told
    assert "kept tokens exchanged 0.500 against 0.500" in told


def test_categories_that_move_either_way_leave_it_open():
    rows = made_up(sos=0.2, value=0.2, n_images=40)
    rows["category_id"] = rows["image_id"] % 4
    rows.loc[(rows.category_id == 0) & ~rows.intervention.str.contains("sos"), "abs_d_ri"] = 1.0
    rows.loc[(rows.category_id == 1) & rows.intervention.str.contains("sos"), "abs_d_ri"] = 1.9
    claims = {claim.id: claim for claim in claims_of(rows)}
    assert claims["H5.mask"].verdict == "undetermined"
    assert claims["H5.mask"].seen_only
    table = tables_of(rows)["categories"].query("claim == 'H5.mask'")
    assert table["category_id"].tolist()[0] == 1
    assert table["category_id"].tolist()[-1] == 0


def test_hiding_any_key_alike_is_not_supported():
    rows = made_up(sos=0.3, value=0.3, content=0.3)
    assert set(verdicts(rows).values()) == {"not supported"}
    assert "does not explain the reversal" in sink_causal.interpret(claims_of(rows), {})


def test_one_part_alone_does_not_carry_the_claim():
    found = verdicts(made_up(sos=0.2))
    assert [found[id] for id in ("H5.mask", "H5.value", "H5")] == [
        "supported",
        "not supported",
        "not supported",
    ]
    text = sink_causal.interpret(claims_of(made_up(sos=0.2)), {})
    assert "H5.mask" in text
    assert "does not explain" not in text


def test_noise_and_one_image_decide_nothing():
    noisy = verdicts(made_up(noise=2.0, seed=3))
    assert {noisy[id] for id in ("H5.mask", "H5.value", "H5")} == {"undetermined"}
    assert set(verdicts(made_up(sos=0.2, n_images=1)).values()) == {"undetermined"}
    assert "cannot be told" in sink_causal.interpret(claims_of(made_up(noise=2.0, seed=3)), {})


def test_a_difference_below_the_margin_counts_as_none_however_sure_it_is():
    rows = made_up(sos=0.03, value=0.03, noise=0.005)
    claim, *_ = claims_of(rows)
    assert (claim.verdict, claim.margin, claim.equivalent) == ("not supported", 0.05, True)
    assert claim.low > 0
    assert verdicts(rows)["H5"] == "not supported"
    strict = sink_causal.make_claims(rows, sink_causal.Config(margin=0.01))
    assert {c.verdict for c in strict if c.id in ("H5", "H5.mask")} == {"supported"}


def test_expressions_that_cannot_be_read_word_by_word_leave_the_others_alone():
    sents = ["The ball", "ball " * 20, "The cube"]
    kept, asked, words, reasons = readable(PlantedModel(), sents, 0)
    assert kept == (0, 2)
    assert asked[1] == "Can you segment the the cube in this image?"
    # [SOS] Can you segment the | the cube
    assert [own.content.tolist() for own in words] == [[5, 6], [5, 6]]
    assert [span.tolist() for span in words[1].spans] == [[5], [6]]
    assert reasons == (TRUNCATED,)
    assert readable(PlantedModel(), [], 0) == ((), [], [], ())


def test_a_word_that_reads_otherwise_alone_is_refused():
    model = PlantedModel()
    joined = model.tower.tokenize

    def tokenize(sentences):
        # Alone, "ball" is two tokens.
        return joined(
            [
                sentence.replace("ball", "ba ll") if sentence == "ball" else sentence
                for sentence in sentences
            ]
        )

    model.tower.tokenize = tokenize
    assert readable(model, ["the ball"], 0).unread == (SPLIT_WORDS,)


def test_nothing_to_summarise():
    assert claims_of(made_up().iloc[:0]) == []
    assert tables_of(made_up().iloc[:0]) == {}
    assert "cannot be told" in sink_causal.interpret([], {})


def test_effects_count_what_was_measured():
    table = tables_of(made_up(sos=0.2))["effects"].set_index(["intervention", "measure"])
    assert table.loc[("mask_sos", "d_ri"), "n"] == 60
    assert table.loc[("mask_sos", "abs_d_ri"), "mean"] == pytest.approx(0.2, abs=0.02)
    assert table.loc[("mask_sos", "kept_changed"), "mean"] == 0.5
    assert table.loc[("mask_sos", "text_moved"), "mean"] == pytest.approx(0.1)


def test_kept_tokens_are_compared_by_overlap():
    inside = np.array([True, False, False, False])
    plain = np.array([0.0, 1.0, 2.0, 3.0], dtype=np.float32)
    scores = np.array([[0.0, 3.0, 1.0, 2.0], [0.0, 1.0, 2.0, 3.0]], dtype=np.float32)
    row = compared({2: 2}, scores, plain, inside, ~inside)
    # {0, 1} and {0, 2} share one of three; the second variant is the same.
    assert row["jaccard_2"] == pytest.approx((1 / 3 + 1) / 2)
    assert row["d_ri"] == row["abs_d_ri"] == 0.0
    # One variant puts the inside token last, the other first: both changes count in full.
    turned = np.array([[3.0, 0.0, 1.0, 2.0]], dtype=np.float32)
    both = compared({2: 2}, np.concatenate([turned, scores[1:]]), plain, inside, ~inside)
    assert (both["d_ri"], both["abs_d_ri"]) == (-1.0, 1.0)


def test_layer_sets():
    sets = layer_sets(12)
    assert (len(sets), len(sets["all"]), list(sets["layer 7"])) == (14, 12, [7])
    assert list(sets["last third"]) == [8, 9, 10, 11]
    assert list(layer_sets(2)["last third"]) == [1]
