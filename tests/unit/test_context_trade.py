"""Grounding against understanding: planted rows give back the planted curves and crossing."""

import numpy as np
import pandas as pd
import pytest

from benchmarks.context_trade import (
    FEWEST,
    SIDES,
    answer_columns,
    crossing,
    mask_columns,
    method_of,
    trade_of,
)

SHARES, BUDGETS = [0.0, 0.5, 0.9], [16, 8]


def planted(level, whole, noise, seed):
    """Rows whose ratio at share s is level(s, budget), unpruned ``whole``."""
    rng, rows = np.random.default_rng(seed), []
    for image in range(60):
        shift = noise * rng.standard_normal()
        for method, budget, value in [
            ("none", None, whole),
            *((method_of(s), b, level(s, b)) for s in SHARES for b in BUDGETS),
            *(("random", b, level(0.5, b)) for b in BUDGETS),
        ]:
            top = 100 * (value + shift)
            rows.append({"method": method, "budget": budget, "image": str(image), "top": top,
                         "bottom": 100.0})  # fmt: skip
    return pd.DataFrame(rows)


@pytest.fixture
def trade():
    masks = planted(lambda s, b: 0.8 * (0.9 - 0.4 * s), 0.8, 0.01, 1)
    answers = planted(lambda s, b: 0.5 * (0.7 + (0.4 * s if b == 16 else 0.0)), 0.5, 0.01, 2)
    return trade_of(masks, answers, SHARES, BUDGETS)


def test_scores_are_the_planted_ones(trade):
    chosen = trade[0].set_index(["side", "method", "budget"])
    for share in SHARES:
        line = chosen.loc["grounding", method_of(share), 16]
        assert line["kept"] == pytest.approx(0.9 - 0.4 * share, abs=0.01)
        assert line["kept_low"] < line["kept"] < line["kept_high"]
        assert line["low"] < line["value"] < line["high"]
    whole = trade[0][trade[0]["method"] == "none"]
    assert set(whole["side"]) == set(SIDES)
    assert (whole["kept"] == 1).all()


def test_the_crossing_is_found_where_there_is_one(trade):
    found = trade[1].set_index("budget")
    # 0.9 - 0.4 s = 0.7 + 0.4 s at s = 0.25.
    assert found.loc[16, "share"] == pytest.approx(0.25, abs=0.02)
    assert found.loc[16, "low"] < 0.25 < found.loc[16, "high"]
    assert found.loc[16, "found"] == 1.0
    # 0.9 - 0.4 s = 0.7 at s = 0.5.
    assert found.loc[8, "share"] == pytest.approx(0.5, abs=0.03)


def test_no_crossing_is_told():
    masks = planted(lambda s, b: 0.8, 0.8, 0.01, 1)
    answers = planted(lambda s, b: 0.1, 0.5, 0.01, 2)
    _, found = trade_of(masks, answers, SHARES, BUDGETS)
    assert found["share"].isna().all()
    assert (found["found"] == 0).all()
    assert (found["crossed"] == 0).all()


@pytest.fixture
def rarely():
    """Masks that lie above answers in nearly every resample."""
    masks = planted(lambda s, b: 0.8 * (0.9 - 0.2 * s), 0.8, 0.08, 1)
    answers = planted(lambda s, b: 0.5 * 0.7, 0.5, 0.08, 2)
    return trade_of(masks, answers, SHARES, BUDGETS)


def test_few_crossings_give_no_interval(rarely):
    line = rarely[1].iloc[0]
    assert 0 < line["crossed"] < FEWEST
    assert line["found"] == line["crossed"] / 2000
    assert np.isnan([line["share"], line["low"], line["high"]]).all()


def test_crossing_between_points():
    assert crossing(np.array([1.0, -1.0, -1.0]), [0.0, 0.5, 1.0]) == 0.25
    assert crossing(np.array([0.0, 1.0]), [0.0, 1.0]) == 0.0
    assert np.isnan(crossing(np.array([1.0, 2.0]), [0.0, 1.0]))
    assert crossing(np.array([1.0, 0.0]), [0.0, 1.0]) == 1.0


def test_rows_become_ratios():
    swept = pd.DataFrame({"method": ["none"], "budget": [None], "image_id": [7],
                          "inter_px": [3], "union_px": [4]})  # fmt: skip
    assert mask_columns(swept).iloc[0][["image", "top", "bottom"]].tolist() == ["7", 3.0, 4.0]
    asked = pd.DataFrame({"method": ["none", "x"], "budget": [None, 8.0], "image_id": ["7", "7"],
                          "score": [1.0, None], "state": ["read", "failed"]})  # fmt: skip
    assert answer_columns(asked)["top"].tolist() == [1.0]
