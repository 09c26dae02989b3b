"""One line per training: the outcomes that claims and tables are about."""

from collections.abc import Mapping
from itertools import pairwise

import numpy as np
import pandas as pd

from litelvlm.analysis.stats.ends import DIFFERENCE, INDEX, POSITIVE, SHARE, Ends
from litelvlm.analysis.studies.emergence.measure import SINGLE, USED

LIFT = ("lift", "queries")
PLACE = ("measure", "text", "layer", "head", "category")
Key = tuple[str, str, int, int, str]
"""What a value of a training is of: an entry for each name in ``PLACE``."""
TAGS = ("training", "stage", "cell", "seed")
FOLLOWED = (
    *("found", "sink", "sink_captions", "sink_uninformative", "largest_layer_uninformative"),
    *("reversal", "reversal_true", "reversal_absent"),
)
"""Outcomes whose way through the training is kept."""


def outcome_table(rows: pd.DataFrame, gate: float) -> pd.DataFrame:
    """Outcomes of every training at its end.

    Args:
        rows: Of the study.
        gate: Least "found" of a training that has learned.

    Returns:
        One line per training: its tags, its factors, the outcomes (nan where it has none), whether
        it "learned", and whether it is "repeated": an earlier stage has the same training.
    """
    return _lines(rows[rows["final"]], gate, ["training"])


def trajectory_table(rows: pd.DataFrame, gate: float) -> pd.DataFrame:
    """Some outcomes of every training at every kept step, with the "share" of its steps."""
    table = _lines(rows, gate, ["training", "step"])
    kept = [*TAGS, "step", "share", "pooling", "helper", "sos_loss", "repeated", *FOLLOWED]
    lines = table.assign(share=table["step"] / table["steps"])[kept]
    return lines.sort_values(["stage", "cell", "seed", "step"], kind="stable")


def _lines(rows: pd.DataFrame, gate: float, keys: list[str]) -> pd.DataFrame:
    measured = ["measure", "text", "layer", "head", "category", "value", "sd", "n", "final"]
    measured += ["budget"]
    factors = [name for name in rows.columns if name not in (*measured, *TAGS, "step")]
    ordered = rows.sort_values(keys, kind="stable")
    first = ~ordered.duplicated(keys)
    places = list(zip(*(ordered[name].tolist() for name in PLACE), strict=True))
    values, starts = ordered["value"].tolist(), np.flatnonzero(first).tolist()
    lines = [
        _outcomes(dict(zip(places[start:end], values[start:end], strict=True)))
        for start, end in pairwise([*starts, len(values)])
    ]
    tags = ordered.loc[first, [*TAGS, "step", *factors]].reset_index(drop=True)
    table = tags.assign(**pd.DataFrame(lines))
    # The base of stage C is a cell of stage B.
    repeated = table.duplicated([*factors, "seed", "step"])
    return table.assign(learned=table["found"] >= gate, repeated=repeated)


def _share_reversed(values: Mapping[Key, float]) -> float:
    """Share of categories whose true text is reversed more than absent ones."""
    true, absent = (
        {
            category: value
            for (measure, kind, layer, _, category), value in values.items()
            if (measure, kind, layer) == ("reversal", text, USED) and category not in ("", SINGLE)
        }
        for text in ("true", "absent")
    )
    return float(np.mean([true[name] > absent[name] for name in true])) if true else float("nan")


