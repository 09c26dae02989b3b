"""What the result of each part says, as rows of a table: the first row names the columns."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

Rows = list[list[str]]
Result = Mapping[str, Any]
GB = 1e9


def number(value: float) -> str:
    """Three digits."""
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"


def middle(found: Mapping[str, float] | None, scale: float = 1.0) -> str:
    """Median with quartiles."""
    if found is None:
        return "-"
    low, mid, high = (number(scale * found[key]) for key in ("q25", "median", "q75"))
    return f"{mid} [{low}, {high}]"


def checks(result: Result) -> Rows:
    """Methods by what became of them."""
    groups: dict[str, list[str]] = {}
    for method, row in result["methods"].items():
        if "failed" in row:
            outcome = f"failed: {row['failed']}"
        elif "refused" in row:
            outcome = "refuses the model"
        elif row["same_tokens"] == row["images"]:
            outcome = "the same tokens, twice"
        else:
            outcome = "other tokens on some image, the same twice"
        groups.setdefault(outcome, []).append(method)
    return [
        ["outcome", "number", "methods"],
        *([outcome, str(len(names)), ", ".join(names)] for outcome, names in groups.items()),
    ]


def parity(result: Result) -> Rows:
    """Distance from what the official code was recorded to answer."""
    return [
        ["quantity", "largest difference", "allowed", "tolerance of the recordings"],
        *(
            [name, number(row["largest"]), number(row["allowed"]), number(row["tolerance"])]
            for name, row in result["differences"].items()
        ),
    ]


def clock_of(rows: Sequence[Result]) -> str:
    """The metric of times: between two events on a GPU, of the wall clock elsewhere."""
    return "cuda_ms" if any(row["metric"] == "cuda_ms" for row in rows) else "wall_ms"


def bench(result: Result) -> Rows:
    """Prefill, whole call and memory of each arm, beside the unpruned model of its budget."""
    timed = ("prefill ms", "unpruned over it", "whole call ms", "unpruned over it")
    rows = [["budget", "method", "tokens", *timed, "activations MB", "peak GB", "weights GB"]]
    for budget, found in result["budgets"].items():
        clock = clock_of(found["times"])
        costs = {(c["method"], c["k"], c["metric"]): c["value"] for c in found["costs"]}
        peaks = {(c["method"], c["k"]): c["value"] for c in found["costs"] if "peak" in c["metric"]}
        cells = {
            part: {
                (row["method"], row["k"]): row
                for row in found["times"]
                if (row["component"], row["metric"]) == (part, clock)
            }
            for part in ("llm", "end_to_end")
        }
        ratios = {
            (row["component"], row["method"], row["k"]): row
            for row in found["ratios"]
            if row["metric"] == clock
        }
        for arm in cells["llm"]:
            line = [budget, arm[0], str(arm[1])]
            for part, times in cells.items():
                taken, ratio = times.get(arm), ratios.get((part, *arm))
                line.append(middle(taken | {"median": taken["value"]}) if taken else "-")
                line.append(
                    f"{ratio['ratio']:.2f} [{ratio['low']:.2f}, {ratio['high']:.2f}]"
                    if ratio
                    else "-"
                )
            line.append(number(costs[(*arm, "activation_bytes")] / 1e6))
            line.append(number(peaks[arm] / GB) if arm in peaks else "-")
            rows.append([*line, number(costs[(*arm, "weight_bytes")] / GB)])
    return rows


def components(result: Result) -> Rows:
    """Median times of each component, arms of all budgets beside each other."""
    arms: dict[str, dict[str, str]] = {}
    for budget, found in result["budgets"].items():
        for row in found["times"]:
            if row["metric"] == "wall_ms":
                name = f"{row['method']}, {row['k']} ({budget})"
                arms.setdefault(name, {})[row["component"]] = number(row["value"])
    names = list(dict.fromkeys(part for cells in arms.values() for part in cells))
    return [
        ["wall ms: method, tokens (budget)", *names],
        *([arm, *(cells.get(name, "-") for name in names)] for arm, cells in arms.items()),
    ]


def compiled(result: Result) -> Rows:
    """Prefill and decoding by way."""
    return [
        ["tokens", "way", "prefill ms", "decode ms per token"],
        *(
            [budget, way, middle(times["prefill"]), middle(times["decode"])]
            for budget, ways in result["milliseconds"].items()
            for way, times in ways.items()
        ),
    ]


def graph_masks(result: Result) -> Rows:
    """Differences between recorded and plain model."""
    return [
        ["number type", "largest logit difference", "bound", "pixels", "masks", "never replayed"],
        *(
            [
                kind,
                number(row["largest_logit_difference"]),
                number(result["bounds"][kind]),
                str(row["pixels_that_differ"]),
                str(row["masks"]),
                ", ".join(row["never_replayed"]) or "none",
            ]
            for kind, row in result["types"].items()
        ),
    ]


def graph_times(result: Result) -> Rows:
    """Encoding and whole calls, plain and with graphs."""
    return [
        ["tokens", "way", "encode ms", "whole call ms", "GB held"],
        *(
            [
                budget,
                way,
                middle(times["encode"]),
                middle(times["call"]),
                number(result["reserved_bytes"][way] / GB),
            ]
            for budget, ways in result["milliseconds"].items()
            for way, times in ways.items()
        ),
    ]


def full_size(result: Result) -> Rows:
    """Stages of one picture."""
    stages = list(result["budgets"][0]["seconds"])
    return [
        ["tokens", "total ms", *(f"{stage} ms" for stage in stages), "peak GB"],
        *(
            [
                str(row["tokens"]),
                middle(row["total_seconds"], 1e3),
                *(middle(row["seconds"].get(stage), 1e3) for stage in stages),
                number(row["peak_bytes"] / GB),
            ]
            for row in result["budgets"]
        ),
    ]


def official_order(result: Result) -> Rows:
    """One step of the official order after another taken away."""
    apart = result["largest_difference_of_mask_logits"]
    rows = [["order of work", "ms", "official over it", "largest logit difference"]]
    for name, times in result["milliseconds"].items():
        ratio = result["official_over_variant"][name]
        shown = f"{ratio['ratio']:.2f} [{ratio['low']:.2f}, {ratio['high']:.2f}]"
        rows.append([name, middle(times), shown, number(apart[name])])
    return rows


def selectors(result: Result) -> Rows:
    """What choosing costs."""
    rows = [["device", "method", "one image ms", "per image of a batch ms", "share of CLIP"]]
    for device, found in result["milliseconds"].items():
        for name, row in found["selectors"].items():
            (batch,) = (value for key, value in row.items() if key.startswith("per image"))
            share = f"{row['share of forward']:.2%}"
            rows.append([device, name, middle(row["one image"]), middle(batch), share])
    return rows


def sweep(result: Result) -> Rows:
    """The shared sweep against one call per row."""
    rows = [["quantity", "value"]]
    rows += [[f"ms per row, {way}", middle(v)] for way, v in result["milliseconds_per_row"].items()]
    rows += [[f"times faster, {clock}", middle(v)] for clock, v in result["speed_up"].items()]
    differ, counts = result["pixel_counts_that_differ"], result["pixel_counts"]
    most = result["largest_difference_of_a_pixel_count"]
    return [*rows, ["pixel counts that differ", f"{differ} of {counts}, by at most {most}"]]


def family(result: Result) -> Rows:
    """The dry run of the family: a training that was stopped, and the list."""
    return [
        ["quantity", "value"],
        ["steps", str(result["steps"])],
        ["went on at step", str(result["went_on_at_step"])],
        ["largest difference of a weight", number(result["largest_difference_of_a_weight"])],
        ["trainings of the list", str(len(result["planned"]))],
    ]


TABLES: Mapping[str, Sequence[Callable[[Result], Rows]]] = MappingProxyType(
    {
        "checks": (checks,),
        "parity": (parity,),
        "prefill-sdpa": (bench,),
        "prefill-eager": (bench,),
        "compiled": (compiled,),
        "whole-call": (bench, components),
        "compiled-call": (bench, components),
        "graph-masks": (graph_masks,),
        "graph-times": (graph_times,),
        "full-size": (full_size,),
        "official-order": (official_order,),
        "selectors": (selectors,),
        "sweep": (sweep,),
        "sweep-full": (sweep,),
        "int8": (bench,),
        "nf4": (bench,),
        "family": (family,),
    }
)
"""Tables of each part, by its name."""
