"""Claims about clips: what the paper says of them, and what each prune point is worth."""

from collections.abc import Iterator, Sequence
from typing import get_args

import pandas as pd

from litelvlm.analysis.inputs.methods import PAPER, RANDOM, UNPRUNED
from litelvlm.analysis.runs.claims import Claim, Verdict, effect_claim
from litelvlm.analysis.runs.formatting import interval, number
from litelvlm.analysis.runs.study import Tables
from litelvlm.analysis.runs.verdicts import within_family
from litelvlm.analysis.studies.sweep.claims import retention_claim
from litelvlm.analysis.studies.sweep.paired import better_claim
from litelvlm.analysis.studies.video.config import EVEN, FIRST, RIVAL, WHOLE, Config
from litelvlm.analysis.studies.video.paired import (
    JF,
    PAIRING,
    PairedPoints,
    matched_rows,
    paired_points,
)
from litelvlm.analysis.studies.video.rows import PUBLISHED


def make_claims(rows: pd.DataFrame, config: Config) -> list[Claim]:
    """For each prune point and number of tokens kept over all frames.

    Returns:
        POINT.keeps@K: the paper's share of the unpruned J&F is kept; POINT.vispruner@K and
        POINT.random@K: it is ahead of them; V4.clip@K: one budget over the clip is better than an
        equal part of every frame; V4.first@K and V4.whole@K: even frames are better than the first
        frame and than whole random ones; window.unpruned and window.pruned@K: what a window that
        hides tokens costs; matching: objects gain where they are paired anew. Claims of one kind,
        which differ in point and tokens alone, are adjusted together.
    """
    found = paired_points(rows)
    points = sorted(set(rows["point"]))
    claims = [claim for point in points for claim in _of_point(found, point, config)]
    claims += [*_of_time(found, points), *_of_window(found, rows)]
    kinds: dict[str, list[Claim]] = {}
    for claim in claims:
        kinds.setdefault(claim.id.partition("@")[0].split(".")[-1], []).append(claim)
    adjusted = {one.id: one for kind in kinds.values() for one in within_family(kind)}
    matched = matched_rows(rows)
    last = [] if matched.empty else [_of_matching(matched)]
    return [*(adjusted[claim.id] for claim in claims), *last]


def _of_point(found: PairedPoints, point: str, config: Config) -> Iterator[Claim]:
    """The paper's method at one point: what it keeps, and what it is ahead of."""
    paired, phrase = found.paired, f"at prune point {point}"
    whole = found.unpruned(point)
    for budget in found.budgets(point):
        own, share = found.cell(point, PAPER, budget), budget / whole[1]
        for of_tokens, kept in config.kept:
            if abs(share - of_tokens) > config.near * of_tokens:
                continue
            yield retention_claim(
                paired.retention(JF, own, whole),
                kept,
                budget,
                phrase,
                id=f"{point}.keeps@{budget}",
                label=JF.label,
            )
        for rival in (RIVAL, RANDOM):
            other = found.cell(point, rival, budget)
            if other in paired.cells:
                yield better_claim(
                    f"{point}.{rival}@{budget}",
                    f"With {budget} tokens {PAPER} has a higher {JF.label} than {rival}, {phrase}.",
                    paired,
                    JF,
                    (own, other),
                    f"{JF.label} of {rival}",
                )


def _of_time(found: PairedPoints, points: Sequence[str]) -> Iterator[Claim]:
    """One budget over the clip against equal parts, and the temporal controls."""
    if "V4" not in points:
        return
    paired = found.paired
    pairs = [("V4.first", EVEN, FIRST), ("V4.whole", EVEN, WHOLE)]
    for budget in found.budgets("V4"):
        own, equal = (found.cell(point, PAPER, budget) for point in ("V4", "V3"))
        if equal in paired.cells:
            yield better_claim(
                f"V4.clip@{budget}",
                f"With {budget} tokens {PAPER} has a higher {JF.label} with one budget over the "
                "clip than with an equal part of every frame.",
                paired,
                JF,
                (own, equal),
                f"{JF.label} with equal parts",
            )
    for id, first, second in pairs:
        for budget in found.budgets("V4", first):
            cells = found.cell("V4", first, budget), found.cell("V4", second, budget)
            if cells[1] in paired.cells:
                yield better_claim(
                    f"{id}@{budget}",
                    f"With {budget} tokens {first} has a higher {JF.label} than {second}.",
                    paired,
                    JF,
                    cells,
                    f"{JF.label} of {second}",
                )


