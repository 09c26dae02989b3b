"""What the pages say of any vision-language model is what was measured."""

import json
from pathlib import Path

from litelvlm.models.vlm.families import VLM_FAMILIES, measured_differences

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "any-vlm.md").read_text()


def test_the_door_costs_less_than_two_percent_and_the_page_quotes_it():
    stored = json.loads((ROOT / "benchmarks" / "results" / "vlm_door.json").read_text())
    shares = stored["door_over_pruned_prefill"]
    assert max(shares[name] for name in ("random", "divprune", "input_similarity")) < 0.02
    assert stored["visual_tokens"] == 576
    quoted = {"random": "0.014 %", "divprune": "0.42 %", "input_similarity": "0.13 %"}
    for name, text in quoted.items():
        assert text in PAGE
        digits = len(text.split()[0].partition(".")[2])
        assert round(100 * shares[name], digits) == float(text.split()[0])
    # A slow method stays slow, and the page says so.
    assert f"`evtp_iv_like` takes {100 * shares['evtp_iv_like']:.1f} %" in PAGE


def test_twenty_families_are_measured():
    measured = set(measured_differences())
    assert len(measured) >= 20
    assert measured == set(VLM_FAMILIES)
