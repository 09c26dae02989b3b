"""Which part of CLIP makes the referent's tokens dissimilar to the text?

Each probe changes one thing about how patch similarity is computed and keeps the rest: the layer
(P1), the last blocks' attention and MLP (P2 to P4), tokens of outlying norm (P5), what texts or
patches have in common (P6), the words (P7). A probe's attribution share AS = 1 - RI_P / RI_0 says
how much of the reversal goes away with that thing; it is given only where the interval of RI_0
excludes 0, since a share of nothing means nothing.

    removed      the upper end of RI_P's interval lies below .05
    flipped      it lies below 0
    attenuated   AS lies above 0, but neither holds
    kept         none of these: nothing is shown to go away

Below 20 images no such word is given.

The probes are exploratory: p-values are adjusted over them by Benjamini and Hochberg. P0, the
ranking as released, is
what the others are compared with: no claim, and no member of that family.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from litelvlm.analysis.inputs.clip_models import embed_texts, load_clips
from litelvlm.analysis.inputs.foreign import draw_foreign
from litelvlm.analysis.inputs.samples import Data, Model
from litelvlm.analysis.runs.claims import MIN_IMAGES, Claim, make_claim
from litelvlm.analysis.runs.engine import Study, run_study
from litelvlm.analysis.runs.locks import Shard
from litelvlm.analysis.stats.bootstrap import (
    RESAMPLES,
    Bootstrap,
    Estimate,
    bootstrap_means,
    contrast,
)
from litelvlm.analysis.stats.significance import benjamini_hochberg
from litelvlm.analysis.studies.mechanism.rows import BASE, PROBES, Config, Context, image_rows
from litelvlm.analysis.studies.reversal.tables import HIDDEN, MIN_VISIBLE, UNLABELLED, unlabelled
from litelvlm.clip.probes.registers import register_neurons
from litelvlm.data.images import open_image
from litelvlm.models.glamm.prompting.prompts import question

__all__ = ["QUESTION", "Config", "reading", "run", "summarise", "tables"]

QUESTION = "Which part of CLIP makes the referent's tokens dissimilar to the text?"
REMOVED = 0.05  # RI below which nothing of a reversal is left
NOTHING, TOO_FEW = "nothing to remove", "too few images"
# Why a probe ranks no token of an expression in or out of its target.
_LACKING = {"P7n": "no noun was found", "P7a": "no attribute was found"}
_LEFT_OUT = "only outliers in or out of the target"


def run(
    model: Model, data: Data, config: Config, out: str | Path, shard: Shard | None = None
) -> Path:
    """Compute the missing rows of a split and, once all are there, the summary.

    Args:
        model: Only its CLIP towers are used.
        data: Split to study.
        config: Of the study.
        out: Folder of all runs.
        shard: Share of the parts to compute; all if left out.

    Returns:
        The run folder.
    """
    clips = load_clips(config.clip, model.device)
    contexts = [
        make_context(model, data, config, ""),
        *(make_context(clip, data, config, clip.name) for clip in clips),
    ]
    resolved = {"clip": {clip.name: clip.digest for clip in clips}}
    return run_study(
        STUDY, model, data, config, out, shard or Shard(), partial(image_rows, contexts), resolved
    )


def make_context(model: Any, data: Data, config: Config, clip: str) -> Context:
    """Draw donors, embed shared texts and look for register neurons, for one CLIP model."""
    tower = model.tower
    donors = draw_foreign(data, model, config.pool, config.seed)
    asked = [question(donor.sent, config.question_index) for donor in donors]
    embeds = embed_texts(tower, ["", *asked])
    n_images = 0 if tower.rotates else min(config.neuron_images, len(data))
    pictures = [tower.pixel_values(open_image(data[index].image())) for index in range(n_images)]
    neurons = (
        register_neurons(tower, pictures, config.neurons, config.deviations) if pictures else {}
    )
    return Context(model, data, config, clip, donors, embeds[1:], embeds[0], neurons)


def summarise(rows: pd.DataFrame, resamples: int = RESAMPLES, seed: int = 0) -> list[Claim]:
    """For every probe, whether it takes reversal away (AS > 0); undetermined where there is no reversal to take."""
    if rows.empty:
        return []
    claims = []
    for line, share, excluded in _shares(rows, resamples, seed):
        if line["probe"] == BASE:
            continue
        clip = f"@{line['clip_model']}" if line["clip_model"] else ""
        claims.append(
            make_claim(
                f"{line['probe']}{clip}",
                f"Part of the reversal goes away with: {line['name']}; targets at least half visible.",
                share,
                0.0,
                "the reversal of the released ranking stays",
                p_value=line["p"],
                excluded=excluded,
            )
        )
    return claims


def tables(
    rows: pd.DataFrame, resamples: int = RESAMPLES, seed: int = 0
) -> dict[str, pd.DataFrame]:
    """Table "probes": RI, RI with foreign texts, AS with interval, p, q and verdict in words, per CLIP model."""
    found = [line for line, _, _ in _shares(rows, resamples, seed)] if not rows.empty else []
    if not found:
        return {}
    table = pd.DataFrame(found)
    known = table["p"].notna()
    table["q"] = np.nan
    if known.any():
        table.loc[known, "q"] = benjamini_hochberg(table.loc[known, "p"].to_numpy())
    return {"probes": table}


def _shares(
    rows: pd.DataFrame, resamples: int, seed: int
) -> list[tuple[dict[str, Any], Estimate, dict[str, int]]]:
    """Per CLIP model and probe: a table line, the estimate of AS, and how many expressions are not in it, and why."""
    found = []
    for clip in sorted(rows.loc[rows["visible_frac"] >= MIN_VISIBLE, "clip_model"].unique()):
        every = rows[rows["clip_model"] == clip]
        chosen = every[every["visible_frac"] >= MIN_VISIBLE]
        by_probe = {probe: group.set_index("sent_id") for probe, group in chosen.groupby("probe")}
        hidden = every["sent_id"].nunique() - chosen["sent_id"].nunique()
        for probe in PROBES:
            if probe in by_probe:
                line, share = _share(
                    str(clip), probe, by_probe[BASE], by_probe[probe], resamples, seed
                )
                missing = len(by_probe[BASE]) - line["n"]
                excluded = {HIDDEN: hidden, UNLABELLED: unlabelled(rows, clip)}
                found.append((line, share, excluded | {_LACKING.get(probe, _LEFT_OUT): missing}))
    return found


def _share(
    clip: str, probe: str, base: pd.DataFrame, other: pd.DataFrame, resamples: int, seed: int
) -> tuple[dict[str, Any], Estimate]:
    """One probe against the released ranking, on the expressions that it can rank."""
    base = base.loc[base.index.isin(other.index)]
    other = other.loc[base.index]
    columns = np.column_stack([base["ri"], other["ri"]])
    result = bootstrap_means(columns, base["image_id"].to_numpy(), resamples, seed)
    ri_base, ri_probe = result.estimates()
    share, p_value = attribution_share(result)
    line: dict[str, Any] = {"clip_model": clip, "probe": probe, "name": PROBES[probe]}
    line |= {
        "ri": ri_probe.value,
        "ri_low": ri_probe.low,
        "ri_high": ri_probe.high,
        "ri_base": ri_base.value,
    }
    foreign = other["ri_foreign"].dropna() if "ri_foreign" in other else other["ri"].iloc[:0]
    line |= {
        "ri_foreign": float(foreign.mean()) if len(foreign) else np.nan,
        "n_foreign": len(foreign),
    }
    line |= {
        "share": share.value,
        "low": share.low,
        "high": share.high,
        "p": np.nan if probe == BASE else p_value,
    }
    line["verdict"] = in_words(ri_base, ri_probe, share)
    return line | {"n_images": result.n_images, "n": result.n}, share


def attribution_share(result: Bootstrap) -> tuple[Estimate, float]:
    """AS = 1 - RI_P / RI_0 from paired draws of (RI_0, RI_P), and its p-value against 0.

    Undefined, with the reason as its method, unless the interval of RI_0 lies above 0: else there
    is no reversal of which a share could go away.

    Example:
        >>> draws = np.array([[0.40, 0.10], [0.50, 0.10], [0.40, 0.20]])
        >>> share, _ = attribution_share(Bootstrap(np.array([0.4, 0.1]), draws, 30, 90))
        >>> round(share.value, 3)
        0.75
    """
    base = result.estimates()[0]
    if not base.defined or base.low <= 0:
        reason = (
            "undefined: the interval of RI as released does not lie above 0"
            if base.defined
            else base.method
        )
        return Estimate(np.nan, np.nan, np.nan, result.n_images, result.n, reason), np.nan
    share = contrast(result, lambda v: 1 - v[:, 1:] / v[:, :1])
    return share.estimates()[0], float(share.p_values()[0])


def in_words(base: Estimate, probe: Estimate, share: Estimate) -> str:
    """The verdict on one probe by the rule at the top of this module."""
    if base.n_images < MIN_IMAGES:
        return TOO_FEW
    if not base.defined or base.low <= 0:
        return NOTHING
    if probe.high < REMOVED:
        return "flipped" if probe.high < 0 else "removed"
    return "attenuated" if share.low > 0 else "kept"


def reading(claims: Sequence[Claim]) -> str:
    """What the probes say together."""
    own = [claim for claim in claims if "@" not in claim.id]
    if not own:
        return "No probe could be read."
    if not any(np.isfinite(claim.estimate) for claim in own):
        return "No probe is judged: the reversal index of the released ranking is not shown to lie above 0."
    ids = {
        verdict: ", ".join(claim.id for claim in own if claim.verdict == verdict)
        for verdict in _SAID
    }
    return " ".join(said.format(ids[verdict]) for verdict, said in _SAID.items() if ids[verdict])


_SAID = {
    "supported": "Part of the reversal goes away under {}.",
    "not supported": "None of it goes away under {}.",
    "undetermined": "Whether any of it goes away cannot be told for {}.",
}


STUDY = Study(
    "mechanism",
    summarise,
    tables,
    reading,
    (
        "litelvlm.analysis.studies.mechanism.rows",
        "litelvlm.analysis.studies.mechanism.words",
        "litelvlm.analysis.studies.reversal.rows",
        "litelvlm.analysis.inputs.clip_models",
        "litelvlm.analysis.inputs.foreign",
        "litelvlm.analysis.inputs.labels",
        "litelvlm.analysis.stats.ranking",
        "litelvlm.analysis.inputs.samples",
    ),
)
