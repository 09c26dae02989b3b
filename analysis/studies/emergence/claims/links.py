"""Claims about what goes with the reversal: the sink, the value path, and LiteLVLM's gain."""

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd

from litelvlm.analysis.runs.claims import Claim
from litelvlm.analysis.runs.over_trainings import (
    NOT_LEARNED,
    Evidence,
    Side,
    over_both,
    over_trainings,
    training_claim,
)
from litelvlm.analysis.studies.emergence.config import Config
from litelvlm.analysis.studies.emergence.crossed import (
    CHANGE_OF_REVERSAL,
    ByCategory,
    by_category,
    crossed_mean_of,
)
from litelvlm.analysis.studies.emergence.links import (
    Level,
    counted_gains,
    gains_table,
    link,
    natural_trainings,
    with_gains,
)
from litelvlm.training.trainings.design import LOOKED_TWICE, cell_name

MADE = "made a sink on purpose"
NOT_AT_EOS = "the text is not read at [EOS]"
MADE_CELL = cell_name({"sos_loss": 1.0})
"""Towers that were trained to have a sink."""
VALUE_LOOKS = 2
"""Looks at what the value path gains: with twelve trainings, and with those of the base."""
_GAIN = "IoU, mean of the budgets"
_LEVELS: dict[Level, tuple[str, str, str]] = {
    "within": ("", "trainings of one condition", "trainings"),
    "between": (".cells", "the means of conditions", "cells"),
}
"""End of the id, words and unit of a link at each level."""


def sink_claims(reversals: ByCategory, table: pd.DataFrame, config: Config) -> list[Claim]:
    """Whether sink and reversal go together, and whether one makes the other.

    Ids: "together" (correlation among trainings of one condition), "together.cells" (among means of
    conditions), "mediator" and "mediator.cells" (the same for the alignment of the readout with the
    value path), "sink.causes" ([SOS] hidden from a trained tower), "sink.added"
    (more attention on [SOS] in a trained tower), "sink.made.STAGE" (towers trained to have a sink).
    In some trainings the true text is reversed more than absent ones, in others less. A change of
    a trained tower is therefore judged by the size of that difference, whatever its sign.
    """
    natural = natural_trainings(table)
    made = table["learned"] & ~table["repeated"] & (table["sos_loss"] > 0)
    excluded = {MADE: int(made.sum())}
    pairs: tuple[tuple[str, str, str, Side], ...] = (
        ("together", "sink", "a stronger sink goes with a stronger reversal", "greater"),
        ("mediator", "alignment", "the alignment of the readout goes with the reversal", "either"),
    )
    found = []
    for id, first, words, side in pairs:
        for level, (end, among, unit) in _LEVELS.items():
            statement = f"Among {among}, {words} that follows the text."
            null = f"{first} and reversal vary independently"
            if linked := link(natural, first, "reversal", level):
                found.append(
                    training_claim(
                        f"{id}{end}", statement, Evidence(*linked), null, side, excluded, unit=unit
                    )
                )
    for id, change, column, sign in (
        ("causes", "Hiding [SOS] from [EOS] weakens", "reversal_no_sos", -1),
        ("added", "Drawing the attention of [EOS] to [SOS] strengthens", "reversal_more_sos", 1),
    ):
        both = natural.dropna(subset=[column])
        if len(both) > 1:
            grown = both[column].abs() - both["reversal"].abs()
            found.append(
                training_claim(
                    f"sink.{id}",
                    f"{change} what of the reversal follows the text, whatever its sign.",
                    over_trainings(sign * grown.to_numpy(dtype=np.float64), config.margin),
                    "its size stays as it is",
                    excluded=excluded | {NOT_AT_EOS: len(natural) - len(both)},
                )
            )
    return [*found, *made_claims(reversals, table, config)]


def made_claims(reversals: ByCategory, table: pd.DataFrame, config: Config) -> list[Claim]:
    """What a sink does that was made in training: towers with it minus the base, by seed.

    Both must have learned. The sink must be there too: a mean log lift above ``sink_margin``. The
    interval is over trainings and categories.
    """
    found = []
    for stage, part in table.groupby("stage"):
        base, made = (part[part["cell"] == cell].set_index("seed") for cell in ("base", MADE_CELL))
        made = made[made.index.isin(base.index)]
        learned = made["learned"] & base.loc[made.index, "learned"]
        there = made["sink"] > config.sink_margin
        pairs = made.index[learned & there]
        own, other = (
            by_category(reversals, table, str(stage), cell).reindex(pairs)
            for cell in (MADE_CELL, "base")
        )
        mean = crossed_mean_of((own - other).dropna(axis=1), CHANGE_OF_REVERSAL)
        if mean is not None:
            found.append(
                training_claim(
                    f"sink.made.{stage}",
                    f"Stage {stage}: a sink made in training strengthens the reversal that "
                    "follows the text.",
                    over_both(mean, config.margin),
                    "the reversal is that of the base with the same seed",
                    excluded={
                        NOT_LEARNED: int((~learned).sum()),
                        "the sink is not there": int((learned & ~there).sum()),
                    },
                    looks=2 if MADE_CELL in LOOKED_TWICE else 1,
                )
            )
    return found


