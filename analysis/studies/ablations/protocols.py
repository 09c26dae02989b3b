"""How much the protocol moves a score: official draws beside the single protocol."""

import numpy as np
import pandas as pd
from jaxtyping import Float

from litelvlm.analysis.stats.bootstrap import Estimate, bootstrap, ratios
from litelvlm.analysis.stats.nested import nested_bootstrap
from litelvlm.analysis.studies.ablations.rows import PROTOCOLS_PART
from litelvlm.analysis.studies.scores import Score, counted
from litelvlm.arrays import Array

OFFICIAL, DRAWN, EVERY = "official", "single, the expressions drawn", "single, every expression"
DIFFERENCE = "official minus single"


def protocol_table(rows: pd.DataFrame, score: Score) -> pd.DataFrame:
    """Scores of the method, its parts and controls by protocol, on the same images.

    The rivals, which run in the official protocol alone, have no line.

    "official": drawn expressions and templates, several expressions in one conversation. "single,
    the expressions drawn": the same expressions draw by draw, each in a conversation of its own
    with one template, so that its noise is that of drawing expressions only. Then the paired
    difference of the two. "single, every expression": all of them once. A random method's single
    score is the mean of its draws.

    sd_draws is the standard deviation over the official seeds, nan where nothing is drawn.
    Intervals resample images and, within each, draws, so that they hold both kinds of noise.
    """
    both = rows[rows["part"] == PROTOCOLS_PART]
    keys = both[["method", "budget", "protocol", "image_id", "sent_id", "seed"]]
    both = keys.join(counted(both, (score,)))
    columns, lines = list(score.columns), []
    for (method, budget), group in both.groupby(["method", "budget"], sort=True):
        official = group[group["protocol"] == OFFICIAL]
        alone = (
            group[group["protocol"] != OFFICIAL]
            .groupby(["image_id", "sent_id"], as_index=False)[columns]
            .mean()
        )
        if alone.empty:
            continue
        pairs = official.merge(
            alone[["sent_id", *columns]], on="sent_id", suffixes=("", "_alone"), validate="m:1"
        )
        draws = pairs.groupby(["image_id", "seed"])[
            [*columns, *(f"{name}_alone" for name in columns)]
        ].sum()
        found = _drawn(draws)
        name = {"method": method, "budget": budget}
        drawn = {"draws": pairs["seed"].nunique()}
        lines += [
            {"protocol": protocol}
            | name
            | e._replace(n=len(pairs)).line(score.name)
            | {"sd_draws": sd}
            | drawn
            for protocol, (e, sd) in found.items()
        ]
        every = bootstrap(
            alone[columns].to_numpy(), alone["image_id"].to_numpy(), ratios
        ).estimates()[0]
        lines.append(
            {"protocol": EVERY} | name | every.line(score.name) | {"sd_draws": np.nan, "draws": 1}
        )
    return pd.DataFrame(lines)


def _drawn(draws: pd.DataFrame) -> dict[str, tuple[Estimate, float]]:
    """Estimate and standard deviation over draws of either protocol and of their difference."""

    def both(sums: Float[Array, "b 4"]) -> Float[Array, "b 3"]:
        official, alone = ratios(sums[:, :2]), ratios(sums[:, 2:])
        value: Array = np.hstack([official, alone, official - alone])
        return value

    levels = [draws.index.get_level_values(name).to_numpy() for name in ("image_id", "seed")]
    estimates = nested_bootstrap(draws.to_numpy(), levels, both).estimates()
    of_seed = both(draws.groupby("seed").sum().to_numpy(dtype=np.float64))
    spread = of_seed.std(axis=0, ddof=1) if len(of_seed) > 1 else np.full(3, np.nan)
    names = (OFFICIAL, DRAWN, DIFFERENCE)
    return {name: (e, float(sd)) for name, e, sd in zip(names, estimates, spread, strict=True)}
