"""The measured differences of every family, as ``benchmarks/vlm_families.py`` stored them."""

import json
from importlib import resources
from typing import TypedDict

MEASURED = "measured.json"


class Differences(TypedDict):
    """One proof: see ``benchmarks/vlm_proof.py``."""

    handed_back: float
    masked: float
    masked_double: float
    generated: float
    batched: float
    effect: float


def measured_differences() -> dict[str, dict[str, Differences]]:
    """Stored proofs: family, then "image" or "video"."""
    text = resources.files("litelvlm.models.vlm").joinpath(MEASURED).read_text(encoding="utf-8")
    families: dict[str, dict[str, Differences]] = json.loads(text)["families"]
    return families
