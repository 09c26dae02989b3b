"""`litelvlm bench`: operations, times and memory by component and budget."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from litelvlm.analysis.cli.options import DataOptions, Printing


@dataclass(frozen=True, kw_only=True)
class Bench(DataOptions, Printing):
    """Measure what pruning costs and saves: operations, time by component, memory.

    The first image or clip of the data is asked. It ends with one line per budget: how much faster
    the whole call is. Then it judges the paper's headlines, 22 % less time and 2.3 times smaller
    activations. -v prints all tables. Arms are interleaved in random order; medians with intervals;
    published figures stand beside ours, marked as such.

    Examples:
      litelvlm bench
      litelvlm bench --model glamm-7b --random-init --device cuda --rounds 200 --warm-up 20
      litelvlm bench --model glamm-7b --random-init --prefill-only --rounds 3 --warm-up 1
      litelvlm bench --n-texts 1 2 3 --figures figures-of-bench
    """

    methods: tuple[str, ...] | None = None
    """Methods to time beside the unpruned model (default: litelvlm, vispruner, fastv)."""
    budgets: tuple[int | float, ...] | None = None
    """Tokens to keep, or shares of all from 0 to 1 (default: 1/3, 2/9, 1/9 and 1/18)."""
    n_texts: tuple[int, ...] = (1,)
    """Expressions per pass; several numbers make a sweep."""
    rounds: int = 20
    """Timed rounds, at least 2."""
    warm_up: int = 3
    """Rounds before them."""
    decoded: int = 8
    """Answer tokens to generate after the first one, to time one of them."""
    prefill_only: bool = False
    """Time the prefill of the language model alone, on random states."""
    sweep: Path | None = None
    """Run folder of a sweep of the same model, whose scores are drawn against the times."""
    seed: int = 0
    """Seed of the order of arms."""
    out: Path = Path("runs")
    """Folder that holds the run folders."""
    figures: Path | None = None
    """Also draw the figures into this folder."""
