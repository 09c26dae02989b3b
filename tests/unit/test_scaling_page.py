"""The page on what a run costs says what the stored arithmetic and the stored measurement say."""

import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "scaling.md").read_text(encoding="utf-8")


def stored(name):
    return json.loads((ROOT / "benchmarks" / "results" / f"{name}.json").read_text())


def test_the_shared_sweep_is_the_one_that_was_measured():
    measured = stored("sweep")
    one, shared = (
        measured["milliseconds_per_row"][f"{path}, 20 methods, processor"]["median"]
        for path in ("one by one", "shared")
    )
    ratio = measured["speed_up"]["processor"]
    assert f"| {one:.1f} ms |" in PAGE
    assert f"| {shared:.1f} ms |" in PAGE
    assert "| {median:.1f} [{q25:.1f}, {q75:.1f}] |".format(**ratio) in PAGE


def test_the_large_sweep_adds_up():
    large = stored("scaling")
    parts = large["macs"]
    assert large["rows"] == 57_457 * (4 * sum(large["methods"].values()) + 1)
    for name, macs in parts.items():
        if name != "texts":
            assert f"| {macs / 1e18:.2f} |" in PAGE, name
    hours = sum(parts.values()) / 100e12 / 3600
    assert hours == pytest.approx(large["gpu_hours_at_100_T_macs_per_second"])
    whole = f"{sum(parts.values()) / 1e18:.2f}"
    assert f"| {whole}: {hours:.0f} GPU hours, {hours / 8:.1f} on 8 |" in PAGE
    assert f"{large['pruned_passes_if_every_one_ran_in_full'] / 1e18:.1f} x 10^18" in PAGE
