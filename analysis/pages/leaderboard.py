"""The leaderboard: one offline page, and one JSON object, made of many result cards."""

import math
from collections.abc import Mapping
from pathlib import Path

from litelvlm.analysis.cards.card import Card
from litelvlm.analysis.cards.compare import (
    Entry,
    Group,
    disagreements,
    entries_of,
    left_out_of,
    unequal_rows,
)
from litelvlm.analysis.cards.read import Cards
from litelvlm.analysis.pages.rendering import page_environment
from litelvlm.analysis.runs.formatting import interval, number
from litelvlm.analysis.runs.miniature import MINIATURE_NOTE
from litelvlm.analysis.runs.origin.provenance import MINIATURE
from litelvlm.data.files import atomic_write


def write_leaderboard(found: Cards, path: Path) -> Path:
    """Write the page.

    Args:
        found: The cards and what was refused.
        path: The HTML file.

    Returns:
        The path as given.
    """
    numbers = {name: place for place, name in enumerate(found.cards, start=1)}
    apart = disagreements(found.cards)
    entries = [entry for entry in entries_of(found.cards) if entry.score.metric == "ciou"]
    groups = dict.fromkeys(entry.group for entry in entries_of(found.cards))
    page = (
        page_environment()
        .get_template("leaderboard.html")
        .render(
            title="Visual-token pruning: results by card",
            miniature_note=MINIATURE_NOTE if any(g.family == MINIATURE for g in groups) else "",
            refused=list(found.refused.items()),
            disagreements=[told(*pair) for pair in apart],
            unequal=[f"{one} and {two}, {data}" for one, two, data in unequal_rows(found.cards)],
            groups=[_table(found.cards, group, entries, numbers, apart) for group in groups],
            cards=[(numbers[name], name, card) for name, card in found.cards.items()],
        )
    )
    return atomic_write(path, page)


def _table(
    cards: Mapping[str, Card],
    group: Group,
    entries: list[Entry],
    numbers: Mapping[str, int],
    apart: list[tuple[Entry, Entry]],
) -> dict[str, object]:
    """Methods by budget: in each cell the scores of every card, best method first."""
    flagged = {entry for pair in apart for entry in pair}
    cells: dict[str, dict[int, list[dict[str, object]]]] = {}
    best: dict[str, tuple[int, float]] = {}
    for entry in (entry for entry in entries if entry.group == group):
        method, budget = entry.score.method, entry.score.budget
        shown = {"card": numbers[entry.card], "text": entry_text(entry), "flag": entry in flagged}
        cells.setdefault(method, {}).setdefault(budget, []).append(shown)
        best[method] = max(best.get(method, (0, 0.0)), (budget, entry.score.value))
    reasons: dict[str, list[str]] = {}
    for name, other, one in left_out_of(cards):
        if other == group:
            line = f"{one.method}@{one.budget}: {one.reason}"
            reasons.setdefault(line, []).append(str(numbers[name]))
    return {
        "title": group.title,
        "budgets": sorted({budget for row in cells.values() for budget in row}, reverse=True),
        "rows": [(name, cells[name]) for name in sorted(cells, key=best.__getitem__, reverse=True)],
        "left_out": [f"{', '.join(names)}: {line}" for line, names in reasons.items()],
    }


def entry_text(entry: Entry) -> str:
    """A score with its interval, and how much of the split it is about."""
    score = entry.score
    low, high = (math.nan if end is None else end for end in (score.low, score.high))
    part = f", {entry.n_images} images" * (entry.n_images < entry.group.n_whole)
    return f"{number(score.value)} {interval(low, high)}{part}"


def told(first: Entry, second: Entry) -> str:
    """A disagreement in words."""
    both = " and ".join(f"{entry.card}: {entry_text(entry)}" for entry in (first, second))
    group, method, budget, metric = first.cell
    return f"{group.title}: {method} at {budget} tokens, {metric}; {both}"


def board_json(found: Cards) -> dict[str, object]:
    """Everything of the page, and every metric, for programs."""
    return {
        "scores": [
            entry.group._asdict()
            | {"card": entry.card, "n_images": entry.n_images}
            | entry.score.model_dump()
            for entry in entries_of(found.cards)
        ],
        "left_out": [
            group._asdict() | {"card": name} | one.model_dump()
            for name, group, one in left_out_of(found.cards)
        ],
        "cards": {
            name: card.model_dump(mode="json", exclude={"results", "sources", "versions"})
            for name, card in found.cards.items()
        },
        "disagreements": [told(*pair) for pair in disagreements(found.cards)],
        "unequal_rows": unequal_rows(found.cards),
        "refused": found.refused,
    }
