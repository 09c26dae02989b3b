"""The leaderboard: many result cards as one offline page, and as one JSON object.

One table holds what can be compared: the same weights, as many images of one split, one protocol.
Two scores of a table disagree where they lie further apart than their intervals allow.
"""

import math
from collections.abc import Hashable, Mapping
from itertools import combinations
from pathlib import Path

import pandas as pd

from litelvlm.analysis.pages.cards import Card
from litelvlm.analysis.pages.rendering import page_environment
from litelvlm.analysis.runs.formatting import interval, number
from litelvlm.analysis.runs.miniature import MINIATURE_NOTE
from litelvlm.analysis.runs.origin.provenance import MINIATURE
from litelvlm.data.files import atomic_write

GROUP = ["model", "weights", "family", "data", "n_whole", "n_images", "protocol"]
"""Columns that scores in one table share. Other weights of the same name are another model, and a
copy of a split with another number of images is another split. A part of a split is
compared with parts of as many images alone."""
CELL = [*GROUP, "method", "budget", "metric"]
"""Columns that scores share which can be compared."""


def board_scores(cards: Mapping[str, Card]) -> pd.DataFrame:
    """Every score of every card: the columns of ``CELL``, card, value, low, high and n.

    Scores that can be compared stand together; an end that no interval has is nan.
    """
    lines = [
        {
            "card": name,
            "n_images": result.n_images,
            "model": card.model.get("name", "?"),
            "weights": card.model.get("digest", "?"),
            "family": card.model.get("family", "?"),
            "data": "{} {} ({})".format(
                *(result.data.get(key, "?") for key in ("name", "split", "split_by"))
            ),
            "n_whole": result.n_whole,
            "protocol": result.protocol,
            **score.model_dump(),
        }
        for name, card in sorted(cards.items())
        for result in card.results
        for score in result.scores
    ]
    columns = ["card", *CELL, "value", "low", "high", "n"]
    found = pd.DataFrame(lines, columns=columns).astype({"low": float, "high": float})
    return found.sort_values(GROUP, kind="stable", ignore_index=True)


def disagreements(scores: pd.DataFrame) -> list[tuple[int, int]]:
    """Lines of every pair of scores of one cell that ``disagree``."""
    lines = scores.to_dict("index")
    return [
        (first, second)
        for cell in scores.groupby(CELL, sort=False).groups.values()
        for first, second in combinations(cell, 2)
        if disagree(lines[first], lines[second])
    ]


def disagree(first: Mapping[Hashable, float], second: Mapping[Hashable, float]) -> bool:
    """Whether two scores lie further apart than their intervals allow.

    The interval of the difference is made of the two halves that face each other. Two cards about
    the same images share their luck with them, so that the rule is cautious there: what it flags
    is no chance of the images. A score without an interval (nan) disagrees with none.

    Source: Zou and Donner 2008, Construction of confidence limits about effect measures (MOVER).

    Example:
        >>> one = {"value": 0.5, "low": 0.4, "high": 0.6}
        >>> disagree(one, {"value": 0.7, "low": 0.65, "high": 0.75}), disagree(one, one)
        (True, False)
    """
    lower, upper = sorted((first, second), key=lambda score: score["value"])
    reach = math.hypot(lower["high"] - lower["value"], upper["value"] - upper["low"])
    return bool(upper["value"] - lower["value"] > reach)


def write_leaderboard(cards: Mapping[str, Card], refused: Mapping[str, str], path: Path) -> Path:
    """Write the page.

    Args:
        cards: By file name.
        refused: Files that cannot be taken, and why.
        path: The HTML file.

    Returns:
        The path as given.
    """
    scores = board_scores(cards)
    apart = disagreements(scores)
    scores["flag"] = scores.index.isin([line for pair in apart for line in pair])
    scores["place"] = scores["card"].map({name: n for n, name in enumerate(cards, start=1)})
    page = (
        page_environment()
        .get_template("leaderboard.html")
        .render(
            title="Visual-token pruning: results by card",
            miniature_note=MINIATURE_NOTE if (scores["family"] == MINIATURE).any() else "",
            refused=list(refused.items()),
            disagreements=disagreement_lines(scores, apart),
            groups=[_table(own) for _, own in scores.groupby(GROUP)],
            cards=[(place, name, card) for place, (name, card) in enumerate(cards.items(), 1)],
        )
    )
    return atomic_write(path, page)


def _table(scores: pd.DataFrame) -> dict[str, object]:
    """Methods by budget: in each cell the cIoU of every card, best method first."""
    shown = scores[scores["metric"] == "ciou"].sort_values(["budget", "value"], ascending=False)
    rows: dict[str, dict[int, list[dict[str, object]]]] = {}
    for line in shown.to_dict("records"):
        entry = {"card": line["place"], "text": score_text(line), "flag": line["flag"]}
        rows.setdefault(line["method"], {}).setdefault(line["budget"], []).append(entry)
    budgets = shown["budget"].unique().tolist()
    return {
        "title": group_title(scores.iloc[0].to_dict()),
        "budgets": budgets,
        "rows": list(rows.items()),
    }


def group_title(line: Mapping[Hashable, object]) -> str:
    """What the scores of a table share, in words."""
    small = " (miniature)" if line["family"] == MINIATURE else ""
    which = f"{line['model']} {str(line['weights'])[:8]}{small}"
    n_images, n_whole = line["n_images"], line["n_whole"]
    images = f"a part of {n_images} of {n_whole}" if n_images != n_whole else f"all {n_whole}"
    return f"{which} on {line['data']}, {images} images, protocol {line['protocol']}"


def score_text(line: Mapping[Hashable, float]) -> str:
    """A score with its interval, and how much of the split it is about."""
    part = f", a part of {line['n_images']} images" * (line["n_images"] < line["n_whole"])
    return f"{number(line['value'])} {interval(line['low'], line['high'])}{part}"


def disagreement_lines(scores: pd.DataFrame, pairs: list[tuple[int, int]]) -> list[str]:
    """Disagreements in words."""
    told = []
    for first, second in (scores.loc[list(pair)].to_dict("records") for pair in pairs):
        both = " and ".join(f"{line['card']}: {score_text(line)}" for line in (first, second))
        cell = f"{first['method']} at {first['budget']} tokens, {first['metric']}"
        told.append(f"{group_title(first)}: {cell}; {both}")
    return told


def board_data(cards: Mapping[str, Card], refused: Mapping[str, str]) -> dict[str, object]:
    """Everything of the page, and every metric, for programs."""
    scores = board_scores(cards)
    return {
        "scores": scores.astype(object).where(scores.notna(), None).to_dict("records"),
        "cards": {
            name: card.model_dump(mode="json", exclude={"results", "sources", "versions"})
            for name, card in cards.items()
        },
        "disagreements": disagreement_lines(scores, disagreements(scores)),
        "refused": refused,
    }