def _outcomes(values: Mapping[Key, float]) -> dict[str, float]:
    def index(text: str, group: str = "") -> float:
        return values.get(("reversal", text, USED, -1, group), np.nan)

    by_layer: dict[tuple[str, str], list[float]] = {}
    for (measure, text, _, head, _), value in values.items():
        if head == -1:
            by_layer.setdefault((measure, text), []).append(value)

    def layers(measure: str, text: str) -> list[float]:
        return by_layer.get((measure, text), [])

    def mean(measure: str, text: str) -> float:
        found = layers(measure, text)
        return float(np.mean(found)) if found else np.nan

    lifts = {(layer, head): v for (m, t, layer, head, _), v in values.items() if (m, t) == LIFT}
    lifts = {place: v for place, v in lifts.items() if place[1] >= 0} or lifts
    strongest = max(lifts, key=lambda place: lifts[place], default=(0, 0))
    return {
        # Log of the mean lift on [SOS], suite's questions.
        "sink": mean("log lift", "queries"),
        # The same, captions of the training.
        "sink_captions": mean("log lift", "captions"),
        # The same, captions without content.
        "sink_uninformative": mean("log lift", "uninformative"),
        # Largest lift of a layer, suite's questions.
        "largest_layer": max(layers("lift", "queries"), default=np.nan),
        # The same, captions without content.
        "largest_layer_uninformative": max(layers("lift", "uninformative"), default=np.nan),
        # Largest lift of a single head, suite's questions.
        "largest_head": lifts.get(strongest, np.nan),
        # Reversal index of the true text minus that of absent ones.
        "reversal": index("true") - index("absent"),
        # Reversal index of the true text.
        "reversal_true": index("true"),
        # Reversal index of absent texts.
        "reversal_absent": index("absent"),
        # Reversal index of the empty text.
        "reversal_empty": index("empty"),
        # The difference without the mean-text direction.
        "reversal_rest": index("rest") - index("rest absent"),
        # Reversal index of the mean-text direction.
        "reversal_mean": index("mean"),
        # The difference for bare names.
        "reversal_bare": index("bare") - index("bare absent"),
        # The difference for objects that stand alone.
        "reversal_alone": index("true", SINGLE) - index("absent", SINGLE),
        # The difference with [SOS] hidden from [EOS].
        "reversal_no_sos": index("no sos") - index("no sos absent"),
        # The difference with 0.68 of the attention of [EOS] on [SOS].
        "reversal_more_sos": index("more sos") - index("more sos absent"),
        # Reversal index of the true text with [SOS] hidden from [EOS].
        "reversal_true_no_sos": index("no sos"),
        # The same with 0.68 of the attention of [EOS] on [SOS].
        "reversal_true_more_sos": index("more sos"),
        # Reversal index of the true text on another object.
        "other_mask": index("other mask"),
        # Share of categories whose true text is reversed more than absent ones.
        "share_reversed": _share_reversed(values),
        # Cosine of the used readout with the last block's value path.
        "alignment": mean("alignment", ""),
        # Share of tokens of high norm.
        "high_norm": mean("high norm", ""),
        # Value norm of [SOS] over the median of words, suite's questions.
        "value_ratio": mean("value ratio", "queries"),
        # Value norm of [SOS] over the median of words, in that head.
        "largest_head_value": values.get(("value ratio", "queries", *strongest, ""), np.nan),
        # Length of the mean of unit question embeddings.
        "constancy": mean("constancy", "template"),
        # How often a present category is nearer to its image than an absent one.
        "found": mean("found", "template"),
    }


OUTCOMES = tuple(_outcomes({}))
"""Names of the outcomes."""
_INDICES = ("true", "absent", "empty", "mean", "true_no_sos", "true_more_sos")
ENDS: Mapping[str, Ends] = {
    **dict.fromkeys((name for name in OUTCOMES if name.startswith("reversal")), DIFFERENCE),
    **dict.fromkeys((*(f"reversal_{name}" for name in _INDICES), "other_mask", "alignment"), INDEX),
    **dict.fromkeys(("share_reversed", "high_norm", "constancy", "found"), SHARE),
    **dict.fromkeys(("largest_layer", "largest_layer_uninformative", "largest_head"), POSITIVE),
    **dict.fromkeys(("value_ratio", "largest_head_value"), POSITIVE),
}
"""Where outcomes end."""


def category_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Reversal index of both texts by training and category, at the end of each training.

    At the layer that GLaMM reads, with spread "sd" and number "n" of the true text's referents.
    """
    single = ~rows["category"].isin(["", SINGLE])
    chosen = rows[
        rows["final"] & (rows["measure"] == "reversal") & (rows["layer"] == USED) & single
    ]
    chosen = chosen.set_index(["training", "category"])
    true, absent = (chosen[chosen["text"] == text] for text in ("true", "absent"))
    return pd.DataFrame(
        {"true": true["value"], "absent": absent["value"], "sd": true["sd"], "n": true["n"]}
    )
