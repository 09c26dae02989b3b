"""``litelvlm bench``, budget by budget: ``python benchmarks/gpu/bench.py --model glamm-7b``.

At each budget, all methods and the unpruned model take turns in random order, so times are compared
within one budget. A budget is stored when it is done. Its run, with every round, stays in
``runs/BUDGET`` beside the result.
"""

import argparse
import json
import shutil
from functools import partial
from typing import Any

import pandas as pd

from benchmarks.common import RESULTS, Kept, store, timing_parser
from litelvlm import load_model, load_refer
from litelvlm.analysis.api import complete_run, read_record, read_summary
from litelvlm.analysis.studies import efficiency
from litelvlm.models.glamm.model import Glamm


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows of a table, for JSON."""
    found: list[dict[str, Any]] = json.loads(
        table.drop(columns="n_text").to_json(orient="records", double_precision=6)
    )
    return found


def measured(model: Glamm, given: argparse.Namespace, budget: int) -> dict[str, Any]:
    """Times, their ratios to the unpruned model, and costs at one budget."""
    config = efficiency.Config(
        methods=tuple(given.methods),
        budgets=(budget,),
        rounds=given.rounds,
        warm_up=given.warm_up,
        decoded=given.decoded,
        prefill_only=given.prefill_only,
    )
    out = RESULTS / "runs" / str(budget)
    shutil.rmtree(out, ignore_errors=True)  # of a process that was stopped, or of other code
    folder = complete_run(efficiency.STUDY, model, load_refer("embedded", split="val"), config, out)
    summary, record = read_summary(folder), read_record(folder)
    costs = summary.table("costs")
    return {
        "times": records(summary.table("times")),
        "ratios": records(summary.table("ratios")),
        "costs": records(costs[~costs["metric"].str.endswith("_flops")]),
        "excluded": [entry.model_dump() for entry in record.excluded],
        "notes": list(record.notes),
    }


def main() -> None:
    """Command line."""
    parser = timing_parser(__doc__, rounds=40)
    parser.add_argument("--methods", nargs="+", default=["litelvlm", "vispruner", "fastv"])
    parser.add_argument("--attn", default="sdpa", choices=("sdpa", "eager"))
    parser.add_argument("--compile", choices=("inductor", "aot_eager"))
    parser.add_argument("--quantise", choices=("int8", "nf4"))
    parser.add_argument("--prefill-only", action="store_true")
    parser.add_argument("--decoded", type=int, default=8, help="answer tokens behind the first")
    given = parser.parse_args()
    kept = Kept("bench")
    model = load_model(
        given.model,
        device=given.device,
        attn=given.attn,
        random_init=given.random_init,
        quantise=given.quantise,
        compile=given.compile,
    )
    numbers = {
        str(budget): kept(str(budget), partial(measured, model, given, budget))
        for budget in given.budgets
    }
    ways = {name: getattr(given, name) for name in ("attn", "compile", "quantise", "prefill_only")}
    size = {"model": given.model, "dtype": str(model.dtype), "n_tokens": model.n_tokens}
    store("bench", {**size, **ways, "rounds": given.rounds, "budgets": numbers})


if __name__ == "__main__":
    main()
