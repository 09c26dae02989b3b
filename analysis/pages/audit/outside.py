"""Outside numbers: what others published, our command for it, and a planted version that runs here.

What arithmetic can give is computed here and stands beside the published number.
"""

from typing import NamedTuple

from litelvlm.analysis.pages.audit.entries import entries
from litelvlm.analysis.runs.formatting import aligned
from litelvlm.analysis.studies.published import N_TOKENS, efficiency
from litelvlm.models.costs import llama_macs

LAYERS, WIDTH, INNER = 32, 4096, 11008
"""Sizes of the 7B language model."""
OTHERS = (124, 130)
"""Other tokens of the prompt: 124 meet the published unpruned number, 130 LiteLVLM's two."""
TERA = 1e12


class Operations(NamedTuple):
    """Published and computed multiply-adds in T, and the share of the unpruned prefill time.

    Attributes:
        method: As published.
        tokens: Visual tokens.
        published: T, as printed.
        computed: T by the formula for each of ``OTHERS``; None where a method prunes inside the
            language model and its schedule is not published (see ``implied_layers``).
        share: Published over the published unpruned number.
        prefill_share: The same of prefill times.
    """

    method: str
    tokens: int
    published: float
    computed: tuple[float, ...] | None
    share: float
    prefill_share: float


def computed_macs(tokens: int, others: int) -> float:
    """Multiply-adds of the 7B language model in T, tokens pruned before its first layer.

    Example:
        >>> round(computed_macs(576, 124), 2), round(computed_macs(192, 130), 2)
        (4.66, 2.11)
    """
    return llama_macs(tokens + others, LAYERS, WIDTH, INNER) / TERA


def implied_layers(tokens: int, others: int, published: float) -> float:
    """Layers that must process all tokens, if the published operations are a drop to ``tokens``.

    The formula holds for each layer: K layers read all visual tokens and the others read those that
    are left.

    Args:
        tokens: Visual tokens that are left.
        others: Other tokens of the prompt.
        published: Multiply-adds in T.

    Example:
        >>> round(implied_layers(192, 124, computed_macs(192, 124)), 6)
        0.0
    """
    whole, left = computed_macs(N_TOKENS, others), computed_macs(tokens, others)
    return LAYERS * (published - left) / (whole - left)


def operations() -> tuple[Operations, ...]:
    """The published operations beside ours."""
    stated = efficiency().itertuples(index=False, name=None)
    values = {(str(q), str(m), int(t)): float(value) for q, m, t, value in stated}
    macs, prefill = "multiply-adds (T)", "prefill time (ms)"
    return tuple(
        Operations(
            method,
            tokens,
            value,
            None if method == "FastV" else tuple(computed_macs(tokens, n) for n in OTHERS),
            value / values[macs, "unpruned", N_TOKENS],
            values[prefill, method, tokens] / values[prefill, "unpruned", N_TOKENS],
        )
        for (quantity, method, tokens), value in values.items()
        if quantity == macs
    )


def fastv_layers() -> dict[str, float]:
    """Layers that FastV must have run whole, by tokens that are left and other tokens."""
    return {
        f"{one.tokens} tokens, {n} others": implied_layers(one.tokens, n, one.published)
        for one in operations()
        if one.computed is None
        for n in OTHERS
    }


def outside_text() -> str:
    """All entries for a terminal, and the table of operations."""
    lines = []
    for entry in entries().number:
        lines += [
            f"{entry.id}: {entry.title}",
            f"  published  {entry.published}",
            f"  source     {entry.source}",
            f"  caution    {entry.caution}",
            f"  ours       {entry.command}",
            f"             {entry.reads}",
            f"  needs      {entry.needs}",
            f"  planted    {entry.planted}",
            "",
        ]
    heads = ("method", "tokens", "published T", *(f"ours, {n} other tokens" for n in OTHERS))
    rows: list[tuple[str, ...]] = [(*heads, "share of operations", "share of prefill time")]
    for one in operations():
        ours = [f"{value:.2f}" for value in one.computed] if one.computed else ["-"] * len(OTHERS)
        shares = (f"{one.share:.2f}", f"{one.prefill_share:.2f}")
        rows.append((one.method, str(one.tokens), f"{one.published:.2f}", *ours, *shares))
    implied = "; ".join(f"{name}: {layers:.1f}" for name, layers in fastv_layers().items())
    told = (
        "FastV prunes inside the language model, and its schedule is not published. Layers that "
        f"read all tokens by its published operations: {implied}. Its own paper has 2 or 3."
    )
    return "\n".join([*lines, aligned(rows), "", told, ""])


def outside_data() -> dict[str, object]:
    """The same as plain data."""
    return {
        "numbers": [entry.model_dump(mode="json") for entry in entries().number],
        "operations": [one._asdict() for one in operations()],
        "fastv_layers": fastv_layers(),
    }
