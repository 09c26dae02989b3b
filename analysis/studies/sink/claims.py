"""Claims of the sink study: the lift of [SOS] and its controls."""

from collections.abc import Sequence

import pandas as pd

from litelvlm.analysis.runs.claims import Claim, make_claim, null_claim
from litelvlm.analysis.signals.text_attention import MEAN_HEAD
from litelvlm.analysis.stats.bootstrap import Bootstrap, bootstrap_means
from litelvlm.analysis.stats.crossed import Crossed, crossed_mean
from litelvlm.analysis.stats.lines import categories_of
from litelvlm.analysis.studies.sink.rows import Config
from litelvlm.analysis.studies.sink.tables import DECIMALS

MARGIN = Config().margin
SHARE_MARGIN = 0.01
"""Differences of a share of attention below one hundredth count as none."""


def make_claims(rows: pd.DataFrame, margin: float = MARGIN) -> list[Claim]:
    """Claim H4 on the method's own sentences, its comparison with random weights, and two nulls.

    Intervals count texts and images, but a tower is one draw of its first weights: a tower that was
    never trained may lie some hundredths off uniform attention, far more than its interval says.
    A sink must therefore be larger than the margin.

    Args:
        rows: Of the study.
        margin: Differences of the lift below it count as none.

    Returns:
        H4; share.sos (share of [EOS]'s attention on [SOS]), share.words (on the referring words)
        and share.most ([SOS] beyond these words together); and, where their rows exist, H4.random,
        H4.null (random weights attend uniformly) and H4.order (the order of the words does not
        matter).
    """
    trained = _mean_lift(rows, "template", "trained")
    statement = (
        f"The [EOS] of the text tower attends to [SOS] over {1 + margin:.3g} times as much as "
        "uniform attention does (mean over heads)."
    )
    uniform = "uniform attention over the visible tokens, and the margin"
    claims = [_claim("H4", statement, trained, 1 + margin, uniform), *share_claims(rows)]
    random = _mean_lift(rows, "template", "random")
    if not random.empty:
        difference = trained.assign(lift=trained["lift"] - random["lift"].reindex(trained.index))
        statement = (
            f"Its lift is over {margin:.3g} larger than that of a tower of the same shape with "
            "random weights."
        )
        null = "lift of random weights, and the margin"
        claims.append(_claim("H4.random", statement, difference, margin, null))
        statement = "Random weights attend to [SOS] as uniform attention does."
        claims.append(_nothing("H4.null", statement, random, 1.0, "uniform", margin))
    permuted = _mean_lift(rows, "permuted", "trained")
    if not permuted.empty:
        moved = permuted.assign(lift=permuted["lift"] - trained["lift"].reindex(permuted.index))
        statement = "With its words in another order the text keeps its lift."
        claims.append(_nothing("H4.order", statement, moved, 0.0, "same lift", margin))
    return claims


def share_claims(rows: pd.DataFrame) -> list[Claim]:
    """Shares of [EOS]'s attention on [SOS] and on the referring words, each against uniform.

    Means over layers and heads, on the method's own sentences; the difference to uniform attention
    of the same sentence is the estimate, and one below ``SHARE_MARGIN`` counts as none. No claims
    where the rows hold no shares.
    """
    if "content_share" not in rows:
        return []
    found = _means(rows, "template", "trained", ("a_sos", "content_share", "content_uniform"))
    # Uniform attention over T tokens gives 1 / T to each; a word of the expression has its own.
    length = rows.drop_duplicates("sent_id").set_index("sent_id")["n_tokens"]
    uniform = 1 / length.reindex(found.index).astype(float)
    sos, words = float(found["a_sos"].mean()), float(found["content_share"].mean())
    values = {
        "share.sos": (
            f"[EOS] pays {sos:.1%} of its attention to [SOS], more than uniform attention would.",
            found["a_sos"] - uniform,
            "one token's share of uniform attention",
        ),
        "share.words": (
            f"[EOS] pays {words:.1%} of its attention to the referring words, more than uniform "
            "attention would.",
            found["content_share"] - found["content_uniform"],
            "the words' share of uniform attention",
        ),
        "share.most": (
            "[EOS] pays more attention to [SOS] than to all referring words together.",
            found["a_sos"] - found["content_share"],
            "as much on [SOS] as on the words",
        ),
    }
    return [
        _claim(id, statement, found.assign(lift=difference), 0.0, null, SHARE_MARGIN)
        for id, (statement, difference, null) in values.items()
    ]


def _means(
    rows: pd.DataFrame, text_mode: str, weights: str, names: tuple[str, ...]
) -> pd.DataFrame:
    """Means over layers and heads of each expression, with its image and category."""
    chosen = (rows["head"] == MEAN_HEAD) & (rows["query"] == "eos")
    chosen &= (rows["text_mode"] == text_mode) & (rows["weights"] == weights)
    of_expressions = rows[chosen].groupby("sent_id")
    kept = [name for name in ("image_id", "category_id") if name in rows]
    return of_expressions[list(names)].mean().join(of_expressions[kept].first())


def _mean_lift(rows: pd.DataFrame, text_mode: str, weights: str) -> pd.DataFrame:
    return _means(rows, text_mode, weights, ("lift",))


def _claim(
    id: str,
    statement: str,
    values: pd.DataFrame,
    null: float,
    null_description: str,
    margin: float = float("nan"),
) -> Claim:
    result, crossed = _drawn(values)
    return make_claim(
        id,
        statement,
        result.estimates()[0],
        null,
        null_description,
        p_value=float(result.p_values(null)[0]),
        margin=margin,
        p_equivalent=float(result.p_equivalent(margin, null)[0]) if margin > 0 else float("nan"),
        crossed=crossed,
    )


def _nothing(
    id: str,
    statement: str,
    values: pd.DataFrame,
    null: float,
    null_description: str,
    margin: float,
) -> Claim:
    result, crossed = _drawn(values)
    return null_claim(id, statement, result, null, null_description, margin, crossed=crossed)


def _drawn(values: pd.DataFrame) -> tuple[Bootstrap, Crossed]:
    lift, images = values["lift"].to_numpy().round(DECIMALS), values["image_id"].to_numpy()
    return bootstrap_means(lift[:, None], images), crossed_mean(lift, images, categories_of(values))


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
