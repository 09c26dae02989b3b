"""Tables of the sink study: means over layers, heads, lengths, thresholds and kinds of position."""

import numpy as np
import pandas as pd

from litelvlm.analysis.runs.columns import Row
from litelvlm.analysis.signals.text_attention import (
    MEAN_HEAD,
    MEASURES,
    SHARES,
    uniform_alpha,
)
from litelvlm.analysis.stats.bootstrap import RESAMPLES, bootstrap_means
from litelvlm.analysis.stats.significance import benjamini_hochberg

DECIMALS = 6  # attention is float32: a uniform row must not differ from uniform by its last digit
THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6)
# Kinds of position: their share of attention, and of what is carried.
ROLES = {
    "[SOS]": ("a_sos", "norm_share"),
    "content words": ("content_share", "norm_content"),
    "punctuation": ("punct_share", "norm_punct"),
    "[EOS]": ("self_share", "norm_self"),
}
REST = "words of the template"
KINDS = ("attention", "carried by norm")


def make_tables(
    rows: pd.DataFrame, resamples: int = RESAMPLES, seed: int = 0
) -> dict[str, pd.DataFrame]:
    """Tables for figures.

    Returns:
        "grid": lift per layer and head with interval, p and its Benjamini-Hochberg adjustment q;
        "layers": every measure per layer, wording, weights and query (mean over heads); "length":
        the same by number of tokens, beside what uniform attention gives; "thresholds": share of
        heads above each; "positions": shares by kind of position.
    """
    if rows.empty:
        return {}
    means = rows[rows["head"] == MEAN_HEAD]
    groups = ["weights", "text_mode", "query"]
    layers = pd.concat(
        [_wide_means(group, groups, resamples, seed) for _, group in means.groupby(groups)],
        ignore_index=True,
    )
    return {
        "grid": grid_table(rows, resamples, seed),
        "layers": layers,
        "length": length_table(means[means["query"] == "eos"]),
        "thresholds": thresholds_table(rows),
        "positions": positions_table(means, resamples, seed),
    }


def _wide_means(group: pd.DataFrame, same: list[str], resamples: int, seed: int) -> pd.DataFrame:
    """Means of all measures in each layer from the same resamples; ``same`` columns are equal."""
    tags = {name: group[name].iloc[0] for name in same}
    names = list(MEASURES if tags["query"] == "eos" else SHARES)
    # Several random towers: their mean counts as one.
    wide = group.groupby(["image_id", "sent_id", "layer"])[names].mean().unstack("layer")
    result = bootstrap_means(
        wide.to_numpy(), wide.index.get_level_values("image_id").to_numpy(), resamples, seed
    )
    measures, places = (wide.columns.get_level_values(level) for level in (0, 1))
    cells = [
        tags
        | {"layer": int(place), "measure": measure, "mean": e.value, "low": e.low, "high": e.high}
        | {"n_images": e.n_images, "n": e.n}
        for measure, place, e in zip(measures, places, result.estimates(), strict=True)
    ]
    return pd.DataFrame(cells)


def length_table(means: pd.DataFrame) -> pd.DataFrame:
    """Every measure by number of tokens, layers averaged, beside that of uniform attention."""
    by_length = means.groupby(["weights", "text_mode", "n_tokens"])
    table = by_length[list(MEASURES)].mean().reset_index()
    table["n"] = by_length["sent_id"].nunique().to_numpy()
    table["n_images"] = by_length["image_id"].nunique().to_numpy()
    table["uniform_a_sos"] = 1 / table["n_tokens"]
    table["uniform_alpha1"] = table["n_tokens"].map(uniform_alpha)
    table["entropy"] = table["entropy_norm"] * np.log(table["n_tokens"])
    return table.assign(uniform_entropy=np.log(table["n_tokens"]))


def thresholds_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Share of samples, layers and heads whose alpha_1 lies above each threshold.

    It is given with and without the first position, whose attention is 1 by force. Beside each
    stands the share that uniform causal attention reaches at the same lengths: what short texts
    give.

    Source: Gu et al. (arXiv 2410.10781), whose threshold is 0.3 at 64 tokens.
    """
    chosen = rows[(rows["head"] != MEAN_HEAD) & (rows["weights"] == "trained")]
    found = []
    for mode, group in chosen.groupby("text_mode"):
        uniform = group["n_tokens"].map(uniform_alpha)
        free = (uniform * group["n_tokens"] - 1) / (group["n_tokens"] - 1)
        counts = {"n": group["sent_id"].nunique(), "n_images": group["image_id"].nunique()}
        found += [
            {"text_mode": mode, "threshold": threshold}
            | {
                "share": float((group["alpha1"] > threshold).mean()),
                "uniform": float((uniform > threshold).mean()),
            }
            | {"share_free": float((group["alpha1_free"] > threshold).mean())}
            | {"uniform_free": float((free > threshold).mean())}
            | counts
            for threshold in THRESHOLDS
        ]
    return pd.DataFrame(found)


def positions_table(means: pd.DataFrame, resamples: int = RESAMPLES, seed: int = 0) -> pd.DataFrame:
    """Share of attention, and of what is carried, by kind of position and layer, on questions."""
    chosen = means[
        (means["weights"] == "trained")
        & (means["text_mode"] == "template")
        & (means["query"] == "eos")
    ]
    table = chosen[["image_id", "layer"]].copy()
    for number, kind in enumerate(KINDS):
        named = {f"{role}|{kind}": chosen[pair[number]] for role, pair in ROLES.items()}
        table = table.assign(**named, **{f"{REST}|{kind}": 1 - pd.DataFrame(named).sum(axis=1)})
    found: list[Row] = []
    for layer in sorted(table["layer"].unique().tolist()):
        here = table[table["layer"] == layer]
        names = [name for name in here.columns if "|" in name]
        result = bootstrap_means(
            here[names].to_numpy(), here["image_id"].to_numpy(), resamples, seed
        )
        for name, e in zip(names, result.estimates(), strict=True):
            role, kind = name.split("|")
            cell = {
                "layer": int(layer),
                "role": role,
                "kind": kind,
                "share": e.value,
                "low": e.low,
                "high": e.high,
            }
            found.append(cell | {"n_images": e.n_images, "n": e.n})
    return pd.DataFrame(found)


def grid_table(rows: pd.DataFrame, resamples: int = RESAMPLES, seed: int = 0) -> pd.DataFrame:
    """Lift of every layer and head on full questions, against 1; exploratory, hence q beside p."""
    chosen = rows[(rows["head"] != MEAN_HEAD) & (rows["text_mode"] == "template")]
    wide = chosen.pivot(index=["image_id", "sent_id"], columns=["layer", "head"], values="lift")
    lift = wide.to_numpy().round(DECIMALS)
    result = bootstrap_means(
        lift, wide.index.get_level_values("image_id").to_numpy(), resamples, seed
    )
    layers, heads = (wide.columns.get_level_values(level) for level in ("layer", "head"))
    p_values = result.p_values(1.0)
    q_values = (
        benjamini_hochberg(p_values)
        if np.isfinite(p_values).all()
        else np.full(len(p_values), np.nan)
    )
    cells = [
        {"layer": int(layer), "head": int(head), "lift": e.value, "low": e.low, "high": e.high}
        | {"p": float(p), "q": float(q), "n_images": e.n_images, "n": e.n}
        for layer, head, e, p, q in zip(
            layers, heads, result.estimates(), p_values, q_values, strict=True
        )
    ]
    return pd.DataFrame(cells)
