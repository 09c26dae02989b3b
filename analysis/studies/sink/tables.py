"""Tables of the sink study: means over layers, heads, lengths and kinds of position."""

from typing import cast

import numpy as np
import pandas as pd

from litelvlm.analysis.signals.text_attention import MEAN_HEAD, MEASURES
from litelvlm.analysis.stats.bootstrap import bootstrap_means
from litelvlm.analysis.stats.lines import adjusted, lines_of, mean_lines
from litelvlm.analysis.stats.significance import benjamini_hochberg
from litelvlm.analysis.studies.sink.config import Config

DECIMALS = 6  # attention is float32: a uniform row must not differ from uniform by its last digit
# Kinds of position: their share of attention, of what is carried, and of uniform attention.
ROLES = {
    "[SOS]": ("a_sos", "norm_share", "one_uniform"),
    "content words": ("content_share", "norm_content", "content_uniform"),
    "punctuation": ("punct_share", "norm_punct", "punct_uniform"),
    "[EOS]": ("self_share", "norm_self", "one_uniform"),
}
REST = "words of the template"
KINDS = ("attention", "carried by norm", "uniform")


def make_tables(rows: pd.DataFrame, config: Config) -> dict[str, pd.DataFrame]:
    """Tables for figures.

    Returns:
        "grid": lift per wording, layer and head with interval, p and its adjustment q
        (Benjamini and Hochberg);
        "layers": every measure per layer, wording and weights (mean over heads); "length": the
        same by number of tokens, beside what uniform attention gives; "positions": shares by kind
        of position, beside uniform attention's.
    """
    means = rows[rows["head"] == MEAN_HEAD]
    groups = ["weights", "text_mode", "query"]
    layers = {key: layer_means(group) for key, group in means.groupby(groups)}
    return {
        "grid": grid_table(rows),
        "layers": pd.concat(layers, names=groups).reset_index(groups).reset_index(drop=True),
        "length": length_table(means),
        "positions": positions_table(means),
    }


def layer_means(group: pd.DataFrame) -> pd.DataFrame:
    """Means of all measures in each layer, from the same resamples."""
    # Several random towers: their mean counts as one.
    means = group.groupby(["image_id", "sent_id", "layer"])[list(MEASURES)].mean()
    wide = cast(pd.DataFrame, means.rename_axis(columns="measure").unstack("layer"))
    return mean_lines(wide.swaplevel(axis=1))


def length_table(means: pd.DataFrame) -> pd.DataFrame:
    """Every measure by number of tokens, layers averaged, beside that of uniform attention."""
    by_length = means.groupby(["weights", "text_mode", "n_tokens"])
    table = by_length[list(MEASURES)].mean().reset_index()
    table["n"] = by_length["sent_id"].nunique().to_numpy()
    table["n_images"] = by_length["image_id"].nunique().to_numpy()
    table["uniform_a_sos"] = 1 / table["n_tokens"]
    table["entropy"] = table["entropy_norm"] * np.log(table["n_tokens"])
    return table.assign(uniform_entropy=np.log(table["n_tokens"]))


def positions_table(means: pd.DataFrame) -> pd.DataFrame:
    """Share of attention, and of what is carried, by kind of position and layer, on questions.

    The kind "uniform" is the share that uniform attention over the same tokens has.
    """
    asked = (means["weights"] == "trained") & (means["text_mode"] == "template")
    chosen = means[asked].set_index(["image_id", "layer"])
    chosen = chosen.assign(one_uniform=1 / chosen["n_tokens"])
    shares = {}
    for number, kind in enumerate(KINDS):
        own = pd.DataFrame({role: chosen[pair[number]] for role, pair in ROLES.items()})
        shares[kind] = own.assign(**{REST: 1 - own.sum(axis=1)})
    wide = pd.concat(shares, axis=1, names=["kind", "role"]).swaplevel(axis=1)
    found = {layer: mean_lines(part, "share") for layer, part in wide.groupby("layer")}
    return pd.concat(found, names=["layer"]).reset_index("layer").reset_index(drop=True)


def grid_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Lift of every layer and head by wording, against 1; exploratory, hence q beside p.

    q is adjusted over all lines.
    """
    chosen = rows[rows["head"] != MEAN_HEAD]
    parts = []
    for mode, part in chosen.groupby("text_mode", sort=False):
        wide = part.pivot(index=["image_id", "sent_id"], columns=["layer", "head"], values="lift")
        images = wide.index.get_level_values("image_id").to_numpy()
        result = bootstrap_means(wide.to_numpy().round(DECIMALS), images)
        table = lines_of(result, wide.columns, "lift").assign(p=result.p_values(1.0))
        parts.append(table.assign(text_mode=mode))
    found = pd.concat(parts, ignore_index=True)
    columns = ["text_mode", "layer", "head", "lift", "low", "high", "p", "q", "n_images", "n"]
    return found.assign(q=adjusted(found, benjamini_hochberg))[columns]
