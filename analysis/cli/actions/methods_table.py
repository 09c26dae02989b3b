"""The table of methods that `litelvlm ls methods` prints."""

from dataclasses import fields

from litelvlm import get_pruner, list_pruners
from litelvlm.pruning import Pruner


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
