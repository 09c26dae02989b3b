"""Claims of the sink study: the lift of [SOS] and its controls."""

from collections.abc import Sequence

import pandas as pd

from litelvlm.analysis.runs.claims import Claim, make_claim, null_claim
from litelvlm.analysis.signals.text_attention import MEAN_HEAD
from litelvlm.analysis.stats.bootstrap import Bootstrap, bootstrap_means
from litelvlm.analysis.studies.sink.rows import Config
from litelvlm.analysis.studies.sink.tables import DECIMALS

MARGIN = Config().margin


def make_claims(rows: pd.DataFrame, margin: float = MARGIN) -> list[Claim]:
    """Claim H4 on the method's own sentences, its comparison with random weights, and two nulls.

    Args:
        rows: Of the study.
        margin: Differences of the lift below it count as none.

    Returns:
        H4; and, where their rows exist, H4.random, H4.null (random weights attend
        uniformly) and H4.order (the order of the words does not matter).
    """
    trained = _mean_lift(rows, "template", "trained")
    statement = (
        "The [EOS] of the text tower attends to [SOS] more than uniform attention does "
        "(mean over heads)."
    )
    uniform = "uniform attention over the visible tokens"
    claims = [_claim("H4", statement, trained, 1.0, uniform)]
    random = _mean_lift(rows, "template", "random")
    if not random.empty:
        difference = trained.assign(lift=trained["lift"] - random["lift"].reindex(trained.index))
        statement = "Its lift is larger than that of a tower of the same shape with random weights."
        claims.append(_claim("H4.random", statement, difference, 0.0, "lift of random weights"))
        statement = "Random weights attend to [SOS] as uniform attention does."
        claims.append(null_claim("H4.null", statement, _drawn(random), 1.0, "uniform", margin))
    permuted = _mean_lift(rows, "permuted", "trained")
    if not permuted.empty:
        moved = permuted.assign(lift=permuted["lift"] - trained["lift"].reindex(permuted.index))
        statement = "With its words in another order the text keeps its lift."
        claims.append(null_claim("H4.order", statement, _drawn(moved), 0.0, "same lift", margin))
    return claims


def _mean_lift(rows: pd.DataFrame, text_mode: str, weights: str) -> pd.DataFrame:
    """Mean lift over layers and heads of each expression."""
    chosen = (rows["head"] == MEAN_HEAD) & (rows["query"] == "eos")
    chosen &= (rows["text_mode"] == text_mode) & (rows["weights"] == weights)
    of_expressions = rows[chosen].groupby("sent_id")
    return of_expressions.agg(lift=("lift", "mean"), image_id=("image_id", "first"))


def _claim(
    id: str, statement: str, values: pd.DataFrame, null: float, null_description: str
) -> Claim:
    result = _drawn(values)
    p_value = float(result.p_values(null)[0])
    return make_claim(id, statement, result.estimates()[0], null, null_description, p_value=p_value)


def _drawn(values: pd.DataFrame) -> Bootstrap:
    lift = values[["lift"]].to_numpy().round(DECIMALS)
    return bootstrap_means(lift, values["image_id"].to_numpy())


def interpret(claims: Sequence[Claim]) -> str:
    """What the verdicts mean together."""
    verdicts = {claim.id: claim.verdict for claim in claims}
    first, second = verdicts.get("H4", "undetermined"), verdicts.get("H4.random")
    if first == "not supported":
        (lift,) = (claim.estimate for claim in claims if claim.id == "H4")
        return f"[EOS] gives [SOS] {lift:.3g} times the attention of uniform attention: no sink."
    if first == "undetermined":
        return "Whether the text tower has a sink of attention on [SOS] is undetermined here."
    if second is None:
        return (
            "The text tower attends to [SOS] beyond uniform attention; "
            "random weights were not compared."
        )
    learned = {
        "supported": "learned: random weights have less of it",
        "not supported": "no more than random weights have",
    }
    rest = learned.get(second, "and whether random weights do so less is open")
    return f"The text tower attends to [SOS] beyond uniform attention, {rest}."