def _of_window(found: PairedPoints, rows: pd.DataFrame) -> Iterator[Claim]:
    """What a window that hides tokens costs the unpruned model, and the pruned one."""
    others = rows[rows["window"] != PUBLISHED]
    if others.empty:
        return
    point, other = str(others["point"].iloc[0]), str(others["window"].iloc[0])
    # The published window hides tokens where none is the other; else the other one does.
    hiding, open_ = (PUBLISHED, other) if other == "none" else (other, PUBLISHED)
    paired = found.paired
    whole = found.unpruned(point, open_), found.unpruned(point, hiding)
    hides = "the model's window" if hiding == PUBLISHED else f"a window of {hiding} tokens"
    yield better_claim(
        "window.unpruned",
        f"Unpruned, the {JF.label} is higher where every token is seen than with {hides}.",
        paired,
        JF,
        whole,
        f"{JF.label} with {hides}",
    )
    for budget in found.budgets(point, window=other):
        cells = [found.cell(point, PAPER, budget, window) for window in (open_, hiding)]
        images, crossed = paired.weighted(
            JF, [(1.0, whole[0]), (-1.0, whole[1]), (-1.0, cells[0]), (1.0, cells[1])]
        )
        yield effect_claim(
            f"window.pruned@{budget}",
            f"With {budget} tokens of {PAPER}, {hides} costs less {JF.label} than unpruned.",
            images,
            "what it costs unpruned",
            crossed=crossed,
        )


def _of_matching(matched: pd.DataFrame) -> Claim:
    """What pairing objects anew adds to the unpruned model's score."""
    point = str(matched["point"].iloc[0])
    own = matched[(matched["point"] == point) & (matched["window"] == PUBLISHED)]
    found = paired_points(own[own["method"] == UNPRUNED], PAIRING)
    images, crossed = found.paired.weighted(PAIRING, [(1.0, found.unpruned(point))])
    return effect_claim(
        "matching",
        f"Unpruned, objects have a higher {JF.label} where they may be paired with any prediction.",
        images,
        f"{JF.label} with each expression's own object",
        crossed=crossed,
    )


def interpret(claims: Sequence[Claim], tables: Tables) -> str:
    """How often each statement is supported, and what a window and another pairing change."""
    told = []
    pairs, budgets = "pairs of prune point and budget", "budgets"
    for name, words, asked_of in (
        ("keeps", f"{PAPER} keeps the paper's share of the unpruned {JF.label}", pairs),
        (RIVAL, f"{PAPER} is ahead of {RIVAL}", pairs),
        (RANDOM, f"{PAPER} is ahead of random tokens", pairs),
        ("clip", f"{PAPER} does better with one budget over the clip", budgets),
        ("first", "even frames do better than the first frame alone", budgets),
        ("whole", "even frames do better than whole random ones", budgets),
    ):
        asked = [claim.verdict for claim in claims if f".{name}@" in claim.id]
        counts = ", ".join(
            f"{verdict} in {asked.count(verdict)}"
            for verdict in get_args(Verdict)
            if verdict in asked
        )
        if asked:
            told.append(f"That {words} is {counts} of {len(asked)} {asked_of}.")
    told += [
        f"{claim.statement} {claim.verdict.capitalize()}: {number(claim.estimate)} "
        f"{interval(claim.low, claim.high)}."
        for claim in claims
        if claim.id.startswith(("window.", "matching"))
    ]
    return " ".join(told)
