"""Tables of the quantisation study: scores, interactions, kept tokens, blank masks and memory."""

import numpy as np
import pandas as pd

from litelvlm.analysis.inputs.methods import UNPRUNED
from litelvlm.analysis.stats.ends import SHARE
from litelvlm.analysis.stats.lines import adjusted, crossed_line, mean_line
from litelvlm.analysis.stats.precision import minimum_detectable
from litelvlm.analysis.stats.significance import holm
from litelvlm.analysis.studies.quantisation.config import FULL, Config
from litelvlm.analysis.studies.quantisation.factorial import Factorial, label, make_factorial
from litelvlm.analysis.studies.quantisation.memory import KEYS_AND_VALUES
from litelvlm.analysis.studies.sweep.tables import score_table

PUBLISHED = "pruning alone saves under 1 %"
"""Of all memory, as the paper's appendix states for a model of 7 billion weights."""


def make_tables(rows: pd.DataFrame, config: Config) -> dict[str, pd.DataFrame]:
    """Tables for figures.

    Returns:
        "scores" per precision, method, budget and metric; "interactions" with the three losses and
        Holm's adjustment over all lines; "kept", the Jaccard index of kept tokens; "blanks", masks
        without a pixel; "memory", bytes by component, and "savings", what each precision and budget
        saves of the whole.
    """
    factorial = make_factorial(rows)
    memory = memory_table(rows, factorial)
    return {
        "scores": precision_scores(rows, factorial),
        "interactions": interaction_table(factorial),
        "kept": kept_table(rows),
        "blanks": blank_table(rows),
        "memory": memory,
        "savings": savings_table(memory),
    }


def precision_scores(rows: pd.DataFrame, factorial: Factorial) -> pd.DataFrame:
    """Every score of every cell with intervals over images."""
    found = rows[["precision", "method"]].drop_duplicates()
    parts = {label(str(p), str(m)): (str(p), str(m)) for p, m in found.to_numpy()}
    table = score_table(factorial.paired)
    named = [parts[str(name)] for name in table["method"]]
    table["method"] = [method for _, method in named]
    table.insert(0, "precision", [precision for precision, _ in named])
    return table


def interaction_table(factorial: Factorial) -> pd.DataFrame:
    """One line per precision, method and budget: three losses of score, and their interaction.

    low and high are its interval over images, low_categories and high_categories that over images
    and categories; p is the larger of the p-values of both against 0; p_holm is adjusted over all
    lines; mde is the smallest interaction that n images would show with a power of 0.8.
    """
    lines = []
    for way in factorial.precisions:
        fewer_bits = factorial.loss(way, factorial.unpruned).over_images.value[0]
        for cell in factorial.cells:
            found = factorial.interaction(way, (cell,))
            lines.append(
                {
                    "precision": way,
                    "method": cell[0],
                    "budget": cell[1],
                    "loss_quantised": float(fewer_bits),
                    "loss_pruned": float(factorial.loss(FULL, cell).over_images.value[0]),
                    "loss_both": float(factorial.loss(way, cell).over_images.value[0]),
                }
                | found.line(float(found.over_images.p_values()[0]), "interaction")
                | {"mde": float(minimum_detectable(found.over_images)[0])}
            )
    table = pd.DataFrame(lines)
    return table.assign(p_holm=adjusted(table, holm))


def kept_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Mean Jaccard index of the tokens kept with fewer bits and with all; seeds averaged first."""
    measured = rows.dropna(subset=["jaccard"])
    keys = ["precision", "method", "budget", "reads_llm"]
    means = measured.groupby([*keys, "image_id", "sent_id"], sort=True)["jaccard"].mean()
    return pd.DataFrame(
        [
            dict(zip(keys, names, strict=True)) | mean_line(part, "jaccard", "jaccard")
            for names, part in means.reset_index().groupby(keys, sort=True)
        ]
    )


def blank_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Blank masks by precision, method and budget: their count, and their share with interval.

    Expressions without a target are left out: an empty mask is right there.
    """
    meant = rows[rows["area_frac"] > 0].assign(share=lambda r: r["blank"].astype(np.float64))
    keys = ["precision", "method", "budget"]
    return pd.DataFrame(
        [
            dict(zip(keys, names, strict=True))
            | {"blank": int(part["blank"].sum())}
            | crossed_line(part, "share", "share", SHARE)
            for names, part in meant.groupby(keys, sort=True)
        ]
    )


def memory_table(rows: pd.DataFrame, factorial: Factorial) -> pd.DataFrame:
    """Bytes of each component in each precision, unpruned and at each budget; and their share."""
    whole = rows[rows["method"] == UNPRUNED].groupby("precision", sort=False).first()
    columns = [str(name) for name in whole.columns if str(name).startswith("bytes_")]
    budgets = sorted({factorial.n_tokens, *(budget for _, budget in factorial.cells)}, reverse=True)
    lines = []
    for precision, sizes in whole[columns].astype(np.int64).iterrows():
        for budget in budgets:
            parts = {name.removeprefix("bytes_"): int(sizes[name]) for name in columns}
            parts[KEYS_AND_VALUES] = parts[KEYS_AND_VALUES] * budget // factorial.n_tokens
            total = sum(parts.values())
            lines += [
                {
                    "precision": str(precision),
                    "budget": budget,
                    "component": name,
                    "bytes": size,
                    "share": size / total,
                }
                for name, size in parts.items()
            ]
    return pd.DataFrame(lines)


def savings_table(memory: pd.DataFrame) -> pd.DataFrame:
    """Bytes of each precision at each budget, and the share saved of the model as loaded."""
    totals = memory.groupby(["precision", "budget"], sort=False)["bytes"].sum().reset_index()
    most = int(totals["budget"].max())
    first = totals[(totals["precision"] == FULL) & (totals["budget"] == most)]
    whole = int(first["bytes"].iloc[0])
    pruned_only = (totals["precision"] == FULL) & (totals["budget"] < most)
    return totals.assign(
        saved=1 - totals["bytes"] / whole, published=np.where(pruned_only, PUBLISHED, "")
    )
