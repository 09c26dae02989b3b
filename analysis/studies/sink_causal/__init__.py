"""Does the text tower's attention sink cause the reversal?

The [EOS] state is computed again with one thing changed, in a single layer, the last third of them
or all:

    mask_sos         the key of [SOS] hidden from [EOS], the other weights growing to sum to 1
    zero_sos_value   its value set to 0, all weights as they were
    mean_sos_value   its value replaced by the mean over sentences: in a causal tower the same, so
                     nothing may change
    mask_content     one random token of the expression hidden: what hiding any key does
    mask_word        each word of the expression in turn

mask_sos releases attention and loses the value, zero_sos_value only loses it. Every change is
carried through to the embedding (cosine), the reversal index, its dependence on the text, the
tokens kept, and on some images the mask.

H5: hiding [SOS] changes the reversal otherwise than hiding a content token does. If the two are
shown to differ by less than 0.05 of RI (two one-sided tests), the sink may be real and still does
not explain the reversal: a smaller difference counts as none even where its interval excludes 0.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from jaxtyping import Float
from torch import Tensor

from litelvlm.analysis.inputs.foreign import ForeignExpression, draw_foreign
from litelvlm.analysis.inputs.samples import Data, Model
from litelvlm.analysis.runs.claims import Claim, joint_claim, make_claim
from litelvlm.analysis.runs.config import resolve_budgets
from litelvlm.analysis.runs.engine import Study, run_study
from litelvlm.analysis.runs.formatting import counted
from litelvlm.analysis.runs.locks import Shard
from litelvlm.analysis.stats.bootstrap import RESAMPLES, bootstrap_means
from litelvlm.analysis.studies.reversal.tables import HIDDEN, MIN_VISIBLE, mean_columns
from litelvlm.analysis.studies.sink_causal.rows import (
    Config,
    Context,
    edited,
    image_rows,
    read_words,
)
from litelvlm.clip.probes.text import trace_text
from litelvlm.models.glamm.prompting.prompts import question

__all__ = ["QUESTION", "Config", "reading", "run", "summarise", "tables"]

QUESTION = "Does the text tower's attention sink cause the reversal?"
MARGIN = Config().margin
DECIMALS = 6  # embeddings are float32
PARTS = {
    "H5.mask": ("mask_sos", "Hiding the key of [SOS] from [EOS]"),
    "H5.value": ("zero_sos_value", "Taking the value of [SOS] away"),
}


def run(
    model: Model, data: Data, config: Config, out: str | Path, shard: Shard | None = None
) -> Path:
    """Compute the missing rows of a split and, once all are there, the summary.

    Args:
        model: Its CLIP towers, and for the masks the rest of it.
        data: Split to study.
        config: Of the study.
        out: Folder of all runs.
        shard: Share of the parts to compute; all if left out.

    Returns:
        The run folder.
    """
    n_tokens = model.grid[0] * model.grid[1]
    budgets = resolve_budgets(config.budgets, n_tokens)
    (mask_budget,) = resolve_budgets((config.mask_budget or max(1, n_tokens // 9),), n_tokens)
    donors, foreign, unread = foreign_texts(model, data, config)
    context = Context(model, data, config, budgets, mask_budget, donors, foreign)
    resolved = {"budgets": list(budgets), "mask_budget": mask_budget}
    study = replace(STUDY, summarise=partial(summarise, margin=config.margin))
    notes = [f"foreign texts left out: {counted(unread)}"] if unread else []
    work = partial(image_rows, context)
    return run_study(study, model, data, config, out, shard or Shard(), work, resolved, notes=notes)


def foreign_texts(
    model: Model, data: Data, config: Config
) -> tuple[list[ForeignExpression], dict[tuple[str, str], Float[Tensor, "m p"]], dict[str, int]]:
    """Donors whose words can be found in their questions, the embeddings of these, and why others were left out."""
    donors = draw_foreign(data, model, config.pool, config.seed)
    bare = [donor.sent.strip().lower() for donor in donors]
    asked = [question(text, config.question_index) for text in bare]
    found = list(zip(donors, asked, read_words(model.tower, asked, bare), strict=True))
    kept = [
        (donor, sentence, words) for donor, sentence, words in found if not isinstance(words, str)
    ]
    unread = Counter(words for _, _, words in found if isinstance(words, str))
    if not kept:
        return [], {}, dict(unread)
    trace = trace_text(model.tower, [sentence for _, sentence, _ in kept])
    seeds = [[config.seed, number, 6] for number in range(len(kept))]
    return (
        [donor for donor, _, _ in kept],
        edited(trace, [words for _, _, words in kept], seeds),
        dict(unread),
    )


def summarise(
    rows: pd.DataFrame, resamples: int = RESAMPLES, seed: int = 0, margin: float = MARGIN
) -> list[Claim]:
    """Claim H5 and its parts, on expressions of which at least half of the target is visible; the others are counted.

    Args:
        rows: Of the study.
        resamples: Number of draws.
        seed: Of the draws.
        margin: Differences of RI below it count as none.
    """
    if rows.empty:
        return []
    seen = rows["visible_frac"] >= MIN_VISIBLE
    excluded = {HIDDEN: rows.loc[~seen, "sent_id"].nunique()}
    chosen = rows[seen & (rows["layer_set"] == "all")]
    by_name = {
        str(name): group.set_index("sent_id") for name, group in chosen.groupby("intervention")
    }
    if not set(by_name) >= {"mask_sos", "zero_sos_value", "mask_content"}:
        return []
    parts = [
        _differs(
            id, statement, by_name[name], by_name["mask_content"], margin, excluded, resamples, seed
        )
        for id, (name, statement) in PARTS.items()
    ]
    statement = "The sink of the text tower changes the reversal otherwise than hiding a content token does."
    joint = joint_claim("H5", statement, parts).model_copy(update={"one_sided": False})
    return [*parts, joint]


def _differs(
    id: str,
    statement: str,
    changed: pd.DataFrame,
    control: pd.DataFrame,
    margin: float,
    excluded: dict[str, int],
    resamples: int,
    seed: int,
) -> Claim:
    """A two-sided claim: not supported if equivalent to no difference, else supported if the interval excludes 0."""
    difference = (
        (changed["d_ri"] - control["d_ri"].reindex(changed.index)).to_numpy().round(DECIMALS)
    )
    result = bootstrap_means(difference[:, None], changed["image_id"].to_numpy(), resamples, seed)
    estimate, p_value = result.estimates()[0], float(result.p_values()[0])
    claim = make_claim(
        id,
        f"{statement} changes RI by another amount than hiding a content token; targets at least half visible.",
        estimate,
        0.0,
        f"as hiding a content token; differences below {margin:g} count as none",
        direction="less" if estimate.value < 0 else "greater",
        p_value=p_value,
        p_claimed=p_value,
        excluded=excluded,
        margin=margin,
        p_equivalent=float(result.p_equivalent(margin)[0]),
    )
    return claim.model_copy(update={"verdict": "not supported"}) if claim.equivalent else claim


def tables(
    rows: pd.DataFrame, resamples: int = RESAMPLES, seed: int = 0
) -> dict[str, pd.DataFrame]:
    """Table "effects": mean of every measure per intervention and layer set, with intervals."""
    visible = rows if rows.empty else rows[rows["visible_frac"] >= MIN_VISIBLE]
    if visible.empty:
        return {}
    names = [
        "cos_eos",
        "d_ri",
        "d_ts",
        "d_iou",
        *sorted(c for c in map(str, visible.columns) if c.startswith("jaccard_")),
    ]
    found: list[dict[str, Any]] = []
    for (change, place), group in visible.groupby(["intervention", "layer_set"], sort=True):
        for measure in (name for name in names if name in group):
            known = group[group[measure].notna()]
            if not known.empty:
                (cell,) = mean_columns(known, [measure], resamples, seed)
                found.append({"intervention": str(change), "layer_set": str(place)} | cell)
    return {"effects": pd.DataFrame(found)}


def reading(claims: Sequence[Claim]) -> str:
    """What the verdicts mean together."""
    verdicts = {claim.id: claim.verdict for claim in claims}
    found = verdicts.get("H5", "undetermined")
    if found == "supported":
        return "The sink on [SOS] bears on the reversal: without it RI changes otherwise than without a content token."
    if found == "not supported":
        alone = [
            claim.id for claim in claims if claim.id in PARTS and claim.verdict != "not supported"
        ]
        if alone:
            parts = " and ".join(alone)
            return f"The sink on [SOS] bears on the reversal in part at most: {parts} stays open or holds."
        return "Whatever sink there is, it does not explain the reversal: without it RI stays as with any key hidden."
    return "Whether the sink on [SOS] bears on the reversal cannot be told here."


STUDY = Study(
    "sink_causal",
    summarise,
    tables,
    reading,
    (
        "litelvlm.analysis.studies.sink_causal.rows",
        "litelvlm.analysis.signals.text_attention",
        "litelvlm.analysis.studies.reversal.rows",
        "litelvlm.analysis.inputs.foreign",
        "litelvlm.analysis.inputs.labels",
        "litelvlm.analysis.stats.ranking",
        "litelvlm.analysis.inputs.samples",
    ),
)
