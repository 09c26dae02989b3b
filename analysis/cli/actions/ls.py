"""`litelvlm ls`: listings of names, and the tables of methods, families and columns."""

from collections.abc import Callable
from dataclasses import fields
from functools import partial

from litelvlm import get_pruner, list_pruners
from litelvlm.analysis.cli.verbs.ls import Ls
from litelvlm.analysis.runs.columns import CONDITION
from litelvlm.analysis.runs.formatting import aligned
from litelvlm.analysis.studies import QUESTIONS
from litelvlm.analysis.studies.table import get_study
from litelvlm.data.embedded import EMBEDDED
from litelvlm.data.layout import REF_FAMILIES
from litelvlm.data.video.layout import CLIP_FAMILIES
from litelvlm.models.vlm.families import VLM_FAMILIES, measured_differences
from litelvlm.names import check_name
from litelvlm.pruning import Pruner

ROUNDING = 1e-12
"""Differences of float64 logits below this are rounding."""


def run(verb: Ls) -> int:
    """Print one name per line, or a table."""
    check_name(verb.kind, [*LISTINGS, "columns", "all"], "listing")
    if verb.study and verb.kind != "columns":
        raise ValueError(f"{verb.study!r} is too much; only ls columns takes a study")
    tables: dict[str, Callable[[], list[tuple[str, ...]]]] = {
        "methods": method_rows,
        "families": family_rows,
        "columns": partial(column_rows, verb.study),
    }
    if verb.kind in tables:
        heads, *rows = tables[verb.kind]()
        lines = [dict(zip(heads, row, strict=True)) for row in rows]
        verb.print_found(lines, aligned([heads, *rows]))
        return 0
    chosen = LISTINGS if verb.kind == "all" else {verb.kind: LISTINGS[verb.kind]}
    found = {kind: listing() for kind, listing in chosen.items()}
    titles = {kind: f"{kind}\n" if len(found) > 1 else "" for kind in found}
    parts = [titles[kind] + aligned(list(table.items())) for kind, table in found.items()]
    verb.print_found(found, "".join(parts))
    return 0


def column_rows(name: str) -> list[tuple[str, ...]]:
    """What the rows of a study hold, headings first.

    Raises:
        ValueError: If there is no such study.
    """
    found = get_study(name).columns
    return [
        ("column", "type", "meaning"),
        *(
            (c.name, c.kind.__name__, f"{'Condition. ' if c.ends is CONDITION else ''}{c.meaning}")
            for c in found
        ),
    ]


def methods() -> dict[str, str]:
    """Pruning methods and what each keeps."""
    return {name: method.summary for name, method in list_pruners().items()}


def studies() -> dict[str, str]:
    """Studies and the question of each."""
    return dict(QUESTIONS)


def drawings() -> dict[str, str]:
    """Figures and what each shows."""
    from litelvlm.figures import FIGURES  # which loads the studies that figures read

    return {
        name: f"{drawing.summary} Drawn from {drawing.study}." for name, drawing in FIGURES.items()
    }


def splits() -> dict[str, str]:
    """Data sets and their splits."""
    listing = {
        name: ", ".join(f"{split} ({len(part)} images)" for split, part in data.seeds.items())
        for name, data in EMBEDDED.items()
    }
    for name, family in REF_FAMILIES.items():
        listing[name] = "; ".join(
            f"{author}: {', '.join(splits)}" for author, splits in family.splits.items()
        )
    return listing | {
        name: ", ".join(
            split if n else f"{split} (masks not published)" for split, n in family.clips.items()
        )
        for name, family in CLIP_FAMILIES.items()
    }


def models() -> dict[str, str]:
    """Bundled models and what each is."""
    return {
        "embedded": "the miniature GLaMM, trained on pictograms; its ranking is reversed",
        "embedded-pictograms": "the same",
        "embedded-shapes": "a miniature GLaMM, trained on coloured shapes, without the reversal",
        "embedded-video": "the miniature VideoGLaMM, trained on clips of moving pictograms",
        "vlm:embedded": "a miniature LLaVA that answers questions in words",
        "vlm:embedded-boxes": "a miniature LLaVA that writes boxes",
    }


def families() -> dict[str, str]:
    """Families of vision-language models that ``litelvlm.prune`` takes, and what is special."""
    return {name: "; ".join(family.special) or "-" for name, family in VLM_FAMILIES.items()}


def family_rows() -> list[tuple[str, ...]]:
    """The table of families with the measured differences, headings first."""
    heads = ("handed back", "masked", "masked (float64)", "generate", "batch", "effect")
    rows: list[tuple[str, ...]] = [("family", "input", *heads, "exact", "special")]
    for name, proofs in measured_differences().items():
        special = "; ".join(VLM_FAMILIES[name].special) or "-"
        for kind, proof in proofs.items():
            numbers = (
                *(proof["handed_back"], proof["masked"], proof["masked_double"]),
                *(proof["generated"], proof["batched"], proof["effect"]),
            )
            exact = "yes" if proof["masked_double"] < ROUNDING else "no"
            rows.append((name, kind, *(f"{number:.0e}" for number in numbers), exact, special))
    return rows


def method_rows() -> list[tuple[str, ...]]:
    """The table of methods, headings first, made from their classes."""
    heads = (
        "name stage text-guided cues order positions flash-safe deployable source licence "
        "confidence presets keeps"
    )
    rows = [tuple(heads.split())]
    for name, method in list_pruners().items():
        positions = next(entry.default for entry in fields(method) if entry.name == "positions")
        origin = method.origin
        rows.append(
            (
                name,
                method.stage,
                "yes" if method.text_guided else "no",
                ", ".join(cues_of(method)) or "-",
                method.native_order,
                str(positions),
                "yes" if method.flash_safe else "no",
                deployable(get_pruner(name)),
                origin.source,
                origin.licence,
                origin.confidence,
                ", ".join(method.presets) or "-",
                method.summary,
            )
        )
    return rows


def deployable(method: Pruner) -> str:
    """Whether serving engines can use a method, or what keeps them from it."""
    return "yes" if method.deployable else f"no: {', '.join(method.obstacles)}"


def cues_of(method: type[Pruner]) -> list[str]:
    """What a method reads: cues, parts of a layer, and what a wrapped method reads."""
    inside = [f"layer's {name}" for name in sorted(getattr(method, "reads", ()))]
    other = (
        ["those of the other method"] if "of" in {entry.name for entry in fields(method)} else []
    )
    return [*sorted(method.needs), *inside, *other]


LISTINGS = {
    "methods": methods,
    "studies": studies,
    "figures": drawings,
    "splits": splits,
    "models": models,
    "families": families,
}
"""What `litelvlm ls` lists, each name with a sentence."""
