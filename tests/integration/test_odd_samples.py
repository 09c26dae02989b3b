"""Data that cannot be used, through whole studies of the miniature.

It is left out one by one, with the reason counted.
"""

import json
from dataclasses import replace

import pytest
import torch

from litelvlm.analysis.api import complete_run, read_record, read_rows, read_summary
from litelvlm.analysis.inputs.labels import FILLS_IMAGE, OUTSIDE_CROP
from litelvlm.analysis.signals.text_attention import TRUNCATED
from litelvlm.analysis.studies import mechanism, reversal, sink, sink_causal
from litelvlm.clip.hf import HfBlock
from tests.study_inputs import CONTROL_WORDS, NO_WORDS

CONFIGS = {
    reversal: reversal.Config(shifts=5, blobs=2, pool=16, donors=2, random_seeds=1),
    mechanism: mechanism.Config(pool=16, donors=2, neuron_images=1),
    sink: sink.Config(random_seeds=1),
    sink_causal: sink_causal.Config(),
}
MASKS = {FILLS_IMAGE: 1, OUTSIDE_CROP: 1}
TEXTS = {NO_WORDS: 1, CONTROL_WORDS: 1}
SKIPPED = {
    reversal: MASKS | TEXTS,
    mechanism: MASKS | TEXTS,
    sink: TEXTS | {TRUNCATED: 1},
    sink_causal: MASKS | TEXTS | {TRUNCATED: 1},
}


class Odd(list):
    """A few images as a data set."""

    name, split, split_by, digest, categories = "odd", "val", "none", "0" * 64, {1: "circle"}


def with_polygon(sample, polygon):
    """The first two expressions of an image, the first one about another outline."""
    first, second = (
        sample.expressions[0],
        next(e for e in sample.expressions if e.ann_ids != sample.expressions[0].ann_ids),
    )
    (ann_id,) = first.ann_ids
    annotations = dict(sample.annotations) | {
        ann_id: replace(sample.annotations[ann_id], outline=json.dumps([polygon]))
    }
    return replace(sample, expressions=(first, second), annotations=annotations)


def with_texts(sample, *texts):
    """The first expressions of an image in other words; None keeps them."""
    worded = zip(sample.expressions, texts, strict=False)
    return replace(
        sample,
        expressions=tuple(e if text is None else replace(e, sent=text) for e, text in worded),
    )


@pytest.fixture(scope="module")
def odd(data):
    """Unusable texts and masks.

    The masks: one fills the image, one is outside CLIP's crop, one is of a single token.
    """
    wide = next(sample for sample in data if sample.width > sample.height)
    others = [
        sample for sample in data if sample.width == sample.height and len(sample.expressions) > 3
    ][:3]
    w, h = others[1].width, others[1].height
    return Odd(
        [
            with_texts(others[0], " ", "the <image> circle", "very " * 99 + "red circle", None),
            with_polygon(others[1], [0, 0, w, 0, w, h, 0, h]),
            with_polygon(wide, [0, 10, 12, 10, 12, 60, 0, 60]),
            with_polygon(others[2], [60, 60, 64, 60, 64, 64, 60, 64]),
        ]
    )


@pytest.mark.parametrize("study", list(CONFIGS), ids=lambda study: study.STUDY.name)
def test_unusable_expressions_are_left_out_alone_and_counted_by_reason(model, odd, tmp_path, study):
    folder = complete_run(study.STUDY, model, odd, CONFIGS[study], tmp_path)
    record, rows = read_record(folder), read_rows(folder)
    assert (record.state, record.failures) == ("done", ())
    assert record.counts.skipped == SKIPPED[study]
    assert record.counts.done == 10 - sum(SKIPPED[study].values()) == rows["sent_id"].nunique()
    assert {claim.verdict for claim in read_summary(folder).claims} == {"undetermined"}
    if study is not sink:
        smallest = rows[rows["sent_id"] == odd[3].expressions[0].sent_id]
        assert (set(smallest["tiny"]), set(smallest["n_in"])) == ({True}, {1})


@pytest.mark.parametrize("study", list(CONFIGS), ids=lambda study: study.STUDY.name)
def test_numbers_that_are_none_fail_their_image_by_name(model, data, tmp_path, study, monkeypatch):
    samples = Odd([with_texts(sample, None, None) for sample in data[:3]])
    bad = samples[1].expressions[0].sent
    embed = type(model.tower).encode_text

    def encode_text(tower, input_ids, attention_mask):
        embeds, eos = embed(tower, input_ids, attention_mask)
        spoilt = torch.tensor([bad in text for text in tower.tokenizer.batch_decode(input_ids)])
        return embeds.masked_fill(spoilt[:, None], float("nan")), eos

    def spoilt_qkv(block, states):
        query, keys, values = qkv(block, states)
        return query * float("nan"), keys, values

    qkv = HfBlock.qkv
    if study is sink:
        monkeypatch.setattr(HfBlock, "qkv", spoilt_qkv)
        with pytest.raises(
            RuntimeError,
            match=r"no sample succeeded; the last failure: image 2 \(id \d+\): .*segment the",
        ):
            complete_run(study.STUDY, model, samples, CONFIGS[study], tmp_path)
        return
    monkeypatch.setattr(type(model.tower), "encode_text", encode_text)
    # Foreign texts come from the other images alone.
    alone = {"pool": 1, "seed": 1} if study is not sink_causal else {}
    config = CONFIGS[study].model_copy(update=alone)
    record = read_record(complete_run(study.STUDY, model, samples, config, tmp_path))
    assert record.state == "failed"
    (failure,) = record.failures
    assert failure.startswith(f"image 1 (id {samples[1].image_id}): ")
    assert bad in failure or "sent_id" in failure


@pytest.mark.parametrize(
    "study", [reversal, mechanism, sink_causal], ids=lambda study: study.STUDY.name
)
def test_constant_scores_are_no_reversal(model, data, tmp_path, study, monkeypatch):
    embed = type(model.tower).encode_text

    def encode_text(tower, input_ids, attention_mask):
        embeds, eos = embed(tower, input_ids, attention_mask)
        return torch.zeros_like(embeds), eos

    monkeypatch.setattr(type(model.tower), "encode_text", encode_text)
    folder = complete_run(
        study.STUDY,
        model,
        Odd(with_texts(sample, None, None) for sample in data[:2]),
        CONFIGS[study],
        tmp_path,
    )
    assert read_record(folder).state == "done"
    rows = read_rows(folder)
    plain = rows[rows["probe"] == "released"] if study is not sink_causal else rows
    plain = plain[plain["control"] == "none"] if study is reversal else plain
    assert (plain["ri"] == 0).all()
