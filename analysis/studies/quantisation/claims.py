"""Claims of the quantisation study: interactions, kept tokens, blank masks and memory."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from litelvlm.analysis.inputs.methods import PAPER, UNPRUNED
from litelvlm.analysis.runs.claims import Claim, effect_claim
from litelvlm.analysis.runs.means import counted_claim, mean_claim, nothing_claim
from litelvlm.analysis.runs.study import Tables
from litelvlm.analysis.stats.ends import INDEX, SHARE
from litelvlm.analysis.studies.quantisation.config import FULL, Config
from litelvlm.analysis.studies.quantisation.factorial import Factorial, make_factorial
from litelvlm.analysis.studies.quantisation.tables import memory_table, savings_table
from litelvlm.analysis.studies.sweep.effect import PairedEffect


def make_claims(rows: pd.DataFrame, config: Config) -> list[Claim]:
    """For each precision, about the paper's method if it was run, else about the first one.

    Returns:
        interaction.WAY (mean over budgets) and interaction.WAY@K: pruning costs more with fewer
        bits; loss.WAY: fewer bits alone cost cIoU; blank.WAY: they give more blank masks;
        kept.WAY: methods that read the language model keep nearly the same tokens; kept.control:
        the others keep exactly the same; memory.pruning: pruning alone saves less than 1 %.
    """
    factorial = make_factorial(rows)
    methods = dict.fromkeys(method for method, _ in factorial.cells)
    if not methods:
        return []
    judged = PAPER if PAPER in methods else next(iter(methods))
    cells = tuple(cell for cell in factorial.cells if cell[0] == judged)
    claims = []
    for way in factorial.precisions:
        claims += interaction_claims(factorial, way, cells, config.margin)
        claims.append(loss_claim(factorial, way, config.margin))
        claims += blank_claims(rows, way, judged, config.margin)
        claims += kept_claims(rows, way, config.kept_margin)
    return [
        *claims,
        *control_claims(rows),
        *memory_claims(rows, factorial, config.saved_by_pruning),
    ]


def interaction_claims(
    factorial: Factorial, way: str, cells: Sequence[tuple[str, int]], margin: float
) -> list[Claim]:
    """The interaction of one precision with one method: mean over its budgets, then each."""
    method = cells[0][0]
    groups = {f"interaction.{way}": (tuple(cells), "over all budgets")}
    if len(cells) > 1:
        groups |= {
            f"interaction.{way}@{cell[1]}": ((cell,), f"with {cell[1]} tokens") for cell in cells
        }
    return [
        cost_claim(
            id,
            f"Pruning by {method} costs more {factorial.score.label} in {way} than with all bits, "
            f"{where}.",
            factorial.interaction(way, chosen),
            "the loss of both is the sum of the two losses",
            margin,
        )
        for id, (chosen, where) in groups.items()
    ]


def loss_claim(factorial: Factorial, way: str, margin: float) -> Claim:
    """Whether fewer bits alone cost accuracy."""
    label = factorial.score.label
    effect = factorial.loss(way, factorial.unpruned)
    statement = f"With every visual token, {way} lowers the {label}."
    return cost_claim(f"loss.{way}", statement, effect, f"{label} with all bits", margin)


def cost_claim(
    id: str, statement: str, effect: PairedEffect, null_description: str, margin: float
) -> Claim:
    """A claim that an effect lies above 0."""
    images, crossed = effect
    return effect_claim(id, statement, images, null_description, margin=margin, crossed=crossed)


def blank_claims(rows: pd.DataFrame, way: str, method: str, margin: float) -> list[Claim]:
    """Whether one precision gives more blank masks, unpruned and under one method together."""
    chosen = rows[rows["method"].isin([UNPRUNED, method]) & (rows["area_frac"] > 0)]
    if chosen.empty:
        return []
    keys = ["image_id", "sent_id"]
    shares = chosen.assign(blank=chosen["blank"].astype(np.float64))
    wide = shares.pivot_table(index=keys, columns="precision", values="blank", aggfunc="mean")
    stated = shares.drop_duplicates(keys).set_index(keys).loc[wide.index].reset_index()
    return [
        mean_claim(
            f"blank.{way}",
            f"In {way} more masks are blank, unpruned and under {method}.",
            wide[way] - wide[FULL],
            stated,
            "share of blank masks with all bits",
            margin=margin,
            reach=INDEX,
            yes_no=True,
        )
    ]


def kept_claims(rows: pd.DataFrame, way: str, margin: float) -> list[Claim]:
    """Whether methods that read the language model keep nearly the same tokens.

    The Jaccard index, mean over an expression's cells, is 1 within a margin.
    """
    chosen = rows[(rows["precision"] == way) & rows["reads_llm"]]
    measured = chosen.dropna(subset=["jaccard"])
    if measured.empty:
        return []
    names = ", ".join(sorted(set(map(str, chosen["method"]))))
    keys = ["image_id", "sent_id"]
    of_expression = measured.groupby(keys, sort=True)["jaccard"].mean()
    stated = measured.drop_duplicates(keys).set_index(keys).loc[of_expression.index].reset_index()
    return [
        nothing_claim(
            f"kept.{way}",
            f"In {way}, methods that read the language model keep the same tokens ({names}).",
            of_expression,
            stated,
            "Jaccard index of equal choices",
            margin,
            null=1.0,
            reach=SHARE,
        )
    ]


def control_claims(rows: pd.DataFrame) -> list[Claim]:
    """The control: a method that reads only the towers cannot choose differently; counted."""
    chosen = rows[(rows["precision"] != FULL) & ~rows["reads_llm"].astype(bool)]
    agreed = chosen["jaccard"].dropna()
    if agreed.empty:
        return []
    return [
        counted_claim(
            "kept.control",
            "Methods that do not read the language model keep the same tokens with fewer bits.",
            float(agreed.mean()),
            1.0,
            "Jaccard index of equal choices",
            bool((agreed == 1).all()),
            f"counted in {len(agreed)} choices",
        )
    ]


def memory_claims(rows: pd.DataFrame, factorial: Factorial, most: float) -> list[Claim]:
    """Whether the smallest budget alone saves less than the published share; counted, no interval.

    Activations and the text's keys and values are not part of the whole.
    """
    savings = savings_table(memory_table(rows, factorial))
    alone = savings[savings["precision"] == FULL].sort_values("budget").iloc[0]
    saved = float(alone["saved"])
    return [
        counted_claim(
            "memory.pruning",
            f"With {int(alone['budget'])} tokens pruning alone saves less than "
            f"{most:.0%} of the bytes of weights, keys and values.",
            saved,
            most,
            "of all memory, as published of a model of 7 billion weights",
            saved < most,
            "bytes, counted: the same for every image",
        )
    ]


def interpret(claims: Sequence[Claim], tables: Tables) -> str:
    """What the verdicts mean together, failures included.

    Args:
        claims: Of ``make_claims``.
        tables: Of ``make_tables``.
    """
    by_id = {claim.id: claim for claim in claims}
    if "memory.pruning" not in by_id:
        return "No method was run beside the unpruned model; see the tables."
    savings = tables["savings"]
    ways = [str(way) for way in dict.fromkeys(savings["precision"]) if way != FULL]
    told = [text for way in ways if (text := _told(by_id, way))]
    control = by_id.get("kept.control")
    if control is not None and control.verdict == "not supported":
        told.append(
            "The control failed: methods that read only the towers kept other tokens, so no "
            "comparison of tokens here can be trusted."
        )
    most = int(savings["budget"].max())
    whole = savings[savings["budget"] == most].set_index("precision")["saved"]
    fewer = ", ".join(f"{way} {whole[way]:.0%}" for way in ways)
    told.append(
        f"Fewer bits alone save {fewer} of the memory; pruning alone saves at most "
        f"{by_id['memory.pruning'].estimate:.2%}."
    )
    return " ".join(told)


def _told(by_id: Mapping[str, Claim], way: str) -> str:
    """The verdicts on one precision."""
    loss, both = by_id[f"loss.{way}"], by_id[f"interaction.{way}"]
    alone = {
        "supported": "lowers the cIoU by itself",
        "not supported": "costs no cIoU by itself",
        "undetermined": "may or may not cost cIoU by itself",
    }[loss.verdict]
    together = {
        "supported": "and pruning costs more with it than without",
        "not supported": "and pruning costs no more with it than without",
        "undetermined": "and whether pruning costs more with it is open",
    }[both.verdict]
    kept = by_id.get(f"kept.{way}")
    tokens = {
        "supported": "; methods that read the language model keep nearly the same tokens",
        "not supported": "; methods that read the language model keep other tokens",
    }.get(kept.verdict if kept is not None else "", "")
    blank = by_id.get(f"blank.{way}")
    empty = "; more masks are blank" if blank is not None and blank.verdict == "supported" else ""
    return f"{way} {alone}, {together}{tokens}{empty}."
