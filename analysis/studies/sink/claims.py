"""Claims of the sink study: the lift of [SOS] and its controls."""

from collections.abc import Mapping, Sequence

import pandas as pd

from litelvlm.analysis.runs.claims import Claim
from litelvlm.analysis.runs.means import mean_claim, nothing_claim
from litelvlm.analysis.signals.text_attention import MEAN_HEAD
from litelvlm.analysis.stats.ends import INDEX, POSITIVE
from litelvlm.analysis.studies.sink.config import Config
from litelvlm.analysis.studies.sink.tables import DECIMALS

_SHARES = ("a_sos", "content_share", "content_uniform")


def make_claims(rows: pd.DataFrame, config: Config) -> list[Claim]:
    """Claim H4 on the method's own sentences, its comparison with random weights, and two nulls.

    Intervals count texts and images, but a tower is one draw of its first weights: a tower that was
    never trained may lie some hundredths off uniform attention, far more than its interval says.
    A sink must therefore be larger than the margin.

    Returns:
        H4; share.sos (share of [EOS]'s attention on [SOS]), share.words (on the referring words)
        and share.most ([SOS] beyond these words together); and, where their rows exist, H4.random,
        H4.null (random weights attend uniformly) and H4.order (the order of the words does not
        matter).
    """
    margin = config.margin
    trained = _means(rows, "template", "trained")
    random, permuted = _means(rows, "template", "random"), _means(rows, "permuted", "trained")
    claims = [
        mean_claim(
            "H4",
            f"The [EOS] of the text tower attends to [SOS] over {1 + margin:.3g} times as much as "
            "uniform attention does (mean over heads).",
            trained["lift"].round(DECIMALS),
            trained,
            "uniform attention over the visible tokens, and the margin",
            null=1 + margin,
            reach=POSITIVE,
        )
    ]
    if "content_share" in rows:
        claims += _share_claims(trained, config.share_margin)
    if not random.empty:
        claims += [
            mean_claim(
                "H4.random",
                f"Its lift is over {margin:.3g} larger than that of a tower of the same shape with "
                "random weights.",
                (trained["lift"] - random["lift"].reindex(trained.index)).round(DECIMALS),
                trained,
                "lift of random weights, and the margin",
                null=margin,
            ),
            nothing_claim(
                "H4.null",
                "Random weights attend to [SOS] as uniform attention does.",
                random["lift"].round(DECIMALS),
                random,
                "uniform",
                margin,
                null=1.0,
                reach=POSITIVE,
            ),
        ]
    if not permuted.empty:
        moved = (permuted["lift"] - trained["lift"].reindex(permuted.index)).round(DECIMALS)
        statement = "With its words in another order the text keeps its lift."
        claims.append(nothing_claim("H4.order", statement, moved, permuted, "same lift", margin))
    return claims


def _share_claims(trained: pd.DataFrame, margin: float) -> list[Claim]:
    """Shares of [EOS]'s attention on [SOS] and on the referring words, each against uniform.

    The difference to uniform attention of the same sentence is the estimate.
    """
    sos, words = trained["a_sos"], trained["content_share"]
    # Uniform attention over T tokens gives 1 / T to each; a word of the expression has its own.
    compared: Mapping[str, tuple[str, pd.Series[float], str]] = {
        "share.sos": (
            f"[EOS] pays {sos.mean():.1%} of its attention to [SOS], more than uniform attention "
            "would.",
            sos - 1 / trained["n_tokens"].astype(float),
            "one token's share of uniform attention",
        ),
        "share.words": (
            f"[EOS] pays {words.mean():.1%} of its attention to the referring words, more than "
            "uniform attention would.",
            words - trained["content_uniform"],
            "the words' share of uniform attention",
        ),
        "share.most": (
            "[EOS] pays more attention to [SOS] than to all referring words together.",
            sos - words,
            "as much on [SOS] as on the words",
        ),
    }
    return [
        mean_claim(id, statement, share.round(DECIMALS), trained, null, margin=margin, reach=INDEX)
        for id, (statement, share, null) in compared.items()
    ]


def _means(rows: pd.DataFrame, text_mode: str, weights: str) -> pd.DataFrame:
    """Means over layers and heads of each expression, with its image, category and length."""
    chosen = (rows["head"] == MEAN_HEAD) & (rows["text_mode"] == text_mode)
    chosen &= rows["weights"] == weights
    of_expressions = rows[chosen].groupby("sent_id")
    means = of_expressions[[name for name in ("lift", *_SHARES) if name in rows]].mean()
    kept = [name for name in ("image_id", "category_id", "n_tokens") if name in rows]
    return means.join(of_expressions[kept].first())


def interpret(claims: Sequence[Claim], tables: Mapping[str, pd.DataFrame]) -> str:
    """What the verdicts mean together."""
    by_id = {claim.id: claim for claim in claims}
    first = by_id["H4"].verdict if "H4" in by_id else "undetermined"
    if first == "not supported":
        lift = by_id["H4"].estimate
        return f"[EOS] gives [SOS] {lift:.3g} times the attention of uniform attention: no sink."
    if first == "undetermined":
        return "Whether the text tower has a sink of attention on [SOS] is undetermined here."
    if "H4.random" not in by_id:
        return (
            "The text tower attends to [SOS] beyond uniform attention; "
            "random weights were not compared."
        )
    learned = {
        "supported": "learned: random weights have less of it",
        "not supported": "no more than random weights have",
        "undetermined": "and whether random weights do so less is open",
    }[by_id["H4.random"].verdict]
    return f"The text tower attends to [SOS] beyond uniform attention, {learned}."
