"""Published budgets, of 576 visual tokens, and those of a model that has another number of them."""

from litelvlm.analysis.studies import published


def budget_of(tokens: int, n_tokens: int) -> int:
    """The budget of a model that keeps the share of a published one.

    Args:
        tokens: Published budget, of 576.
        n_tokens: Visual tokens of the model.

    Example:
        >>> budget_of(192, 576), budget_of(64, 144)
        (192, 16)
    """
    return max(1, n_tokens * tokens // published.N_TOKENS)


def published_tokens(budget: int, n_tokens: int) -> int:
    """The published budget that corresponds to a budget here, by its share of all tokens."""
    known = sorted({tokens for _, tokens in published.ACCURACY} | {published.N_TOKENS})
    for tokens in known:
        if budget_of(tokens, n_tokens) == budget:
            return tokens
    return round(budget * published.N_TOKENS / n_tokens)
