"""The leaderboard: one offline page, and one JSON object, made of many result cards."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from litelvlm.analysis.cards.board import (
    Cells,
    Disagreement,
    Entry,
    Group,
    disagreements,
    flagged,
    groups_of,
    left_out_of,
    unequal_rows,
)
from litelvlm.analysis.cards.card import Card, LeftOut, Metric
from litelvlm.analysis.cards.read import Cards
from litelvlm.analysis.pages.rendering import page_environment
from litelvlm.analysis.runs.exclusions import exclusion_lines
from litelvlm.analysis.runs.formatting import interval, number
from litelvlm.analysis.runs.miniature import MINIATURE_NOTE
from litelvlm.analysis.runs.origin.provenance import MINIATURE
from litelvlm.analysis.runs.outcome import Exclusion
from litelvlm.data.files import atomic_write

MAIN_METRIC: Metric = "ciou"


def write_leaderboard(found: Cards, path: Path) -> Path:
    """Write the page.

    Args:
        found: The cards and what was refused.
        path: The HTML file.

    Returns:
        The path as given.
    """
    groups = groups_of(found.cards)
    left_out = left_out_of(found.cards)
    apart = disagreements(groups)
    letters = letters_of(found.cards)
    miniature = any(group.family == MINIATURE for group in groups)
    environment = page_environment()
    page = environment.get_template("leaderboard.html").render(
        title="Visual-token pruning: results by card",
        miniature_note=MINIATURE_NOTE if miniature else "",
        refused=list(found.refused.items()),
        disagreements=[told(one) for one in apart],
        unequal=[
            f"{first} and {second}, {data}" for first, second, data in unequal_rows(found.cards)
        ],
        groups=[
            _group_view(group, cells, left_out.get(group, {}), letters, apart)
            for group, cells in groups.items()
        ],
        cards=[_card_view(letters[name], name, card) for name, card in found.cards.items()],
    )
    return atomic_write(path, page)


def letters_of(cards: Mapping[str, Card]) -> dict[str, str]:
    """A short sign for every card: A to Z, then A2 and so on."""
    return {
        name: chr(ord("A") + place % 26) + (str(place // 26 + 1) if place >= 26 else "")
        for place, name in enumerate(sorted(cards))
    }


def _group_view(
    group: Group,
    cells: Cells,
    left_out: Mapping[str, Sequence[LeftOut]],
    letters: Mapping[str, str],
    apart: Sequence[Disagreement],
) -> dict[str, object]:
    main = {key: entries for key, entries in cells.items() if key[2] == MAIN_METRIC}
    budgets = sorted({budget for _, budget, _ in main}, reverse=True)
    best = {
        method: max(
            (-budget, -math.fsum(e.score.value for e in entries) / len(entries))
            for (name, budget, _), entries in main.items()
            if name == method
        )
        for method, _, _ in main
    }
    absent: dict[tuple[str, int | float], list[str]] = {}
    for card, entries in left_out.items():
        for entry in entries:
            absent.setdefault((entry.method, entry.budget), []).append(letters[card])
    return {
        "title": group.title,
        "budgets": budgets,
        "left_out": left_out_lines(left_out, letters),
        "rows": [
            {
                "method": method,
                "cells": [
                    {
                        "entries": [
                            {
                                "letter": letters[entry.card],
                                "text": entry_text(entry),
                                "flag": flagged(apart, entry),
                            }
                            for entry in main.get((method, budget, MAIN_METRIC), [])
                        ],
                        "left_out": absent.get((method, budget), []),
                    }
                    for budget in budgets
                ],
            }
            for method in sorted(best, key=lambda name: (best[name], name))
        ],
    }


def left_out_lines(
    left_out: Mapping[str, Sequence[LeftOut]], letters: Mapping[str, str]
) -> list[str]:
    """Why methods have no scores at a budget: one line for each reason, with the cards it is from.

    Example:
        >>> one = LeftOut(method="fastv", budget=8, reason="8 are too few")
        >>> left_out_lines({"a.json": [one], "b.json": [one]}, {"a.json": "A", "b.json": "B"})
        ['A, B: fastv@8: 8 are too few']
    """
    cards: dict[str, list[str]] = {}
    for name, entries in left_out.items():
        excluded = [Exclusion.model_validate(entry.model_dump()) for entry in entries]
        for line in exclusion_lines(excluded):
            cards.setdefault(line, []).append(letters[name])
    return [
        f"{', '.join(names)}: {line.removeprefix('left out: ')}" for line, names in cards.items()
    ]


def entry_text(entry: Entry) -> str:
    """A score with its interval, and how much of the split it is about."""
    score, result = entry.score, entry.result
    low, high = (math.nan if end is None else end for end in (score.low, score.high))
    part = f", {result.n_images} images" * (result.n_images < result.n_whole)
    return f"{number(score.value)} {interval(low, high)}{part}"


def told(one: Disagreement) -> str:
    """A disagreement in words."""
    both = " and ".join(f"{entry.card}: {entry_text(entry)}" for entry in (one.first, one.second))
    return f"{one.group.title}: {one.method} at {one.budget} tokens, {one.metric}; {both}"


def _card_view(letter: str, name: str, card: Card) -> dict[str, str]:
    dirty = " with uncommitted changes" if card.dirty else ""
    machine = card.machine.get("gpu", "None")
    return {
        "letter": letter,
        "name": name,
        "by": card.by or "not named",
        "made": card.made,
        "commit": (card.commit or "unknown")[:12] + dirty,
        "machine": card.machine.get("cpu", "?") if machine == "None" else machine,
        "model": f"{card.model.get('name', '?')}, {card.model.get('dtype', '?')}",
        "splits": ", ".join(
            f"{result.data.get('name', '?')} {result.data.get('split', '?')}"
            for result in card.results
        ),
        "digest": card.digest[:12],
    }


def board_json(found: Cards) -> dict[str, object]:
    """Everything of the page, and every metric, for programs."""
    groups = groups_of(found.cards)
    left_out = left_out_of(found.cards)
    return {
        "groups": [
            group._asdict()
            | {
                "left_out": [
                    {"card": name} | entry.model_dump()
                    for name, entries in left_out.get(group, {}).items()
                    for entry in entries
                ],
                "cells": [
                    {"method": method, "budget": budget, "metric": metric}
                    | {"entries": [_entry_json(entry) for entry in entries]}
                    for (method, budget, metric), entries in cells.items()
                ],
            }
            for group, cells in groups.items()
        ],
        "cards": {
            name: {
                "by": card.by,
                "made": card.made,
                "commit": card.commit,
                "dirty": card.dirty,
                "machine": card.machine,
                "model": card.model,
                "digest": card.digest,
            }
            for name, card in found.cards.items()
        },
        "disagreements": [told(one) for one in disagreements(groups)],
        "unequal_rows": [list(pair) for pair in unequal_rows(found.cards)],
        "refused": found.refused,
    }


def _entry_json(entry: Entry) -> dict[str, object]:
    score = entry.score
    return {
        "card": entry.card,
        "value": score.value,
        "low": score.low,
        "high": score.high,
        "n": score.n,
        "n_images": entry.result.n_images,
        "n_whole": entry.result.n_whole,
    }
