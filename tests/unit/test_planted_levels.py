"""Planted truth: claims on the text sink and on importance keep their level.

They do so where one part is exactly at its null.
"""

import numpy as np
import pandas as pd
import pytest
from planted_studies import few_draws

from litelvlm.analysis.signals.clip_scores import REVERSED
from litelvlm.analysis.signals.text_attention import MEAN_HEAD
from litelvlm.analysis.studies import importance, sink, sink_causal
from litelvlm.analysis.studies.importance.tables import PARTS

STUDIES, RESAMPLES, IMAGES = 400, 300, 50
SIGNALS = ["signal", "target", "layer", "head", "removal"]


def values(seed, centre, spread):
    """One number per study and image around ``centre``."""
    return np.random.default_rng(seed).normal(centre, spread, (STUDIES, IMAGES))


def expressions(**columns):
    """One row per image; texts are Python objects, which small frames compare in half the time."""
    frame = pd.DataFrame({"image_id": np.arange(IMAGES), "sent_id": np.arange(IMAGES), **columns})
    return frame.astype({name: object for name in frame.select_dtypes("str")})


def sink_studies():
    """[EOS] looks at [SOS] exactly as much as at any token."""
    frame = expressions(head=MEAN_HEAD, query="eos", text_mode="template", weights="trained")
    for lift in values(0, 1 + sink.Config().margin, 0.1):
        yield sink.make_claims(frame.assign(lift=lift), sink.Config())


def causal_studies():
    """Hiding [SOS] changes the reversal as much as hiding a content token.

    Taking its value away changes it more.
    """
    same = {"visible_frac": 1.0, "layer_set": "all", "cos_eos": 1.0, "jaccard_8": 1.0}
    names = ("mask_sos", "zero_sos_value", "mask_content", "zero_content_value")
    frame = pd.concat([expressions(intervention=name, **same) for name in names], ignore_index=True)
    drawn = (values(seed, centre, 0.1) for seed, centre in ((1, 1.0), (2, 1.5), (3, 1.0), (8, 1.0)))
    for changes in zip(*drawn, strict=True):
        yield sink_causal.make_claims(
            frame.assign(abs_d_ri=np.concatenate(changes)), sink_causal.Config()
        )


def importance_studies():
    """The kept tokens overlap with what removal names, and exactly not with attention."""
    same = {
        "control": "none",
        "score": REVERSED,
        "metric": "top_k_iou",
        "partial_set": "none",
        "visible_frac": 1.0,
        "k": 16,
    }
    tags = [dict(zip(SIGNALS, key, strict=True)) for key, *_ in PARTS.values()]
    frame = pd.concat([expressions(**same, **tag) for tag in tags], ignore_index=True)
    for found in zip(values(4, 0.0, 0.2), values(6, 0.4, 0.2), strict=True):
        yield importance.make_claims(
            frame.assign(corrected=np.concatenate(found)), importance.Config()
        )


@pytest.mark.parametrize(
    ("studies", "ids"),
    [
        (sink_studies, ["H4"]),
        (causal_studies, ["H5", "H5.mask"]),
        (importance_studies, ["H6", "H6.attention"]),
    ],
)
def test_a_claim_with_a_part_at_its_null_is_rejected_in_five_of_a_hundred_studies(studies, ids):
    with few_draws(RESAMPLES):
        found = [{claim.id: claim for claim in claims} for claims in studies()]
    for id in ids:
        assert 0.03 <= np.mean([claims[id].p_value <= 0.05 for claims in found]) <= 0.07
        assert np.mean([claims[id].verdict == "supported" for claims in found]) <= 0.07
