"""Finished runs of the importance and faithfulness studies whose scores and signals are made up.

Importance is planted: a signal is the reversed similarity times ``strength`` plus noise, both
smooth on the grid.
"""

from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
from planted import GRID, PlantedModel, planted_data
from scipy.ndimage import gaussian_filter

from litelvlm.analysis.api import complete_run
from litelvlm.analysis.runs.work import ItemResult, Work
from litelvlm.analysis.signals.clip_scores import REVERSED
from litelvlm.analysis.signals.importance import Signal
from litelvlm.analysis.stats.faithfulness import curve_points, eraser_counts
from litelvlm.analysis.studies import faithfulness, importance
from litelvlm.analysis.studies.faithfulness.rows import MOVED_LEADS
from litelvlm.analysis.studies.importance.agreement import Tokens, agreement_rows, joint_rows, row
from litelvlm.analysis.studies.importance.sanity import REINITIALISED
from litelvlm.models.glamm.attribution.targets import TARGETS

N = GRID[0] * GRID[1]
BUDGETS = (48, 32, 16, 8)
SCORES = (
    REVERSED,
    "cosine_low_similarity",
    "context",
    "cls_attention",
    "value_norm",
    "state_norm",
    "cls_cosine",
    "centre_distance",
    "random",
    "coverage",
)
RANKINGS = (
    REVERSED,
    "high_similarity",
    "random",
    "coverage",
    "attention_middle",
    "leave_one_out",
    MOVED_LEADS[REVERSED],
)


def smooth(rng, sigma=1.0):
    """A map without meaning whose neighbours are alike, of unit spread."""
    values = gaussian_filter(rng.normal(size=GRID), sigma, mode="wrap").ravel()
    return values / values.std()


def planted_signals(rng, score, strength):
    def signal(name, **more):
        noise = smooth(rng)
        return Signal(name, strength * score + np.sqrt(1 - strength**2) * noise, **more)

    yield signal("attention_middle", reliability=0.8)
    yield signal("leave_one_out", target="soft_dice", removal="drop", reliability=0.5)
    yield signal("relevance", target="soft_dice")
    yield signal("input_x_gradient", target="soft_dice")
    yield signal("integrated_gradients", target="soft_dice", removal="zero", error=0.08)
    for layer in range(2):
        for head in range(3):
            yield signal("attention", layer=layer, head=head)


def importance_rows(rng, strength):
    scores = {name: smooth(rng) for name in SCORES}
    score = scores[REVERSED]
    # The true mask agrees with importance as far as the reversed ranking may, for comparison.
    scores["coverage"] = score + 0.5 * smooth(rng.spawn(1)[0])
    tokens = Tokens(GRID, rng.random(N), rng.random(N))
    signals = list(planted_signals(rng, score, strength))
    rows = agreement_rows(scores, signals, tokens, 16, {REVERSED: 0.9}, BUDGETS)
    for signal in signals[:4]:
        rows += joint_rows(REVERSED, score, signal)
        rows += [
            row(
                "trained",
                signal,
                "spearman",
                0.1 * layer + 0.02 * rng.random(),
                control=REINITIALISED,
                layer=layer,
            )
            for layer in range(4)
        ]
    for signal in signals[:2]:
        rows.append(
            row(REVERSED, signal, "spearman", 0.01 * rng.random(), control="shuffled_signal")
        )
    return rows


def planted_importance(out, n_images=24, strength=0.5, seed=0):
    """A finished importance run."""

    def image_rows(index):
        rng = np.random.default_rng([seed, index])
        return ItemResult([keys_of(index) | found for found in importance_rows(rng, strength)])

    config = importance.Config(images=n_images, chunk_size=n_images)
    return complete_run(
        made_up(importance.STUDY, image_rows), PlantedModel(), planted_data(n_images), config, out
    )


def made_up(study, image_rows):
    """The study with rows that no model made."""

    def prepare(model, data, config):
        return Work(data, lambda index: partial(image_rows, index))

    return replace(study, prepare=prepare)


def keys_of(index):
    return {"image_id": index, "sent_id": 10 * index, "visible_frac": 1.0}


def faithfulness_rows(rng):
    counts = curve_points(N, 6)
    for place, ranking in enumerate(RANKINGS):
        for target in TARGETS:
            for metric in ("insertion", "deletion"):
                for k in counts:
                    share = k / N if metric == "insertion" else 1 - k / N
                    yield (
                        ranking,
                        target,
                        metric,
                        k,
                        share ** (1 / (1 + place)) + 0.01 * rng.random(),
                    )
            for metric in ("insertion_auc", "deletion_auc", "infidelity"):
                yield ranking, target, metric, 0, 0.1 * place + 0.01 * rng.random()
            for k in eraser_counts(N):
                yield ranking, target, "sufficiency", k, 0.1 * place + 0.01 * rng.random()


def planted_faithfulness(out, n_images=24):
    """A finished faithfulness run."""

    def image_rows(index):
        found = faithfulness_rows(np.random.default_rng(index))
        columns = ("ranking", "target", "metric", "k", "value")
        return ItemResult([keys_of(index) | dict(zip(columns, row, strict=True)) for row in found])

    config = faithfulness.Config(images=n_images, chunk_size=n_images)
    return complete_run(
        made_up(faithfulness.STUDY, image_rows),
        PlantedModel(),
        planted_data(n_images),
        config,
        out,
    )


def claims_by_id(summary):
    return {claim.id: claim for claim in summary.claims}


def first(table: pd.DataFrame, **wanted):
    """The one line of a table with these values."""
    for column, value in wanted.items():
        table = table[table[column] == value]
    (line,) = table.to_dict("records")
    return line
