"""Examples that figures show: expressions chosen by their scores and not by eye, and their file.

Studies write the file into a run folder, figures read it. Reading needs no model.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from jaxtyping import UInt8
from safetensors import safe_open
from safetensors.numpy import save

from litelvlm.arrays import Array
from litelvlm.data.dataset import Dataset, Expression, Sample
from litelvlm.data.files import atomic_write

FILE = Path("maps") / "examples.safetensors"
HOW_DRAWN = (
    "the command of a sweep of protocol 'single' draws it where a method pruned, also when it is "
    "given again"
)
FOUND = 0.5
"""IoU of an image, or J&F of a clip, from which masks count as found."""
SHOWN = (75, 25)
"""Percentiles of the scores of each group that pictures show."""
RULE = (
    "Successes and failures by rule, not by eye: of the expressions that the unpruned model finds "
    "({score} 0.5), those that are still found at the largest budget and those that are not, at "
    "the 75th and 25th percentile of {score} in either group"
)
"""``successes_and_failures`` in words; the label of the score takes the place of {score}."""


def at_percentiles(scores: "pd.Series[float]", percentiles: Sequence[int]) -> dict[int, int]:
    """Expressions (``sent_id``, the index of the scores) at fixed percentiles, by percentile.

    Example:
        >>> at_percentiles(pd.Series(range(11), index=range(100, 111)), (10, 50, 95))
        {10: 101, 50: 105, 95: 109}
    """
    ordered = scores.sort_values(kind="stable").index
    return {p: int(ordered[int(p / 100 * (len(ordered) - 1))]) for p in percentiles}


class ShownExpression(NamedTuple):
    """An expression that pictures show, and which case it stands for.

    Attributes:
        sent_id: Of the expression.
        group: "success" or "failure", or what else the group holds.
        percentile: Rank of its score in the group, in percent.
        size: Expressions in the group.
    """

    sent_id: int
    group: str
    percentile: int
    size: int

    @property
    def words(self) -> str:
        """The case in words, such as "failure, 25th percentile of 40"."""
        return f"{self.group}, {self.percentile}th percentile of {self.size}"


def successes_and_failures(
    whole: "pd.Series[float]", pruned: "pd.Series[float]"
) -> list[ShownExpression]:
    """Expressions for pictures: successes of a method beside its failures.

    A success or failure is found by the unpruned model; pruning keeps the mask of the one and loses
    that of the other. Where the unpruned model finds nothing, all expressions are one group. A
    group without expressions shows none, and one expression is shown once.

    Args:
        whole: Score of the unpruned model by ``sent_id``, IoU or J&F.
        pruned: That of the method, likewise.
    """
    scores = pruned[whole.reindex(pruned.index) >= FOUND]
    groups = {"success": scores[scores >= FOUND], "failure": scores[scores < FOUND]}
    if scores.empty:
        groups = {"not found unpruned": pruned}
    shown: list[ShownExpression] = []
    for group, own in groups.items():
        if own.empty:
            continue
        for percentile, sent_id in at_percentiles(own, SHOWN).items():
            if sent_id not in {one.sent_id for one in shown}:
                shown.append(ShownExpression(sent_id, group, percentile, len(own)))
    return shown


def expression_of(data: Dataset, sent_id: int) -> tuple[Sample, Expression]:
    """The expression of that id with its image."""
    samples = (data[index] for index in range(len(data)))
    return next((s, e) for s in samples for e in s.expressions if int(e.sent_id) == sent_id)


class Example(NamedTuple):
    """One expression under every budget.

    Attributes:
        text: The expression.
        percentile: Rank of its score among all expressions, or those of its case, in percent.
        titles: One per panel.
        panels: Overlays, RGB in 0..255; the true mask first.
        case: What it stands for, in words; empty where the percentile says all.
    """

    text: str
    percentile: int
    titles: tuple[str, ...]
    panels: tuple[UInt8[Array, "height width 3"], ...]
    case: str = ""


def write_examples(run: Path, method: str, examples: Sequence[Example]) -> Path:
    """Keep the examples of a run, and return their file.

    Args:
        run: The run folder.
        method: Label of the method that chose the tokens.
        examples: In the order in which they are shown.
    """
    panels = {
        f"{number}.{place}": panel
        for number, example in enumerate(examples)
        for place, panel in enumerate(example.panels)
    }
    lines = [
        {name: getattr(example, name) for name in ("text", "percentile", "titles", "case")}
        for example in examples
    ]
    meta = {"examples": json.dumps(lines), "method": method}
    return atomic_write(run / FILE, save(panels, metadata=meta))


def read_examples(run: Path) -> tuple[str, list[Example]]:
    """Label of the method that was drawn, and the examples.

    Raises:
        FileNotFoundError: If the run holds none.
    """
    if not (run / FILE).is_file():
        raise FileNotFoundError(f"{run} has no {FILE}; {HOW_DRAWN}")
    with safe_open(run / FILE, framework="numpy") as file:
        meta = file.metadata()
        examples = [
            Example(
                line["text"],
                line["percentile"],
                tuple(line["titles"]),
                tuple(file.get_tensor(f"{number}.{place}") for place in range(len(line["titles"]))),
                line.get("case", ""),  # runs of before had none
            )
            for number, line in enumerate(json.loads(meta["examples"]))
        ]
        return meta["method"], examples