def gain_claims(rows: pd.DataFrame, outcomes: pd.DataFrame, config: Config) -> list[Claim]:
    """Claims over the trainings whose tower has learned and whose reader works.

    Whether gain and reversal go together is asked twice: of the trainings of one condition
    ("gain.follows"), and of the means of conditions ("gain.follows.cells"). "gain.value" and
    "value.*" ask of the highest value-path similarity, which needs no reversal, where it was
    measured; "*.text" compares with the text of an absent category. None if no training has a
    reader. All are exploratory. A training that two stages share counts once.

    Args:
        rows: Of the study.
        outcomes: Of ``outcome_table``.
        config: Gives margins and gates.
    """
    table = gains_table(rows, outcomes, config.reader_gate)
    if table.empty:
        return []
    with_patches = outcomes[~outcomes["repeated"]].dropna(subset=["reversal_true"])
    counted, table = counted_gains(table), table[~table["repeated"]]
    excluded = {
        "not measured with a reader": len(with_patches) - len(table),
        NOT_LEARNED: int((~table["learned"]).sum()),
        "reader does not find objects": int((table["learned"] & ~table["works"]).sum()),
    }
    found = []
    for level, (end, among, unit) in _LEVELS.items():
        if linked := link(with_gains(outcomes, counted), "reversal_true", "gain", level):
            found.append(
                training_claim(
                    f"gain.follows{end}",
                    f"Among {among.removeprefix('the ')}, the more the true text is reversed at "
                    "the layer that GLaMM reads, the more LiteLVLM gains over random tokens "
                    f"(correlation of the reversal index with the gain in {_GAIN}).",
                    Evidence(*linked),
                    "reversal and gain vary independently",
                    excluded=excluded,
                    unit=unit,
                )
            )
    signs: tuple[tuple[str, int, str, str, Side], ...] = (
        ("positive", 1, "above", "gains over", "greater"),
        ("negative", -1, "below", "loses to", "less"),
    )
    for id, sign, where, verb, side in signs:
        part = counted[sign * counted["index"] > 0]
        if len(part):
            found.append(
                training_claim(
                    f"gain.{id}",
                    f"In trainings whose reversal index is {where} 0 LiteLVLM {verb} random tokens "
                    f"(difference in {_GAIN}).",
                    over_trainings(part["gain"].to_numpy(dtype=np.float64), config.gain_margin),
                    "random tokens",
                    side,
                    excluded,
                )
            )
    return [*found, *_value_claims(counted, excluded, config)]


def _value_claims(
    counted: pd.DataFrame, excluded: Mapping[str, int], config: Config
) -> Iterator[Claim]:
    """What the value path gains, over what, and whether it reads the text, as LiteLVLM may."""
    value, lowest = counted["gain_value"], counted["gain"]
    path = "the tokens of the highest value-path similarity"
    lost, lost_lowest = (
        value - counted["gain_value_foreign"],
        lowest - counted["gain_lowest_foreign"],
    )
    for id, ahead, words in (
        ("gain.value", value, f"{path} gain over random ones"),
        ("value.lowest", value - lowest, f"{path} gain over LiteLVLM's"),
        ("value.grid", value - counted["gain_grid"], f"{path} gain over an even grid"),
        ("value.text", lost, f"{path} need the true text"),
        ("lowest.text", lost_lowest, "LiteLVLM's tokens need the true text"),
    ):
        known = ahead.dropna()
        if len(known):
            yield training_claim(
                id,
                f"Over trainings of {counted.loc[known.index, 'cell'].nunique()} conditions "
                f"{words} (difference in {_GAIN}).",
                over_trainings(known.to_numpy(dtype=np.float64), config.gain_margin),
                "the other tokens",
                excluded={**excluded, "not measured by these rules": len(counted) - len(known)},
                looks=VALUE_LOOKS,
            )
