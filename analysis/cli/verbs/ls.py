"""`litelvlm ls`: the names of methods, studies, figures, splits and model families."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass

import tyro

from litelvlm.analysis.cli.options import Printing
from litelvlm.analysis.cli.terminal.screen import print_json, print_table, records
from litelvlm.analysis.studies import QUESTIONS
from litelvlm.names import check_name

ROUNDING = 1e-12
"""Differences of float64 logits below this are rounding."""


@dataclass(frozen=True, kw_only=True)
class Ls(Printing):
    """List the names of methods, studies, figures, splits and families, each with one sentence.

    "methods" prints a table: the stage where a method works, whether it reads the text, the cues it
    needs, its order and positions, whether it runs with attention kernels that return no weights
    (flash-safe), its source, the licence of the official code, and how sure its formulas are. A:
    checked against the official code. B: checked in part. C: from the paper alone.

    "columns" with a study prints what each column of its rows holds.

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
    """methods, studies, figures, splits, families, columns, or all."""
    study: tyro.conf.Positional[str] = ""
    """The study whose columns to list."""

    def run(self) -> int:
        """Print one name per line."""
        listings = {
            "methods": methods,
            "studies": studies,
            "figures": drawings,
            "splits": splits,
            "families": families,
        }
        check_name(self.kind, [*listings, "columns", "all"], "listing")
        if self.kind == "columns":
            self.show(column_rows(self.study))
            return 0
        if self.study:
            raise ValueError(f"{self.study!r} is too much; only ls columns takes a study")
        chosen = listings if self.kind == "all" else {self.kind: listings[self.kind]}
        if self.kind == "methods":
            from litelvlm.analysis.cli.actions.methods_table import method_rows

            self.show(method_rows())
            return 0
        if self.kind == "families":
            self.show(family_rows())
            return 0
        if self.json:
            print_json({kind: listing() for kind, listing in chosen.items()})
            return 0
        for kind, listing in chosen.items():
            table = listing()
            width = max(map(len, table))
            lines = [f"{name:<{width}}  {sentence}\n" for name, sentence in table.items()]
            sys.stdout.write(("" if len(chosen) == 1 else f"{kind}\n") + "".join(lines))
        return 0

    def show(self, rows: Sequence[tuple[str, ...]]) -> None:
        """Print a table whose first row holds the headings."""
        if self.json:
            print_json(records(rows))
        else:
            print_table(rows)


def column_rows(name: str) -> list[tuple[str, ...]]:
    """What the rows of a study hold, headings first.

    Raises:
        ValueError: If there is no such study.
    """
    from litelvlm.analysis.studies.table import get_study

    found = get_study(name).columns
    return [("column", "type", "meaning"), *((c.name, c.kind.__name__, c.meaning) for c in found)]


def methods() -> dict[str, str]:
    """Pruning methods and what each keeps."""
    from litelvlm import list_pruners

    return {name: method.summary for name, method in list_pruners().items()}


def studies() -> dict[str, str]:
    """Studies and the question of each."""
    return dict(QUESTIONS)


def drawings() -> dict[str, str]:
    """Figures and what each shows."""
    from litelvlm.figures import FIGURES

    return {
        name: f"{drawing.summary} Drawn from {drawing.study}." for name, drawing in FIGURES.items()
    }


def splits() -> dict[str, str]:
    """Data sets and their splits."""
    from litelvlm.data.embedded import EMBEDDED
    from litelvlm.data.layout import REF_FAMILIES

    listing = {
        name: ", ".join(f"{split} ({len(part)} images)" for split, part in data.seeds.items())
        for name, data in EMBEDDED.items()
    }
    for name, family in REF_FAMILIES.items():
        listing[name] = "; ".join(
            f"{author}: {', '.join(splits)}" for author, splits in family.splits.items()
        )
    return listing


def families() -> dict[str, str]:
    """Families of vision-language models that ``litelvlm.prune`` takes, and what is special."""
    from litelvlm.models.vlm.families import VLM_FAMILIES

    return {name: "; ".join(family.special) or "-" for name, family in VLM_FAMILIES.items()}


def family_rows() -> list[tuple[str, ...]]:
    """The table of families with the measured differences, headings first."""
    from litelvlm.models.vlm.families import VLM_FAMILIES, measured_differences

    heads = ("family", "input", "handed back", "masked", "masked (float64)", "generate", "batch")
    rows: list[tuple[str, ...]] = [(*heads, "effect", "exact", "special")]
    for name, proofs in measured_differences().items():
        for kind, proof in proofs.items():
            numbers = (
                proof["handed_back"],
                proof["masked"],
                proof["masked_double"],
                proof["generated"],
                proof["batched"],
                proof["effect"],
            )
            cells = [f"{number:.0e}" for number in numbers]
            exact = "yes" if proof["masked_double"] < ROUNDING else "no"
            special = "; ".join(VLM_FAMILIES[name].special) or "-"
            rows.append((name, kind, *cells, exact, special))
    return rows
