"""`litelvlm ls`: the names of methods, studies, figures, splits, models and model families."""

from __future__ import annotations

from dataclasses import dataclass

import tyro

from litelvlm.analysis.cli.options import Printing


@dataclass(frozen=True, kw_only=True)
class Ls(Printing):
    """List names of methods, studies, figures, splits, models and families, each with a sentence.

    "methods" prints a table: the stage where a method works, whether it reads the text, the cues it
    needs, its order and positions, whether it runs with attention kernels that return no weights
    (flash-safe), its source, the licence of the official code, and how sure its formulas are. A:
    checked against the official code. B: checked in part. C: from the paper alone.

    "columns" with a study prints what each column of its rows holds.

    "models" prints the bundled models; other models are folders and hub ids.

    "families" prints the vision-language models of transformers that litelvlm.prune takes: what is
    special, and the largest differences of logits measured on tiny random models. "handed back":
    every visual token handed back, against the model alone. "masked": pruned at original positions,
    against the full prompt with the dropped keys masked, in float32 and float64. "generate": the
    same for each step of an answer. "batch": a row of a padded batch, against the row alone.
    "effect": how far pruning moves the logits. "exact": "masked" is rounding alone.

    Examples:
      litelvlm ls
      litelvlm ls methods
      litelvlm ls columns sweep
      litelvlm ls methods --json
      litelvlm ls families
    """

    kind: tyro.conf.Positional[str] = "all"
    """methods, studies, figures, splits, models, families, columns, or all."""
    study: tyro.conf.Positional[str] = ""
    """The study whose columns to list."""
