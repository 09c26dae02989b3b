"""The table of ablations: each part of the method removed, reversed or replaced."""

import pandas as pd

from litelvlm.analysis.reproduce.accuracy import published_tokens
from litelvlm.analysis.reproduce.lines import Line


def ablation_lines(deltas: pd.DataFrame, place: str, n_tokens: int) -> tuple[Line, ...]:
    """One line per method and budget: its cIoU minus that of its reference, in points.

    Args:
        deltas: Table "deltas" of the study ``ablations``.
        place: Data set and split.
        n_tokens: Visual tokens of the model before pruning.
    """
    nothing = float("nan")
    return tuple(
        Line(
            place=place,
            method=f"{line['method']} - {line['reference']}",
            label="",
            tokens=published_tokens(int(line["budget"]), n_tokens),
            budget=int(line["budget"]),
            quantity="cIoU difference",
            unit="points",
            published=nothing,
            measured=100 * line["delta"],
            difference=nothing,
            low=100 * line["low"],
            high=100 * line["high"],
            tells=100 * line["mde"],
            margin=1.0,
            n_images=int(line["n_images"]),
            n=int(line["n"]),
            verdict="no published number",
        )
        for line in deltas[deltas["metric"] == "ciou"].to_dict("records")
    )
