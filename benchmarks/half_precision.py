"""Do half-precision towers keep the tokens that float32 towers keep?

Usage: ``python benchmarks/half_precision.py [--model embedded] [--data embedded] [--split val]
[--limit 8] [--budgets 48 16] [--dtypes bfloat16 float16] [--device cpu]``.

The same model is loaded in float32 and in each half-precision type, and every method chooses tokens
for the same expressions. Compared are the kept tokens: their Jaccard index, and the share of
expressions for which they are the same set. With its defaults it writes the table of
``docs/half-precision.md``, too.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from common import ROOT, command, run

from litelvlm import get_pruner, list_pruners, load_model, load_refer
from litelvlm.analysis.inputs.samples import target_mask, token_coverage
from litelvlm.models.base import GroundingModel
from litelvlm.pruning import LayerPruner
from litelvlm.pruning.cue_table import SUBSTITUTES

PAGE, TABLE = ROOT / "docs" / "half-precision.md", "| method |"
Choices = dict[str, list[frozenset[int]]]
"""Kept tokens of every expression, by "method@budget"."""


def choices(
    model: GroundingModel, samples: Sequence[Any], budgets: Sequence[int], refused: dict[str, str]
) -> Choices:
    """What every method keeps; tokens made of several are left out. Adds to what is refused."""
    kept: Choices = defaultdict(list)
    names = [name for name, cls in list_pruners().items() if not cls.needs & SUBSTITUTES]
    for sample in samples:
        state = model.encode_image(sample.image())
        for expression in sample.expressions:
            conversation = model.conversation([expression.sent])
            covered = token_coverage(target_mask(sample, expression), model)
            coverage = torch.as_tensor(covered, device=model.device).float()
            cues = model.cues(state, conversation, coverage, key=sample.image_id)
            for name, budget in ((n, b) for n in names for b in budgets):
                pruner = get_pruner(name)
                try:
                    selection = pruner.select(cues, budget)
                    if isinstance(pruner, LayerPruner):
                        (grounded,) = model.ground([state], [conversation], [selection])
                        (selection,) = grounded.selections
                except ValueError as error:
                    refused[f"{name}@{budget}"] = str(error)[:200]
                else:
                    places = frozenset(i for i in selection.indices.tolist() if i >= 0)
                    kept[f"{name}@{budget}"].append(places)
    return kept


def compare(exact: Choices, found: Choices) -> dict[str, dict[str, float]]:
    """Two sets of choices, where both have every expression, expression by expression."""
    rows = {}
    for name, one in exact.items():
        if len(one) == len(found[name]) and any(one):
            pairs = zip(one, found[name], strict=True)
            jaccard = [len(a & b) / max(1, len(a | b)) for a, b in pairs]
            rows[name] = {
                "expressions": len(jaccard),
                "jaccard": float(np.mean(jaccard)),
                "lowest": float(np.min(jaccard)),
                "equal": float(np.mean([value == 1 for value in jaccard])),
            }
    return rows


def table(methods: Mapping[str, Mapping[str, Any]], budgets: Sequence[int]) -> str:
    """Jaccard index of every method that changes, with the lowest of an expression; worst first."""
    columns = [(dtype, budget) for dtype in methods for budget in budgets]
    heads = [TABLE, *(f" {dtype}, {budget} |" for dtype, budget in columns)]
    lines = ["".join(heads), "|---" * (len(columns) + 1) + "|"]
    first = next(iter(methods.values()))
    names = dict.fromkeys(key.split("@")[0] for key in sorted(first, key=_jaccard(first)))
    for name in names:
        rows = [methods[dtype].get(f"{name}@{budget}") for dtype, budget in columns]
        if all(row is None or row["equal"] == 1 for row in rows):
            continue
        cells = [f"{row['jaccard']:.3f} [{row['lowest']:.2f}]" if row else "-" for row in rows]
        lines.append(" | ".join([f"| `{name}`", *cells]) + " |")
    return "\n".join(lines) + "\n"


def _jaccard(rows: Mapping[str, Any]) -> Any:
    return lambda key: (rows[key]["jaccard"], key)


def write_page(methods: Mapping[str, Mapping[str, Any]], budgets: Sequence[int]) -> None:
    """Put the table into the page, in the place of the last one."""
    page = PAGE.read_text(encoding="utf-8")
    before, rest = page.split(TABLE)
    behind = rest.partition("\n\n")[2]
    PAGE.write_text(f"{before}{table(methods, budgets)}\n{behind}", encoding="utf-8")


@torch.no_grad()
def measure(
    model: str = "embedded",
    data: str = "embedded",
    split: str = "val",
    limit: int = 8,
    budgets: tuple[int, ...] = (48, 16),
    dtypes: tuple[str, ...] = ("bfloat16", "float16"),
    device: str = "cpu",
) -> dict[str, Any]:
    """Compare every method in every number type."""
    torch.set_num_threads(1)
    dataset = load_refer(data, split=split)
    samples = [dataset[index] for index in range(min(limit, len(dataset)))]
    whole = load_model(model, dtype="float32", device=device)
    refused: dict[str, str] = {}
    exact, methods = choices(whole, samples, budgets, refused), {}
    for dtype in dtypes:
        half = load_model(model, dtype=dtype, device=device)
        methods[dtype] = compare(exact, choices(half, samples, budgets, refused))
    if (model, data, split, limit) == ("embedded", "embedded", "val", 8):  # what the page is about
        write_page(methods, budgets)
    return {
        "made_by": command(),
        "model": model,
        "model_digest": whole.digest,
        "data": f"{data} {split}",
        "data_digest": dataset.digest,
        "device": device,
        "images": len(samples),
        "expressions": sum(len(sample.expressions) for sample in samples),
        "n_tokens": whole.n_tokens,
        "budgets": budgets,
        "methods": methods,
        "refused": refused,
    }


if __name__ == "__main__":
    run(measure)
