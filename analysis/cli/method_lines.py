"""Every method of a run against random tokens, as lines of a terminal.

Claims name the paper's method alone. These lines say the same of all methods, from a saved table.
"""

import pandas as pd

from litelvlm.analysis.runs.claims import verdict
from litelvlm.analysis.runs.formatting import aligned, interval, number
from litelvlm.analysis.runs.record import Summary
from litelvlm.analysis.runs.verdicts import adjusted_verdict
from litelvlm.analysis.stats.bootstrap import Estimate
from litelvlm.analysis.studies.scores import main_score

TABLE, REFERENCE = "comparisons", "random"


def method_text(summary: Summary) -> str:
    """How each method and budget compares with random tokens; empty if the run has none."""
    if TABLE not in summary.tables or summary.tables[TABLE].rows == []:
        return ""
    table = summary.table(TABLE)
    score = main_score(table["metric"])
    lines = table[(table["metric"] == score.name) & (table["reference"] == REFERENCE)]
    if lines.empty:
        return ""
    lead = f"{score.label} minus that of random tokens"
    heads = ("method", "budget", lead, "adjusted p", "verdict")
    body = aligned([heads, *(_line(line) for _, line in lines.iterrows())])
    return (
        "\n  every method against random tokens (Holm's adjustment over these lines)\n"
        + "".join(f"    {line}\n" for line in body.splitlines())
    )


def _line(line: "pd.Series[float]") -> tuple[str, ...]:
    """One method at one budget; a run of an earlier version has no interval over categories."""
    low, high = (
        line[wide] if pd.notna(line.get(wide)) else line[end]
        for end, wide in (("low", "low_categories"), ("high", "high_categories"))
    )
    found = Estimate(line["delta"], low, high, int(line["n_images"]), int(line["n"]), "")
    told = f"{number(found.value)} {interval(low, high)}"
    p = number(line["p_holm"]) if pd.notna(line["p_holm"]) else "-"
    judged = adjusted_verdict(verdict(found, 0.0), line["p_holm"])
    return str(line["method"]), str(line["budget"]), told, p, judged.upper()
