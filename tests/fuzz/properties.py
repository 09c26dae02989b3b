"""The table of properties, and past failures that are replayed."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.strategies import SearchStrategy

from tests.fuzz import commands, files, outlines, outside, prompts, scores, selections, tables

CORPUS = Path(__file__).parents[1] / "fixtures" / "fuzz"


@dataclass(frozen=True)
class Property:
    """What must hold for every case.

    Attributes:
        cases: Draws a case; it is plain data that JSON can hold.
        check: Takes the case, and raises whatever is wrong. A reader's gives what became of the
            case: "read" or "refused".
        share: How many cases it gets beside other properties.
    """

    cases: SearchStrategy[Any]
    check: Callable[[Any], str | None]
    share: float = 1.0


PROPERTIES: dict[str, Property] = {
    "plain_pickles": Property(tables.PLAIN, tables.check_plain_pickle),
    "mutated_pickles": Property(tables.MUTATED, tables.check_any_pickle, 2.0),
    "pickles_of_noise": Property(tables.NOISE, tables.check_any_pickle),
    "instances": Property(tables.INSTANCES, tables.check_instances),
    "references": Property(tables.REFERENCES, tables.check_references),
    "polygons": Property(outlines.POLYGONS, outlines.check_polygons, 2.0),
    "run_lengths": Property(outlines.RUN_LENGTHS, outlines.check_run_lengths),
    "packed_run_lengths": Property(outlines.PACKED, outlines.check_packed, 2.0),
    "pictures": Property(files.PICTURES, files.check_picture),
    "parquet": Property(files.PARQUET, files.check_parquet, 0.5),
    "archives": Property(files.ARCHIVES, files.check_archive),
    "plans": Property(files.PLANS, files.check_plan),
    "prompts": Property(prompts.CONVERSATIONS, prompts.check_conversation),
    "tokens": Property(prompts.TEXTS, prompts.check_tokens),
    "selections": Property(selections.BEFORE_CASES, selections.check_before, 2.0),
    "methods": Property(outside.METHODS, outside.check_method, 2.0),
    "hubs": Property(outside.ANSWERS, outside.check_hub),
    "hypotheses": Property(outside.HYPOTHESES, outside.check_hypotheses, 2.0),
    "parts": Property(outside.PARTS, outside.check_part),
    "pixel_counts": Property(scores.MASKS, scores.check_counts),
    "command_lines": Property(commands.LINES, commands.check_line, 0.5),
    "study_settings": Property(commands.SETTINGS, commands.check_setting, 0.5),
}


def run_cases(name: str, count: int, start: int | None = None) -> int:
    """Draw cases of one property and check each; returns how many were checked.

    Args:
        name: Of the property.
        count: How many cases.
        start: Seed; None draws the same cases in every process.

    Raises:
        Exception: Whatever the smallest failing case raises; it is written to ``last_failure``.
    """
    held, checked = PROPERTIES[name], 0

    def check(case: object) -> None:
        nonlocal checked
        checked += 1
        try:
            held.check(case)
        except Exception:
            FAILED[name] = case
            raise

    test = settings(
        max_examples=count,
        deadline=None,
        database=None,
        derandomize=start is None,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.generate, Phase.shrink),
    )(given(held.cases)(check))
    (test if start is None else seed(start)(test))()
    return checked


FAILED: dict[str, object] = {}
"""The smallest failing case of each property that failed in this process."""


def keep(name: str, case: object, found: str) -> Path:
    """Write a failing case into the corpus; who repairs it fills in the outcome."""
    stored = {"property": name, "found": found, "outcome": "", "case": case}
    text = json.dumps(stored, indent=1)
    path = CORPUS / f"{name}-{sha256(text.encode()).hexdigest()[:8]}.json"
    path.write_text(text + "\n", encoding="utf-8")
    return path


def corpus() -> Iterator[tuple[str, str, object, str]]:
    """Past failures: file, property, case and outcome ("read", "refused" or "holds")."""
    for path in sorted(CORPUS.glob("*.json")):
        stored = json.loads(path.read_text(encoding="utf-8"))
        yield path.name, stored["property"], stored["case"], stored["outcome"]
