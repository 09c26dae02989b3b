"""Claims of the fine-tuning study: the gap, the ranking, and whether a model is bound."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from litelvlm.analysis.inputs.methods import PAPER, UNPRUNED
from litelvlm.analysis.runs.claims import Claim, effect_claim
from litelvlm.analysis.runs.over_trainings import Evidence, training_claim
from litelvlm.analysis.runs.study import Tables
from litelvlm.analysis.stats.ends import INDEX, OPEN
from litelvlm.analysis.stats.trainings import t_estimate, t_p_value
from litelvlm.analysis.studies.finetuning.config import GRID, Config
from litelvlm.analysis.studies.finetuning.contrasts import Evaluated, Term, evaluated
from litelvlm.analysis.studies.finetuning.effects import (
    bound,
    gain,
    gap_after,
    gap_before,
    gap_closed,
    mean_of,
    pruned_training,
    rank_agreement,
)
from litelvlm.analysis.studies.scores import MAIN


def make_claims(rows: pd.DataFrame, config: Config) -> list[Claim]:
    """At the trained budget, where nothing else is said.

    Returns:
        gap.before, gap.after, gap.closed: the grid above the paper's method; ranking: the order of
        methods; bound and bound.METHOD: a model scores higher with its own method; gain.METHOD:
        fine-tuning helps a method; gain.other: it helps at other budgets; pruned: training with
        pruned tokens is better for them than training with every token.
    """
    found, at = evaluated(rows), config.budget
    methods, name = found.methods, MAIN.label
    bounds = {m: bound(m, [one for one in methods if one != m], at) for m in methods}
    others = [gain(m, budget) for m in methods for budget in config.other_budgets]

    def claim(id: str, statement: str, null: str, terms: list[Term]) -> Claim:
        return training_claim(id, statement, found.evidence(terms, config.margin), null)

    return [
        before_claim(found, at, config.margin),
        claim(
            "gap.after",
            f"With {at} tokens {GRID} has a higher {name} than {PAPER}, each fine-tuned.",
            "no gap",
            gap_after(at),
        ),
        claim(
            "gap.closed",
            f"Fine-tuning narrows the gap between {GRID} and {PAPER}.",
            "the gap before fine-tuning",
            gap_closed(at),
        ),
        ranking_claim(found, at),
        claim(
            "bound",
            "A fine-tuned model scores higher with its own method than models of other methods do.",
            f"{name} of models fine-tuned with other methods",
            mean_of([*bounds.values()]),
        ),
        *(
            claim(
                f"bound.{method}",
                f"With {method}, models fine-tuned with it score higher than others.",
                f"{name} of models fine-tuned with other methods",
                terms,
            )
            for method, terms in bounds.items()
        ),
        claim(
            "pruned",
            "Fine-tuning with a method's tokens gives it more than fine-tuning with every token.",
            f"{name} of models fine-tuned with every token",
            mean_of([pruned_training(method, at) for method in methods]),
        ),
        *(
            claim(
                f"gain.{method}",
                f"Fine-tuning with {method} raises its {name}.",
                f"{name} before fine-tuning",
                gain(method, found.n_tokens if method == UNPRUNED else at),
            )
            for method in (UNPRUNED, *methods)
        ),
        *(
            [
                claim(
                    "gain.other",
                    "Fine-tuning raises the score of its method at budgets that were not trained.",
                    f"{name} before fine-tuning",
                    mean_of(others),
                )
            ]
            if others
            else []
        ),
    ]


def before_claim(found: Evaluated, budget: int, margin: float) -> Claim:
    """The gap of the model before; its unit is the image, as there is one such model."""
    terms = [
        (weight, found.cell(tuned_with, 0, cell)) for weight, tuned_with, cell in gap_before(budget)
    ]
    images, crossed = found.paired.weighted(MAIN, terms)
    statement = f"Before fine-tuning {GRID} has a higher {MAIN.label} than {PAPER}."
    return effect_claim("gap.before", statement, images, "no gap", margin=margin, crossed=crossed)


def ranking_claim(found: Evaluated, budget: int) -> Claim:
    """Whether the order of methods before fine-tuning is still there afterwards.

    Both orders are of the same images, so the interval over trainings is widened to that over
    images, which alone tells the spread where all trainings give one order.
    """
    values, over_images = rank_agreement(found, budget)
    reach = INDEX if np.ptp(values) else OPEN
    trainings, (images,) = t_estimate(values, reach), over_images.estimates()
    widened = trainings._replace(
        low=min(trainings.low, images.low),
        high=max(trainings.high, images.high),
        method=f"the wider of: {trainings.method}; {images.method}",
    )
    p_value = max(t_p_value(values), float(over_images.p_values()[0]))
    return training_claim(
        "ranking",
        "The methods keep their order when the model is fine-tuned with each of them.",
        Evidence(widened, p_value),
        "Kendall's tau of orders that have nothing to do with each other",
    )


def interpret(claims: Sequence[Claim], tables: Tables) -> str:
    """What the verdicts mean together.

    Args:
        claims: Of ``make_claims``.
        tables: Of ``make_tables``.
    """
    by_id = {claim.id: claim for claim in claims}
    before, after, closed = (by_id[f"gap.{name}"] for name in ("before", "after", "closed"))
    remains = {
        "supported": "remains",
        "not supported": "is gone",
        "undetermined": "may or may not remain",
    }[after.verdict]
    narrower = {
        "supported": "narrower than before",
        "not supported": "no narrower than before",
        "undetermined": "whether narrower than before is open",
    }[closed.verdict]
    order = {
        "supported": "The methods keep their order",
        "not supported": "The methods do not keep their order",
        "undetermined": "Whether the methods keep their order is open",
    }[by_id["ranking"].verdict]
    tied = {
        "supported": "a fine-tuned model is bound to its method",
        "not supported": "a fine-tuned model is not bound to its method",
        "undetermined": "whether a fine-tuned model is bound to its method is open",
    }[by_id["bound"].verdict]
    return (
        f"The gap of {PAPER} to {GRID} was {before.estimate:+.3f} and {remains} after fine-tuning "
        f"({after.estimate:+.3f}; {narrower}). {order} (tau {by_id['ranking'].estimate:+.2f}), and "
        f"{tied} ({by_id['bound'].estimate:+.3f})."
    )
