"""Many cards side by side: who measured what, and which of them disagree."""

import math
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

from litelvlm.analysis.cards.card import Card, LeftOut, Metric, Result, Score


class Entry(NamedTuple):
    """One score of one card.

    Attributes:
        card: File name of the card.
        score: The score.
        result: Its split.
    """

    card: str
    score: Score
    result: Result


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


class Disagreement(NamedTuple):
    """Two cards whose scores lie further apart than their intervals allow."""

    group: Group
    method: str
    budget: int
    metric: Metric
    first: Entry
    second: Entry


Cells = dict[tuple[str, int, Metric], list[Entry]]


def groups_of(cards: Mapping[str, Card]) -> dict[Group, Cells]:
    """All scores by group, and in it by method, budget and metric."""
    found: dict[Group, Cells] = {}
    for name, card in sorted(cards.items()):
        for result in card.results:
            cells = found.setdefault(_group(card, result), {})
            for score in result.scores:
                key = (score.method, score.budget, score.metric)
                cells.setdefault(key, []).append(Entry(name, score, result))
    return dict(sorted(found.items()))


def left_out_of(cards: Mapping[str, Card]) -> dict[Group, dict[str, tuple[LeftOut, ...]]]:
    """What each card left out, by group and file name of the card."""
    found: dict[Group, dict[str, tuple[LeftOut, ...]]] = {}
    for name, card in sorted(cards.items()):
        for result in card.results:
            if result.left_out:
                by_card = found.setdefault(_group(card, result), {})
                by_card[name] = (*by_card.get(name, ()), *result.left_out)
    return found


def _group(card: Card, result: Result) -> Group:
    data = [result.data.get(name, "?") for name in ("name", "split", "split_by")]
    return Group(
        card.model.get("name", "?"),
        card.model.get("digest", "?"),
        card.model.get("family", "?"),
        f"{data[0]} {data[1]} ({data[2]})",
        result.n_whole,
        result.protocol,
    )


def disagreements(groups: Mapping[Group, Cells]) -> list[Disagreement]:
    """Every pair of entries of one cell that ``disagree``."""
    return [
        Disagreement(group, method, budget, metric, first, second)
        for group, cells in groups.items()
        for (method, budget, metric), entries in cells.items()
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
    runs: dict[str, list[tuple[str, Result]]] = {}
    for name, card in sorted(cards.items()):
        for result in card.results:
            runs.setdefault(result.key, []).append((name, result))
    return [
        (first[0], second[0], f"{first[1].data.get('name', '?')} {first[1].data.get('split', '?')}")
        for same in runs.values()
        for first, second in combinations(same, 2)
        if first[1].rows != second[1].rows
    ]


def flagged(found: Sequence[Disagreement], entry: Entry) -> bool:
    """Whether an entry takes part in a disagreement."""
    return any(entry is one.first or entry is one.second for one in found)
