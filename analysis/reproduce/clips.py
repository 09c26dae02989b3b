"""Tables of clips: J, F and J&F of each method and budget beside the published ones."""

import math
from collections.abc import Iterator, Sequence

from litelvlm.analysis.inputs.methods import UNPRUNED
from litelvlm.analysis.reproduce.accuracy import MARGIN
from litelvlm.analysis.reproduce.lines import (
    DETECTABLE,
    NOTHING,
    REACH,
    FinishedSplit,
    Line,
    budget_of,
    published_tokens,
    verdict_of,
)
from litelvlm.analysis.studies import published
from litelvlm.analysis.studies.published_video import Published, PublishedScores
from litelvlm.analysis.studies.scores import SCORES, Score
from litelvlm.analysis.studies.sweep.paired import pair_scores

OWN = ("j", "f", "jf")
MATCHED = tuple(f"matched_{name}" for name in OWN)
"""Scores with predicted and true objects paired anew, as VideoGLaMM's evaluation does it."""
LABELS = {UNPRUNED: "unpruned"} | {
    method: label for label, method in published.METHOD_BY_LABEL.items()
}


def clip_lines(
    split: FinishedSplit, known: Published, compared: Sequence[str] = OWN
) -> tuple[Line, ...]:
    """Lines of the scores that are compared, then of those that nothing is published beside.

    Args:
        split: The finished split.
        known: Published scores.
        compared: Names of the scores that the published J, F and J&F are.
    """
    paired = pair_scores(split.run.rows, [SCORES[name] for name in (*MATCHED, *OWN)])
    estimates = iter(paired.drawn.estimates())
    lines, there = list[Line](), set[tuple[str, int]]()
    for score in paired.scores:
        for method, budget in paired.cells:
            tokens = published_tokens(budget, split.n_tokens)
            key = split.place[0], LABELS.get(method, method), tokens
            numbers = known.get(key)
            number = _number(numbers, compared, score)
            stated = math.isfinite(number)
            found = next(estimates)
            low, high = (100 * end - number for end in (found.low, found.high))
            verdict = verdict_of(low, high, MARGIN, found.n_images, split.comparable)
            there.add((key[1], tokens))
            lines.append(
                Line(
                    place=split.name,
                    method=method,
                    label=key[1] if stated else "",
                    tokens=tokens,
                    budget=budget,
                    quantity=score.label,
                    unit="%",
                    published=number,
                    measured=100 * found.value,
                    difference=100 * found.value - number,
                    low=low,
                    high=high,
                    tells=DETECTABLE * (high - low) / (2 * REACH) if stated else NOTHING,
                    margin=MARGIN,
                    n_images=found.n_images,
                    n=found.n,
                    verdict=verdict if stated else "no published number",
                )
            )
    return (*lines, *_unmeasured(split, known, there))


def _number(numbers: PublishedScores | None, compared: Sequence[str], score: Score) -> float:
    """The published number that a score is compared with; nan if there is none."""
    if numbers is None or score.name not in compared:
        return NOTHING
    return numbers[compared.index(score.name)]


def _unmeasured(
    split: FinishedSplit, known: Published, there: set[tuple[str, int]]
) -> Iterator[Line]:
    """Published rows of the data set that were not measured."""
    for (data, label, tokens), numbers in known.items():
        if data == split.place[0] and (label, tokens) not in there:
            yield Line(
                place=split.name,
                method=label,
                label=label,
                tokens=tokens,
                budget=budget_of(tokens, split.n_tokens),
                quantity=SCORES["jf"].label,
                unit="%",
                published=numbers.jf,
                margin=MARGIN,
                verdict="not measured",
            )
