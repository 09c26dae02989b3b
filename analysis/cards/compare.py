"""Many cards side by side: which scores can stand in one table, and which of them disagree."""

import math
from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import NamedTuple

from litelvlm.analysis.cards.card import Card, LeftOut, Result, Score


class Group(NamedTuple):
    """What can stand in one table: the same weights, one split of the same size, one protocol.

    Attributes:
        model: Name of the model.
        weights: Digest of its files: other weights of the same name are another model.
        family: "miniature" or "other".
        data: Data set, split and its author.
        n_whole: Images of the whole split: copies that pool splits are another split.
        protocol: How expressions are put into conversations.
    """

    model: str
    weights: str
    family: str
    data: str
    n_whole: int
    protocol: str

    @property
    def title(self) -> str:
        """The group in words."""
        small = " (miniature)" if self.family == "miniature" else ""
        which = f"{self.model} {self.weights[:8]}{small}"
        return f"{which} on {self.data}, {self.n_whole} images, protocol {self.protocol}"


class Entry(NamedTuple):
    """One score of one card, which its file name stands for, about so many images."""

    card: str
    group: Group
    score: Score
    n_images: int

    @property
    def cell(self) -> tuple[Group, str, int, str]:
        """What it can be compared with: the same group, method, budget and metric."""
        return (self.group, self.score.method, self.score.budget, self.score.metric)


def results_of(cards: Mapping[str, Card]) -> Iterator[tuple[str, Group, Result]]:
    """Every split of every card: file name of the card, its group, and the result."""
    for name, card in sorted(cards.items()):
        for result in card.results:
            data = [result.data.get(key, "?") for key in ("name", "split", "split_by")]
            group = Group(
                model=card.model.get("name", "?"),
                weights=card.model.get("digest", "?"),
                family=card.model.get("family", "?"),
                data=f"{data[0]} {data[1]} ({data[2]})",
                n_whole=result.n_whole,
                protocol=result.protocol,
            )
            yield name, group, result


def entries_of(cards: Mapping[str, Card]) -> list[Entry]:
    """Every score of every card, those of one group together."""
    found = [
        Entry(name, group, score, result.n_images)
        for name, group, result in results_of(cards)
        for score in result.scores
    ]
    return sorted(found, key=lambda entry: entry.group)


def left_out_of(cards: Mapping[str, Card]) -> list[tuple[str, Group, LeftOut]]:
    """What every card left out: its file name, the group, and method, budget and reason."""
    return [
        (name, group, one) for name, group, result in results_of(cards) for one in result.left_out
    ]


def disagreements(cards: Mapping[str, Card]) -> list[tuple[Entry, Entry]]:
    """Every pair of entries of one cell that ``disagree``."""
    cells: dict[tuple[Group, str, int, str], list[Entry]] = {}
    for entry in entries_of(cards):
        cells.setdefault(entry.cell, []).append(entry)
    return [
        (first, second)
        for entries in cells.values()
        for first, second in combinations(entries, 2)
        if disagree(first.score, second.score)
    ]


def disagree(first: Score, second: Score) -> bool:
    """Whether two scores lie further apart than their intervals allow.

    The interval of the difference is made of the two halves that face each other. Two cards about
    the same images share their luck with them, so that the rule is cautious there: what it flags
    is no chance of the images. A score without an interval disagrees with none.

    Source: Zou and Donner 2008, Construction of confidence limits about effect measures (MOVER).

    Example:
        >>> one = Score(method="a", budget=4, metric="ciou", value=0.5, low=0.4, high=0.6, n=9)
        >>> two = one.model_copy(update={"value": 0.7, "low": 0.65, "high": 0.75})
        >>> disagree(one, two), disagree(one, one)
        (True, False)
    """
    lower, upper = sorted((first, second), key=lambda score: score.value)
    if lower.high is None or upper.low is None:
        return False
    reach = math.hypot(lower.high - lower.value, upper.value - upper.low)
    return upper.value - lower.value > reach


def unequal_rows(cards: Mapping[str, Card]) -> list[tuple[str, str, str]]:
    """Cards that ran the same key and yet have other rows: file names of both, and the split.

    The key holds everything that can change a row but the processor, so such a pair names two
    machines that compute differently, or rows that were changed.
    """
    return [
        (first, second, f"{one.data.get('name', '?')} {one.data.get('split', '?')}")
        for (first, _, one), (second, _, other) in combinations(results_of(cards), 2)
        if one.key == other.key and one.rows != other.rows
    ]
