"""The studies of both towers on the miniature, and on CLIP models that are asked for by name."""

import numpy as np
import pytest
import torch
from towers import open_clip_tower, publish_open_clip

from litelvlm.analysis.api import complete_run, read_record, read_rows, read_summary
from litelvlm.analysis.studies import mechanism, reversal, sink_causal
from litelvlm.analysis.studies.mechanism.probes import PROBES

CROP = {
    "mean": (0.5, 0.4, 0.3),
    "std": (0.2, 0.3, 0.4),
    "interpolation": "bicubic",
    "resize_mode": "squash",
}


@pytest.fixture
def other_clip(tmp_path, monkeypatch):
    """A small open_clip model on this disk with random weights and a grid of 4 x 4.

    It squashes pictures to the grid.
    """
    publish_open_clip(monkeypatch, tmp_path, "ViT-Tiny-7", open_clip_tower(), drawn=CROP)
    return "open_clip:ViT-Tiny-7/drawn"


def test_reversal_reads_other_clip_models(model, data, other_clip, tmp_path):
    config = reversal.Config(
        limit=2, pool=8, donors=2, shifts=5, blobs=2, random_seeds=1, clip=(other_clip,)
    )
    folder = complete_run(reversal.STUDY, model, data, config, tmp_path)
    assert not read_record(folder).failures
    rows = read_rows(folder)
    assert set(rows["clip_model"]) == {"", other_clip}
    other = rows[rows["clip_model"] == other_clip]
    # The whole picture is squashed, so nothing of a target is lost, and every layer is read.
    assert (other["visible_frac"] > 0.999).all()
    assert set(other["layer"]) == {-1, -2, -3, -4, -5}
    assert np.isfinite(other["ri"]).all()
    own = rows[rows["clip_model"] == ""]
    assert {"category", "instruction"} <= set(own["text_mode"])
    assert own.loc[own["text_mode"] == "category", "category"].isin(data.categories.values()).all()
    layers = read_summary(folder).table("layers")
    assert set(layers.loc[layers["clip_model"] == "", "layer"]) == {-1, -2, -3, -4, -5, -6}
    again = reversal.Config(**config.model_dump() | {"clip": ()})
    assert complete_run(reversal.STUDY, model, data, again, tmp_path).name != folder.name
    with pytest.raises(ValueError, match="named twice"):
        complete_run(
            reversal.STUDY, model, data, reversal.Config(clip=(other_clip, other_clip)), tmp_path
        )


def test_mechanism_reads_every_probe_and_leaves_the_towers_alone(model, data, other_clip, tmp_path):
    weights = {name: value.clone() for name, value in model.tower.state_dict().items()}
    config = mechanism.Config(limit=2, pool=8, donors=2, neuron_images=1, clip=(other_clip,))
    folder = complete_run(mechanism.STUDY, model, data, config, tmp_path)
    assert not read_record(folder).failures
    rows = read_rows(folder)
    assert set(rows["probe"]) | {"spare_register"} == set(PROBES)
    assert set(rows["clip_model"]) == {"", other_clip}
    assert not rows.duplicated(["clip_model", "sent_id", "probe"]).any()
    assert rows["ri"].between(-1, 1).all()
    wide = rows[rows["clip_model"] == ""].pivot(index="sent_id", columns="probe", values="ri")
    # A token or two of these images is an outlier: leaving them out changes little, not nothing.
    moved = (wide["no_outliers"] - wide["released"]).abs()
    assert 0 < moved.max() < 0.1
    assert {claim.verdict for claim in read_summary(folder).claims} == {"undetermined"}
    assert all(
        torch.equal(value, weights[name]) for name, value in model.tower.state_dict().items()
    )


def test_the_sink_s_effects_reach_the_kept_tokens(model, data, tmp_path):
    config = sink_causal.Config(limit=2)
    folder = complete_run(sink_causal.STUDY, model, data, config, tmp_path)
    assert not read_record(folder).failures
    rows = read_rows(folder).set_index(["intervention", "layer_set"])
    # The same value in all sentences: whatever moves here is rounding.
    assert rows.loc["mean_sos_value", "d_ri"].abs().max() < 1e-3
    assert rows.loc["mean_sos_value", "cos_eos"].min() > 1 - 1e-5
    assert rows["jaccard_16"].between(0, 1).all()
    n_words = [len(expression.sent.split()) for expression in data[0].expressions]
    assert rows.loc[("mask_word", "all"), "n_draws"].tolist()[: len(n_words)] == n_words
    parts = {f"H5.{way}{what}" for way in ("mask", "value") for what in ("", ".kept", ".text")}
    assert {claim.id for claim in read_summary(folder).claims} == {"H5"} | parts
