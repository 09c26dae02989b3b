"""Tables of the fine-tuning study: scores, effects, and scores by training."""

import pandas as pd

from litelvlm.analysis.inputs.methods import UNPRUNED
from litelvlm.analysis.stats.bootstrap import Estimate
from litelvlm.analysis.studies.finetuning.config import Config
from litelvlm.analysis.studies.finetuning.contrasts import Evaluated, Term, evaluated
from litelvlm.analysis.studies.finetuning.effects import effects
from litelvlm.analysis.studies.finetuning.trainings import NO_TRAINING, UNTUNED


def make_tables(rows: pd.DataFrame, config: Config) -> dict[str, pd.DataFrame]:
    """Tables for figures.

    Returns:
        "scores": for each fine-tuning, method and budget the mean over trainings, its interval over
        images (low, high) and over trainings (low_trainings, high_trainings); "effects": likewise
        for each effect, with the interval over both (low_both, high_both) that claims follow;
        "trainings": the score of every training. "trained" marks the budget of the training.
    """
    found = evaluated(rows)
    cells = [(UNPRUNED, found.n_tokens), *((m, b) for m in found.methods for b in config.budgets)]
    tuned = (UNTUNED, UNPRUNED, *found.methods)
    scores, each = [], []
    for name in tuned:
        for method, budget in cells:
            where = {"tuned_with": name, "method": method, "budget": budget}
            where["trained"] = budget == config.budget
            scores.append(where | _ends(found, [(1.0, name, (method, budget))]))
            seeds = (NO_TRAINING,) if name == UNTUNED else found.trainings
            each += [
                where | {"training": seed, "value": found.value(name, seed, (method, budget))}
                for seed in seeds
            ]
    lines = []
    for budget in config.budgets:
        for (effect, method), terms in effects(found, budget).items():
            both = found.evidence(terms, config.margin)
            lines.append(
                {"effect": effect, "method": method, "budget": budget}
                | _ends(found, terms)
                | _named(both.estimate, "both")
                | {"p": both.p_value, "p_equivalent": both.p_equivalent}
            )
    return {
        "scores": pd.DataFrame(scores),
        "effects": pd.DataFrame(lines),
        "trainings": pd.DataFrame(each),
    }


def _ends(found: Evaluated, terms: list[Term]) -> dict[str, object]:
    """A sum with its interval over images, and the one over trainings where it has any."""
    line = found.over_images(terms).line("value") | {"n_trainings": len(found.trainings)}
    if all(tuned_with == UNTUNED for _, tuned_with, _ in terms):
        missing = dict.fromkeys(("low_trainings", "high_trainings"), float("nan"))
        return line | missing | {"n_trainings": 0}
    return line | _named(found.over_trainings(terms), "trainings")


def _named(estimate: Estimate, what: str) -> dict[str, object]:
    return {f"low_{what}": estimate.low, f"high_{what}": estimate.high}
