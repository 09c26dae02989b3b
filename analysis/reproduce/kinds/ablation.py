"""The table of ablations: each part of the method removed, reversed or replaced."""

from collections.abc import Mapping

import pandas as pd

from litelvlm.analysis.reproduce.budgets import budget_of, published_tokens
from litelvlm.analysis.reproduce.kinds.ablation_work import ablation_work
from litelvlm.analysis.reproduce.kinds.counts import split_counts
from litelvlm.analysis.reproduce.kinds.kind import (
    CHUNK,
    PLAIN_INTERVAL,
    FinishedSplit,
    Kind,
    images_in_words,
    splits_in_words,
)
from litelvlm.analysis.reproduce.lines import Line
from litelvlm.analysis.reproduce.settings import Settings
from litelvlm.analysis.reproduce.work import Sizes, Workload
from litelvlm.analysis.studies import ablations


def _options(settings: Settings) -> Mapping[str, object]:
    return {
        "images": None,
        "official_seeds": settings.draws,
        "batch_size": settings.batch_size,
        "chunk_size": CHUNK,
    }


def _lines(split: FinishedSplit) -> tuple[Line, ...]:
    return ablation_lines(split.run.summary.table("deltas"), split.name, split.n_tokens)


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


def _work(settings: Settings, sizes: Sizes) -> Workload:
    budgets = tuple(budget_of(tokens, sizes.n_tokens) for tokens in settings.tokens)
    config = ablations.Config(budgets=budgets, official_seeds=settings.draws, images=None)
    counts = split_counts(settings)
    return ablation_work(
        config, [images for images, _ in counts], [each for _, each in counts], sizes
    )


def _sentence(settings: Settings, work: Workload) -> str:
    return (
        f"study {ABLATION.study} on {splits_in_words(settings)}: "
        f"{images_in_words(settings, work)}, {work.passes} passes of the language model for each"
    )


ABLATION = Kind(
    study="ablations",
    options=_options,
    lines=_lines,
    work=_work,
    sentence=_sentence,
    interval=PLAIN_INTERVAL,
)
