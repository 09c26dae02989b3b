"""Do half-precision towers keep the tokens that float32 towers keep?

Usage: ``python benchmarks/half_precision.py [--model embedded] [--data embedded] [--split val]
[--limit 8] [--budgets 48 16] [--dtypes bfloat16 float16] [--device cpu]``.

The same model is loaded in float32 and in each half-precision type, and every method chooses tokens
for the same expressions. Compared are the kept tokens: their Jaccard index, and the share of
expressions for which they are the same set. The tie rate is the share of ranked scores that equal
the score of another token; such tokens are ordered by their index alone. Writes
``results/half_precision.json`` and the page ``docs/half-precision.md``.
"""

import argparse
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from common import store

from litelvlm import get_pruner, list_pruners, load_model, load_refer
from litelvlm.analysis.inputs.samples import target_mask, token_coverage
from litelvlm.analysis.pages.wrapping import wrapped_page
from litelvlm.models.base import GroundingModel
from litelvlm.pruning import LayerPruner

PAGE = Path(__file__).parents[1] / "docs" / "half-precision.md"
Choice = tuple[frozenset[int], float | None]


@contextmanager
def ranked() -> Iterator[list[float]]:
    """The tie rate of every ranking that is made meanwhile."""
    found: list[float] = []
    sort = torch.sort

    def watched(scores, **options):
        if (
            options.get("stable")
            and scores.is_floating_point()
            and scores.ndim
            and scores.shape[-1] > 1
        ):
            values, counts = torch.unique(scores.detach().float(), return_counts=True)
            if values.numel():
                found.append(float(counts[counts > 1].sum() / scores.numel()))
        return sort(scores, **options)

    with mock.patch.object(torch, "sort", watched):
        yield found


def choices(
    model: GroundingModel, samples: Sequence, budgets: Sequence[int]
) -> tuple[dict[tuple[str, int], list[Choice]], dict[str, str]]:
    """Kept tokens and tie rate of every expression, by method and budget; and what was refused."""
    kept: dict[tuple[str, int], list[Choice]] = defaultdict(list)
    refused: dict[str, str] = {}
    for sample in samples:
        state = model.encode_image(sample.image())
        for expression in sample.expressions:
            conversation = model.conversation([expression.sent])
            coverage = torch.as_tensor(
                token_coverage(target_mask(sample, expression), model), device=model.device
            ).float()
            cues = model.cues(state, conversation, coverage, key=sample.image_id)
            for name in list_pruners():
                for budget in budgets:
                    pruner = get_pruner(name)
                    try:
                        with ranked() as ties:
                            selection = pruner.select(cues, budget)
                            if isinstance(pruner, LayerPruner):
                                (grounded,) = model.ground([state], [conversation], [selection])
                                (selection,) = grounded.selections
                    except ValueError as error:
                        refused[f"{name}@{budget}"] = str(error)[:200]
                        continue
                    places = frozenset(i for i in selection.indices.tolist() if i >= 0)
                    kept[name, budget].append((places, max(ties) if ties else None))
    return kept, refused


def compare(one: Sequence[Choice], two: Sequence[Choice]) -> dict[str, float | int | None]:
    """Two lists of choices, expression by expression."""
    jaccard = [len(a & b) / max(1, len(a | b)) for (a, _), (b, _) in zip(one, two, strict=True)]
    ties = [t for _, t in two if t is not None]
    before = [t for _, t in one if t is not None]
    return {
        "expressions": len(jaccard),
        "jaccard": float(np.mean(jaccard)),
        "lowest": float(np.min(jaccard)),
        "equal": float(np.mean([value == 1 for value in jaccard])),
        "ties": float(np.mean(ties)) if ties else None,
        "ties_float32": float(np.mean(before)) if before else None,
    }


def page(record: dict) -> str:
    """The table as a page of the documentation."""
    shares = record["methods"]
    lines = [
        "# Half precision against float32",
        "",
        f"Made by `{record['made_by']}` on the model `{record['model']}` "
        f"(digest `{record['model_digest'][:12]}`), {record['expressions']} expressions about "
        f"{record['images']} images of `{record['data']}`. Another model may give other numbers; "
        "the same command makes this page for it.",
        "",
        "The same model chose tokens in float32 and in half precision. **Jaccard**: kept tokens in "
        "both over kept tokens in either, mean over expressions, with the lowest in brackets. "
        "**Same**: share of expressions whose kept tokens are the same set. **Ties**: share of "
        "ranked scores that equal another token's, in half precision and, in brackets, in float32. "
        "Such tokens are ordered by their index. A dash: the method ranks nothing at once. Tokens "
        "that a method makes of several do not count.",
    ]
    for dtype, rows in shares.items():
        for budget in record["budgets"]:
            lines += ["", f"## {dtype}, {budget} of {record['n_tokens']} tokens", ""]
            lines += ["| method | Jaccard | same | ties |", "|---|---|---|---|"]
            here = [(name, row) for name, row in rows.items() if name.endswith(f"@{budget}")]
            for name, row in sorted(here, key=lambda entry: (entry[1]["jaccard"], entry[0])):
                ties = "-"
                if row["ties"] is not None:
                    ties = f"{row['ties']:.3f} [{row['ties_float32'] or 0:.3f}]"
                lines.append(
                    f"| `{name.split('@')[0]}` | {row['jaccard']:.3f} [{row['lowest']:.3f}] | "
                    f"{row['equal']:.0%} | {ties} |"
                )
    if record["refused"]:
        names = ", ".join(f"`{name}`" for name in sorted(record["refused"]))
        lines += ["", f"Left out, because the method refuses the budget or a cue: {names}."]
    return wrapped_page("\n".join([*lines, "", "Terms: [glossary](glossary.md)."]) + "\n")


def main() -> None:
    """Compare every method in every number type."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="embedded")
    parser.add_argument("--data", default="embedded")
    parser.add_argument("--split", default="val")
    parser.add_argument("--limit", type=int, default=8)
    parser.add_argument("--budgets", type=int, nargs="*", default=[48, 16])
    parser.add_argument("--dtypes", nargs="*", default=["bfloat16", "float16"])
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args()
    torch.set_num_threads(1)
    data = load_refer(given.data, split=given.split)
    samples = [data[index] for index in range(min(given.limit, len(data)))]
    whole = load_model(given.model, dtype="float32", device=given.device)
    with torch.no_grad():
        exact, refused = choices(whole, samples, given.budgets)
        methods = {}
        for dtype in given.dtypes:
            half = load_model(given.model, dtype=dtype, device=given.device)
            found, also = choices(half, samples, given.budgets)
            refused |= also
            methods[dtype] = {
                f"{name}@{budget}": compare(exact[name, budget], found[name, budget])
                for name, budget in exact
                if len(exact[name, budget]) == len(found[name, budget])
                and any(places for places, _ in exact[name, budget])  # not of several each
            }
    record = {
        "made_by": "python benchmarks/half_precision.py " + " ".join(sys.argv[1:]),
        "model": given.model,
        "model_digest": whole.digest,
        "data": f"{given.data} {given.split}",
        "data_digest": data.digest,
        "device": given.device,
        "images": len(samples),
        "expressions": sum(len(sample.expressions) for sample in samples),
        "n_tokens": whole.n_tokens,
        "budgets": given.budgets,
        "methods": methods,
        "refused": refused,
    }
    PAGE.write_text(page(record), encoding="utf-8")
    store("half_precision", record)


if __name__ == "__main__":
    main()
