"""Where the explorer starts: on the expression from which most is to be learnt, by a rule."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import pandas as pd

from litelvlm.analysis.inputs.methods import PAPER, UNPRUNED

FOUND = 0.5
"""IoU from which the unpruned model has found the object."""
RIVAL = "random"
"""Method that stands beside the first one, if it was run."""


@dataclass(frozen=True)
class Start:
    """The first view of the page.

    Attributes:
        sample: Place of the expression among those of the page.
        budget: Tokens kept.
        methods: The two methods beside each other.
    """

    sample: int
    budget: int
    methods: tuple[str, str]

    @property
    def plain(self) -> dict[str, object]:
        """The same for JSON."""
        return asdict(self)


def two_methods(labels: Sequence[str]) -> tuple[str, str]:
    """The paper's method, else the first one; and random tokens, else the last one."""
    return (
        PAPER if PAPER in labels else labels[0],
        RIVAL if RIVAL in labels else labels[-1],
    )


def start(rows: pd.DataFrame, ids: Sequence[int], labels: Sequence[str]) -> Start:
    """The expression and budget at which two methods differ most, whichever of them wins.

    Only expressions count whose object the unpruned model finds; if it finds none, all do. Ties go
    to the first expression and the larger budget. Without a budget that both methods have, it is
    the first expression with the largest budget of the first method.

    Args:
        rows: Of the run; the first draw of a random method counts.
        ids: Expressions (``sent_id``) of the page, in its order.
        labels: Methods of the run.

    Example:
        >>> lines = [(5, "none", 144, 0.9), (5, "a", 8, 0.2), (5, "b", 8, 0.5),
        ...          (7, "none", 144, 0.9), (7, "a", 8, 0.7), (7, "b", 8, 0.1)]
        >>> rows = pd.DataFrame(lines, columns=["sent_id", "method", "budget", "iou"])
        >>> start(rows.assign(seed=0), [5, 7], ["a", "b"])
        Start(sample=1, budget=8, methods=('a', 'b'))
    """
    first, second = two_methods(labels)
    shown = rows[(rows["seed"] == 0) & rows["sent_id"].isin(ids)]
    ious = shown.set_index(["method", "budget", "sent_id"])["iou"].sort_index(ascending=False)
    budgets = [int(b) for b in ious[first].index.get_level_values("budget").unique()]
    whole = ious[UNPRUNED].droplevel("budget")
    gaps = [
        (bool(whole[id] >= FOUND), abs(ious[first, b, id] - ious[second, b, id]), -place, b)
        for b in budgets
        for place, id in enumerate(ids)
        if (second, b, id) in ious.index
    ]
    _, _, place, budget = max(gaps, default=(False, 0.0, 0, budgets[0]))
    return Start(-place, budget, (first, second))
