"""Scores as papers print them, from rows worked out by hand."""

import numpy as np
import pandas as pd
import pytest

from litelvlm.analysis.studies.scores import SCORES, Score
from litelvlm.analysis.studies.sweep.evaluate import score_lines
from litelvlm.analysis.studies.sweep.paired import PairedScores, pair_scores
from litelvlm.analysis.studies.sweep.tables import score_table
from litelvlm.metrics import iou

# Intersection, union, predicted and target pixels. IoU: 1/2, 1 (nothing meant, nothing predicted),
# 3/4.
COUNTS = [(50, 100, 80, 70), (0, 0, 0, 0), (30, 40, 30, 40)]


def table(counts=COUNTS, **columns):
    lines = [
        dict(zip(("inter_px", "union_px", "pred_px", "target_px"), line, strict=True))
        for line in counts
    ]
    keys = {"image_id": 1, "sent_id": range(len(lines)), "method": "none", "budget": 144, "seed": 0}
    rows = pd.DataFrame(lines).assign(**(keys | {"protocol": "single", "seg_found": True}))
    rows = rows.assign(
        iou=iou(rows["inter_px"].to_numpy(), rows["union_px"].to_numpy(), exact=True)
    )
    return rows.assign(area_frac=(rows["target_px"] > 0) / 4).assign(**columns)


def test_known_scores():
    (line,) = score_lines(table()).to_dict(orient="records")
    assert (line["method"], line["budget"], line["draw"], line["n"]) == ("none", 144, "0", 3)
    assert line["ciou_exact"] == 80 / 140
    assert line["giou_exact"] == 0.75
    # The official gIoU: (50 / 100.00001 + 1 + 30 / 40.00001) / 3.00001.
    assert line["giou"] == pytest.approx((50 / 100.00001 + 1 + 30 / 40.00001) / 3.00001, abs=1e-15)
    assert line["ciou"] == pytest.approx(80 / (140 + 1e-10), abs=1e-15)
    assert [line[f"p{t}"] for t in (50, 60, 70, 80, 90)] == [1, 2 / 3, 2 / 3, 1 / 3, 1 / 3]


def test_answers_to_expressions_without_a_target():
    # Below 50 pixels the third prediction (30) says "nothing there" too, wrongly: its IoU is 0, its
    # union the target.
    (line,) = score_lines(table()).to_dict(orient="records")
    assert (line["n_acc"], line["t_acc"]) == (1.0, 0.5)
    assert line["ciou_no_target"] == 50 / 140
    assert line["giou_no_target"] == 0.5
    (line,) = score_lines(table(), empty_below=1).to_dict(orient="records")
    assert (line["n_acc"], line["t_acc"]) == (1.0, 1.0)
    assert line["ciou_no_target"] == 80 / 140
    assert line["giou_no_target"] == 0.75
    assert "n_acc" not in score_lines(table(COUNTS[::2]))


def test_a_target_of_doubled_pixels_alone_is_a_target():
    # The first object has no pixel of value 1, so it can only be missed; the second expression
    # means nothing. Both are answered with 60 pixels: no N-acc at all but for the second, T-acc 1
    # from the first, IoU 0 for both.
    rows = table([(0, 60, 60, 0), (0, 60, 60, 0)], area_frac=[0.1, 0.0])
    (line,) = score_lines(rows).to_dict(orient="records")
    assert (line["n_acc"], line["t_acc"], line["giou_no_target"], line["ciou_no_target"]) == (
        0,
        1,
        0,
        0,
    )
    # Both refused: wrong for the object, whose IoU is 0, right for the other one.
    (line,) = score_lines(table([(0, 9, 9, 0), (0, 9, 9, 0)], area_frac=[0.1, 0.0])).to_dict(
        orient="records"
    )
    assert (line["n_acc"], line["t_acc"], line["giou_no_target"]) == (1, 0, 0.5)
    assert "n_acc" not in score_lines(rows[:1])


def test_draws_are_scored_apart_and_averaged():
    first, second = (
        table(protocol="official"),
        table([(0, 100, 100, 0)], protocol="official", seed=1),
    )
    lines = score_lines(pd.concat([first, second]))
    assert lines["draw"].tolist() == ["0", "1", "mean"]
    assert lines["n"].tolist() == [3, 1, 4]
    # Not the pooled 80 / 240.
    assert lines["ciou_exact"].tolist() == pytest.approx([80 / 140, 0, 40 / 140])
    assert lines["n_acc"].tolist() == [1, 0, 0.5]
    # The second draw asked for nothing that is there: no T-acc, and the mean is that of the first.
    assert lines["t_acc"].tolist() == pytest.approx([0.5, float("nan"), 0.5], nan_ok=True)


def test_protocols_are_not_mixed():
    with pytest.raises(ValueError, match="rows of protocols official and single are mixed"):
        score_lines(pd.concat([table(), table(protocol="official")]))


def test_a_score_with_columns_of_its_own_is_an_addition():
    # J and F of a video, counted elsewhere: means over expressions, whose draws are averaged first.
    own = Score("jf", "J&F", ("jf", "n"), resampled=True)
    rows = pd.concat(
        [
            table(method=method, jf=value, seed=seed)
            for method, value, seed in (
                ("none", [0.8, 0.6, 1.0], 0),
                ("m", [0.2, 0.4, 0.6], 0),
                ("m", [0.4, 0.4, 0.8], 1),
            )
        ],
    )
    paired = pair_scores(rows, (SCORES["ciou"], own))
    cells = ("m", 144), ("none", 144)
    assert paired.difference(own, *cells).over_images.value[0] == pytest.approx(1.4 / 3 - 0.8)
    assert paired.linear(own, cells[0]) == pytest.approx([0.3, 0.4, 0.7])
    lines = score_table(paired).set_index(["method", "metric"]).value
    assert lines["none", "jf"] == pytest.approx(own.of(rows[rows["method"] == "none"]))
    assert lines["none", "ciou"] == 80 / 140


def large_and_small(rng):
    """Methods equal on average; the frequent category of twelve has masks of threefold size."""
    categories = rng.choice(12, 300, p=np.r_[0.5, np.full(11, 0.5 / 11)])
    area = np.where(categories == 0, 3000, 1000) * rng.lognormal(0, 0.5, 300)
    own = 0.6 + rng.normal(0, 0.05, 12)[categories] + rng.normal(0, 0.1, 300)
    counts = {
        "inter_px": np.stack([area * own, area * 0.6], 1),
        "union_px": np.stack([area, area], 1),
    }
    cells = ("m", 48), ("random", 48)
    images = np.arange(300)
    return PairedScores(cells, counts, images, (SCORES["ciou"],), categories, resamples=50)


def test_categories_count_by_their_pixels_in_ciou():
    rng, clear, kept = np.random.default_rng(5), [], []
    for _ in range(200):
        made = large_and_small(rng)
        effect = made.difference(SCORES["ciou"], *made.cells)
        assert effect.crossed.value == pytest.approx(effect.over_images.value[0])
        clear.append(effect.crossed.p_value() <= 0.05)
        share = made.retention(SCORES["ciou"], *made.cells)
        assert share.crossed.value == pytest.approx(share.over_images.value[0])
        kept.append(share.crossed.p_value(1.0, one_sided=True) <= 0.05)
    assert np.mean(clear) < 0.08
    assert np.mean(kept) < 0.08
