"""The page on what a run costs says what the stored arithmetic and the stored measurement say."""

import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NAMES = ("scaling", "sweep")
PAGE = (ROOT / "docs" / "scaling.md").read_text()


@pytest.fixture
def stored():
    return {
        name: json.loads((ROOT / "benchmarks" / "results" / f"{name}.json").read_text())
        for name in NAMES
    }


def test_the_arithmetic_is_set_beside_the_measurement_that_is_stored(stored):
    small, measured = stored["scaling"]["miniature"], stored["sweep"]
    ratio = measured["speed_up"]["processor"]["median"]
    assert small["ratio_measured"] == ratio
    assert f"| one by one over shared | {ratio:.1f} | {small['ratio_by_macs']:.1f} |" in PAGE
    times = {name: line["median"] for name, line in measured["milliseconds_per_row"].items()}
    for path, name in (("one by one", "one by one, 20 methods"), ("shared", "shared, 20 methods")):
        line = (
            f"| {times[f'{name}, processor']:.1f} ms per row "
            f"| {small['macs_per_row'][path] / 1e6:.0f} M"
        )
        assert line in PAGE


def test_the_large_sweep_adds_up(stored):
    large = stored["scaling"]["full_size"]
    parts = large["macs"]
    assert large["words"]["before"] + large["words"]["common"] + large["words"]["own"] == 124
    assert large["rows"] == 57_457 * (4 * sum(large["methods"].values()) + 1)
    for name, macs in parts.items():
        if name != "texts":
            assert f"| {macs / 1e18:.2f} |" in PAGE, name
    hours = sum(parts.values()) / 100e12 / 3600
    assert (
        f"| {sum(parts.values()) / 1e18:.2f}: {hours:.0f} GPU hours, {hours / 8:.1f} on 8 |" in PAGE
    )
    assert f"{large['pruned_passes_if_every_one_ran_in_full'] / 1e18:.1f} x 10^18" in PAGE
