"""Outside numbers: what others published, our command for it, and a planted version that runs here.

Entries are data in one file. What arithmetic can give is computed here and stands beside the
published number.
"""

import tomllib
from functools import cache
from importlib import resources
from typing import Annotated, NamedTuple

from pydantic import Field, model_validator

from litelvlm.analysis.pages.wrapping import wrapped_page
from litelvlm.analysis.runs.formatting import aligned, markdown_lines
from litelvlm.analysis.runs.outcome import Frozen
from litelvlm.analysis.studies.published import N_TOKENS, efficiency
from litelvlm.models.costs import llama_macs

Text = Annotated[str, Field(min_length=1)]
LAYERS, WIDTH, INNER = 32, 4096, 11008
"""Sizes of the 7B language model."""
OTHERS = (124, 130)
"""Other tokens of the prompt: 124 meet the published unpruned number, 130 LiteLVLM's two."""
TERA = 1e12


class OutsideNumber(Frozen):
    """One published number.

    Attributes:
        id: Short name.
        title: The number as a sentence.
        published: What is published.
        source: Where.
        caution: What keeps it from being compared as it is.
        command: Our command for it.
        reads: What of its output to compare.
        needs: What is needed and not here.
        planted: Test with a planted truth, as FILE::TEST.
    """

    id: str = Field(pattern="^[a-z0-9]+(-[a-z0-9]+)*$")
    title: Text
    published: Text
    source: Text
    caution: Text
    command: str = Field(pattern="^litelvlm ")
    reads: Text
    needs: Text
    planted: str = Field(pattern="^tests/.+::test_")


class _File(Frozen):
    number: Annotated[tuple[OutsideNumber, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _distinct(self) -> "_File":
        ids = [entry.id for entry in self.number]
        if len(set(ids)) < len(ids):
            raise ValueError(f"outside numbers occur twice: {ids}")
        return self


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


@cache
def outside_numbers() -> tuple[OutsideNumber, ...]:
    """Every entry, in the order of the file."""
    file = resources.files("litelvlm.analysis.pages.audit") / "outside.toml"
    return _File.model_validate(tomllib.loads(file.read_text(encoding="utf-8"))).number


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
    table = efficiency()
    values = {
        (str(quantity), str(method), int(tokens)): float(value)
        for quantity, method, tokens, value in table[
            ["quantity", "method", "tokens", "value"]
        ].itertuples(index=False)
    }
    macs, prefill = "multiply-adds (T)", "prefill time (ms)"
    whole = {quantity: values[quantity, "unpruned", N_TOKENS] for quantity in (macs, prefill)}
    return tuple(
        Operations(
            method,
            tokens,
            value,
            None if method == "FastV" else tuple(computed_macs(tokens, n) for n in OTHERS),
            value / whole[macs],
            values[prefill, method, tokens] / whole[prefill],
        )
        for (quantity, method, tokens), value in values.items()
        if quantity == macs
    )


def operation_rows() -> list[tuple[str, ...]]:
    """The table of operations as text, headings first."""
    heads = ("method", "tokens", "published T", *(f"ours, {n} other tokens" for n in OTHERS))
    rows: list[tuple[str, ...]] = [(*heads, "share of operations", "share of prefill time")]
    for one in operations():
        ours = [f"{value:.2f}" for value in one.computed] if one.computed else ["-"] * len(OTHERS)
        shares = (f"{one.share:.2f}", f"{one.prefill_share:.2f}")
        rows.append((one.method, str(one.tokens), f"{one.published:.2f}", *ours, *shares))
    return rows


def outside_text() -> str:
    """All entries for a terminal, and the table of operations."""
    lines = []
    for entry in outside_numbers():
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
    return "\n".join([*lines, aligned(operation_rows()), "", _fastv(), ""])


def outside_data() -> dict[str, object]:
    """The same as plain data."""
    return {
        "numbers": [entry.model_dump(mode="json") for entry in outside_numbers()],
        "operations": [one._asdict() for one in operations()],
        "fastv_layers": {
            f"{one.tokens} tokens, {n} others": implied_layers(one.tokens, n, one.published)
            for one in operations()
            if one.computed is None
            for n in OTHERS
        },
    }


def _fastv() -> str:
    """What the published operations of FastV say about its schedule, as a paragraph."""
    implied = {
        one.tokens: sorted(implied_layers(one.tokens, n, one.published) for n in OTHERS)
        for one in operations()
        if one.computed is None
    }
    told = " and ".join(
        f"{low:.1f} to {high:.1f} layers at {tokens} tokens"
        for tokens, (low, high) in implied.items()
    )
    return (
        "FastV prunes inside the language model, before layer K, and the authors of LiteLVLM do "
        "not publish their K. The formula holds for each layer. So K can be computed from the "
        "published operations, if the tokens of the table are those that are left behind layer K: "
        f"{told}, with 130 and 124 other tokens. FastV's own paper has K = 2 and K = 3 (entry "
        "`depth` of `fastv` in the audit). If the tokens of the table are the average over the "
        "layers, as in this suite, the operations would be those of the other methods, about 2.1 "
        "and 1.25. So with a K of 2 or 3 neither reading gives 2.65 and 2.23. The published "
        "prefill time keeps 98 % and 95 % where the operations keep 57 % and 48 %."
    )


def outside_page() -> str:
    """The page as Markdown."""
    lines = [
        "# Outside numbers to hold this suite against",
        "",
        "Made by `litelvlm audit --pages docs`; `litelvlm audit --outside` prints it. Each number "
        "was published by others, unless its line says that it was not.",
        "Beside it stand our command, what that command needs and lacks here, and a test that "
        "plants a known truth and reads it back.",
        "The tests show that the instruments work. They do not confirm the published numbers.",
    ]
    for entry in outside_numbers():
        lines += [
            "",
            f"## {entry.title}",
            "",
            f"- **Published.** {entry.published}",
            f"- **Source.** {entry.source}.",
            f"- **Caution.** {entry.caution}",
            f"- **Our command.** `{entry.command}`. Compare: {entry.reads}.",
            f"- **It needs** {entry.needs}.",
            f"- **Planted version that runs here.** `{entry.planted}`",
        ]
    lines += [
        "",
        "## Operations, published and ours",
        "",
        *markdown_lines(operation_rows()),
        "",
        "Ours is the multiply-adds of a 7B language model's prefill, in T, with the visual tokens "
        "pruned before its first layer. 124 other tokens meet the unpruned number exactly and 130 "
        "meet LiteLVLM's two; no single prompt meets all three.",
        "",
        _fastv(),
        "",
        "Times were not measured on a GPU here.",
        "",
        "Terms: [glossary](glossary.md).",
    ]
    return wrapped_page("\n".join(lines) + "\n")
