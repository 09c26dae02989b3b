"""Simulated studies with each confirmatory claim at its null, and strong effects of categories.

Rows are made so that the truth is exactly the null, while images and categories carry effects: the
spread between categories is twice that between images. Categories are of uneven sizes.
"""

import numpy as np
import pandas as pd
from planted_studies import few_draws, paired

from litelvlm.analysis.signals.clip_scores import REVERSED
from litelvlm.analysis.signals.text_attention import MEAN_HEAD
from litelvlm.analysis.studies import ablations, importance, reversal, sink, sink_causal
from litelvlm.analysis.studies.ablations.claims import lead_claims
from litelvlm.analysis.studies.confirmatory import HYPOTHESES
from litelvlm.analysis.studies.importance.tables import IOU, PARTS
from litelvlm.analysis.studies.scores import SCORES
from litelvlm.analysis.studies.sweep.claims import retention_claim

STUDIES, RESAMPLES = 400, 300
IMAGE, CATEGORY, CELL, OWN = 0.05, 0.1, 0.03, 0.03
BUDGET, KEPT, LEAD = 48, 0.90, 0.05


def layout(rng, n_categories, n_images, most=2):
    """Image and category of every expression: 1 to 3 categories per image, uneven in size.

    Shares of the categories are 1, 1/2, 1/3 and so on. Each pair of an image and a category has 1
    to ``most`` expressions.
    """
    shares = 1 / np.arange(1, n_categories + 1)
    cells = [
        (image, int(category))
        for image in range(n_images)
        for category in rng.choice(n_categories, 3, replace=False, p=shares / shares.sum())[
            : rng.integers(1, 4)
        ]
    ]
    images, categories = np.repeat(np.array(cells), rng.integers(1, most + 1, len(cells)), axis=0).T
    return images, categories


def effects(rng, where):
    """Values around 0 with effects of image, category, both together and expression."""
    images, categories = where
    n_images, n_categories = images.max() + 1, categories.max() + 1
    values = rng.normal(0, IMAGE, n_images)[images] + rng.normal(0, OWN, len(images))
    values += rng.normal(0, CATEGORY, n_categories)[categories]
    return values + rng.normal(0, CELL, (n_images, n_categories))[images, categories]


def frame(where, **columns):
    """Rows of the expressions with the columns that every study shares."""
    images, categories = where
    keys = {"image_id": images, "sent_id": np.arange(len(images)), "category_id": categories + 1}
    return pd.DataFrame(keys | {"visible_frac": 1.0} | columns)


def reversal_rows(rng, where):
    """Rows whose H1.sign, H2 and H3 are exactly 0 on average; H1.centre is far above."""
    ri = effects(rng, where)
    parts = {
        "none": ri,
        "other_text": ri - effects(rng, where),
        "other_masks": ri - effects(rng, where) - 0.5,
        "same_category_object": ri - effects(rng, where),
    }
    same = {"clip_model": "", "probe": "released", "layer": -2, "sim": "dot", "labels": "primary"}
    modes = {"other_text": "shuffled"}
    return pd.concat(
        [
            frame(where, control=c, text_mode=modes.get(c, "template"), ri=values, **same)
            for c, values in parts.items()
        ],
        ignore_index=True,
    )


def causal_rows(rng, where):
    """Hiding [SOS] changes the index as much as hiding a content token; its value, more."""
    means = {"mask_sos": 1.0, "mask_content": 1.0, "zero_sos_value": 2.0, "zero_content_value": 1.0}
    same = {"layer_set": "all", "cos_eos": 1.0, "jaccard_8": 1.0}
    parts = [
        frame(where, intervention=name, abs_d_ri=mean + effects(rng, where), **same)
        for name, mean in means.items()
    ]
    return pd.concat(parts, ignore_index=True)


def importance_rows(rng, where):
    """Overlap with attention exactly at chance, with removal above it."""
    same = {"control": "none", "score": REVERSED, "metric": IOU, "partial_set": "none", "k": 16}
    names = ("signal", "target", "layer", "head", "removal")
    parts = [
        frame(
            where,
            corrected=mean + effects(rng, where),
            **same,
            **dict(zip(names, key, strict=True)),
        )
        for (key, *_), mean in zip(PARTS.values(), (0.0, 0.6), strict=True)
    ]
    return pd.concat(parts, ignore_index=True)


def sweep_of(rng, where, seed):
    """A sweep that keeps exactly 90 % and leads its best rival by exactly 5 %.

    Objects of the most frequent category are three times as large as others.
    """
    images, categories = where
    truth = {"none": 1.0, "litelvlm": KEPT, "trim": KEPT / (1 + LEAD), "scope": 0.5}
    size = rng.uniform(50, 150, images.max() + 1)[images] * np.where(categories == 0, 3, 1)
    union = size[:, None] * np.ones(len(truth))
    common = effects(rng, where)
    share = [
        kept * (0.6 + 0.5 * common) + (0.0 if name == "none" else 0.5 * effects(rng, where))
        for name, kept in truth.items()
    ]
    inter = union * np.array(share).T
    cells = tuple((name, 144 if name == "none" else BUDGET) for name in truth)
    return paired(cells, inter, union, images, categories, RESAMPLES, seed)


def claims_of_sweep(made):
    """p-value and verdict of H7 and H8."""
    cells = SCORES["ciou"], ("litelvlm", BUDGET), ("none", 144)
    found = [
        lead_claims(made, ablations.Config(lead=LEAD), BUDGET)[0],
        retention_claim(made.retention(*cells), KEPT, BUDGET, "single"),
    ]
    return {claim.id: (claim.p_value, claim.verdict) for claim in found}


def studies(shape, n):
    """p-value and verdict of each confirmatory claim at its null, study by study."""
    rng = np.random.default_rng([17, *shape])
    for number in range(n):
        where = layout(rng, *shape)
        lift = frame(where, head=MEAN_HEAD, query="eos", text_mode="template", weights="trained")
        lift["lift"] = 1 + sink.Config().margin + effects(rng, where)
        claims = [
            *reversal.make_claims(reversal_rows(rng, where), reversal.Config()),
            *sink.make_claims(lift, sink.Config()),
            *sink_causal.make_claims(causal_rows(rng, where), sink_causal.Config()),
            *importance.make_claims(importance_rows(rng, where), importance.Config()),
        ]
        found = {
            claim.id: (claim.p_value, claim.verdict) for claim in claims if claim.id in HYPOTHESES
        }
        yield found | claims_of_sweep(sweep_of(rng, where, number))


def rates(shape, n=STUDIES):
    """Share of studies that reject, and share whose verdict is "supported", by claim."""
    with few_draws(RESAMPLES):
        found = list(studies(shape, n))
    return {
        id: {
            "rejects": float(np.mean([study[id][0] <= 0.05 for study in found])),
            "supported": float(np.mean([study[id][1] == "supported" for study in found])),
        }
        for id in sorted(found[0])
    }
