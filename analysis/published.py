"""Numbers that the authors of LiteLVLM publish, kept apart from ours: they are shown beside them and never mixed."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Published:
    """One published number.

    Attributes:
        quantity: What was measured, with its unit.
        method: Pruning method; "unpruned" for the baseline.
        tokens: Visual tokens of 576.
        value: As printed.
    """

    quantity: str
    method: str
    tokens: int
    value: str


SOURCE = "LiteLVLM project page, efficiency table: GLaMM with 576 visual tokens; hardware and warm-up are not stated"

CAUTION = (
    "These rows are the authors' own and were not measured here. They concern the full-size model; the multiply-adds "
    "match a formula for the language model alone, and the activations match a computed rather than a measured size."
)


def _rows(quantity: str, baseline: str, values: dict[str, tuple[str, str]]) -> list[Published]:
    rows = [Published(quantity, "unpruned", 576, baseline)]
    for method, pair in values.items():
        rows += [Published(quantity, method, tokens, value) for tokens, value in zip((192, 64), pair, strict=True)]
    return rows


EFFICIENCY: tuple[Published, ...] = (
    *_rows(
        "multiply-adds (T)",
        "4.66",
        {"FastV": ("2.65", "2.23"), "VisPruner": ("2.17", "1.33"), "LiteLVLM": ("2.11", "1.27")},
    ),
    *_rows(
        "prefill time (ms)",
        "166.25",
        {"FastV": ("162.88", "157.50"), "VisPruner": ("75.65", "54.77"), "LiteLVLM": ("74.88", "54.02")},
    ),
    *_rows(
        "CUDA time (ms)",
        "340.89",
        {"FastV": ("340.25", "338.65"), "VisPruner": ("276.09", "253.10"), "LiteLVLM": ("265.83", "237.35")},
    ),
    *_rows(
        "stored activations (GB)",
        "0.81",
        {"FastV": ("0.81", "0.80"), "VisPruner": ("0.37", "0.23"), "LiteLVLM": ("0.35", "0.21")},
    ),
)

STATEMENTS: tuple[str, ...] = (
    "CUDA time falls by 22 % at 192 tokens and by 30 % at 64.",
    "Stored activations shrink 2.3 times at 192 tokens and 3.9 times at 64.",
    "About 90 % of the unpruned accuracy is kept, and rival training-free methods are beaten by more than 5 %.",
)
"""The paper's headline claims in our words; the rows above are behind the first two."""
