"""Which pruning methods a study asks: names with presets and fields, from a command or a file."""

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Annotated

import numpy as np
from pydantic import BeforeValidator, Field, model_validator

from litelvlm.analysis.runs.outcome import Frozen
from litelvlm.pruning import Pruner, get_pruner, list_pruners, register_pruner
from litelvlm.pruning.cue_table import SUBSTITUTES
from litelvlm.pruning.registry import FAITHFUL, spelled

UNPRUNED, RANDOM = "none", "random"
PAPER = "litelvlm"
"""The method as its released code has it: the texts choose every token they can."""
PAPER_RULE = "litelvlm:paper"
"""The method as the paper has it: with one text, half of the budget is context."""


EVERY = "all"


Value = str | int | float | bool | tuple[int, ...] | tuple[float, ...] | None
"""What a label can name."""


class Method(Frozen):
    """One method of a study: its name among the pruners, a preset, and the fields that differ."""

    name: str
    preset: str = FAITHFUL
    fields: dict[str, Value] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _exists(self) -> "Method":
        self.pruner()
        return self

    @classmethod
    def parse(cls, text: str) -> "Method":
        """Read a label.

        Raises:
            ValueError: If it is not of the form name:preset(field=value, ...), the last two parts
                optional.

        Example:
            >>> Method.parse("litelvlm(order=raster)").fields
            {'order': 'raster'}
            >>> Method.parse("pyramiddrop(layers=(1, 4, 8))").fields
            {'layers': (1, 4, 8)}
        """
        return cls.model_validate(spelled(text)._asdict())

    @classmethod
    def of(cls, pruner: Pruner) -> "Method":
        """Describe a method object; a class that is in no table is registered for this process.

        Raises:
            ValueError: If another class has its name, or a field holds what no label can name.

        Example:
            >>> Method.of(get_pruner("litelvlm", order="raster")).label
            'litelvlm(order=raster)'
        """
        if type(pruner) is not list_pruners().get(pruner.name):
            register_pruner(type(pruner))
        own = get_pruner(pruner.name)
        given = {field.name: _plain(getattr(pruner, field.name)) for field in fields(pruner)}
        changed = {k: v for k, v in given.items() if not _same(v, getattr(own, k))}
        for name, value in changed.items():
            if isinstance(value, Pruner):
                inner = cls.of(value)
                if inner.fields:
                    raise ValueError(
                        f"{pruner.name} holds {inner.label} in its field {name!r}, and a study can "
                        "only hold a method with default fields there; make it a class of its own"
                    )
                changed[name] = inner.name
            elif not _nameable(value):
                raise ValueError(
                    f"{pruner.name} holds {value!r} in its field {name!r}, which no label can "
                    "name; let fields be texts, numbers, True or False, or tuples of numbers"
                )
        return cls.model_validate({"name": pruner.name, "fields": changed})

    @property
    def label(self) -> str:
        """Name in rows and tables, with the preset and the fields that were set.

        Example:
            >>> Method(name="litelvlm", fields={"order": "raster"}).label
            'litelvlm(order=raster)'
        """
        options = ", ".join(f"{name}={value}" for name, value in sorted(self.fields.items()))
        preset = "" if self.preset == FAITHFUL else f":{self.preset}"
        return f"{self.name}{preset}({options})" if options else f"{self.name}{preset}"

    @property
    def seeded(self) -> bool:
        """Whether the method, or the one it changes, draws at random and no seed was fixed."""
        return "seed" not in self.fields and _draws(self.pruner())

    def pruner(self, seed: int | None = None) -> Pruner:
        """The method itself, with a seed if it takes one."""
        made = get_pruner(self.name, self.preset, **self.fields)
        return made if seed is None else _with_seed(made, seed)


def _plain(value: object) -> object:
    """A number of NumPy as Python's; anything else as it is."""
    return value.item() if isinstance(value, np.generic) else value


def _nameable(value: object) -> bool:
    """Whether a label can name a value, so that a method of that label has the very same one."""
    if type(value) is tuple:
        return all(type(part) in (int, float) for part in value)
    return value is None or type(value) in (str, int, float, bool)


def _same(value: object, default: object) -> bool:
    """Whether a field holds its default, by value where values can be compared."""
    if value is default:
        return True
    comparable = (_nameable(value) and _nameable(default)) or isinstance(value, Pruner)
    return comparable and value == default and isinstance(value, bool) == isinstance(default, bool)


def _draws(pruner: Pruner) -> bool:
    inner = getattr(pruner, "of", None)
    return any(field.name == "seed" for field in fields(pruner)) or (
        isinstance(inner, Pruner) and _draws(inner)
    )


def _with_seed(pruner: Pruner, seed: int) -> Pruner:
    """The same method with a seed, its own or that of the method it changes."""
    own = {"seed": seed} if any(field.name == "seed" for field in fields(pruner)) else {}
    inner = getattr(pruner, "of", None)
    of = {"of": _with_seed(inner, seed)} if isinstance(inner, Pruner) and _draws(inner) else {}
    changes: dict[str, object] = {**own, **of}
    # A data class knows its fields; which of them a method has is known at run time only.
    return replace(pruner, **changes)  # type: ignore[arg-type]


def every_method() -> tuple[Method, ...]:
    """Every method in each of its presets that can run where both towers of CLIP are known.

    Without the unpruned model, which always runs.
    """
    return tuple(
        Method(name=name, preset=preset)
        for name, cls in list_pruners().items()
        if name != UNPRUNED and not cls.needs & SUBSTITUTES
        for preset in (FAITHFUL, *cls.presets)
    )


def _method(value: object) -> object:
    if isinstance(value, Pruner):
        return Method.of(value)
    return Method.parse(value) if isinstance(value, str) else value


def _methods(value: object) -> object:
    """Let the word "all" stand for every method, by itself or as the only entry."""
    return every_method() if value == EVERY or value in ([EVERY], (EVERY,)) else value


def check_distinct(methods: Sequence[Method]) -> None:
    """Refuse a method that is named twice.

    Raises:
        ValueError: Naming it.
    """
    labels = [method.label for method in methods]
    twice = sorted({label for label in labels if labels.count(label) > 1})
    if twice:
        raise ValueError(f"methods occur twice: {', '.join(twice)}")


def at_positions(methods: Sequence[Method], positions: Sequence[str]) -> tuple[Method, ...]:
    """Each method once at each of some positions; as it is if there are none.

    Raises:
        ValueError: If a method names its positions itself.
    """
    for method in methods if positions else ():
        if "positions" in method.fields:
            raise ValueError(f"the positions of {method.label} are given twice; leave one out")
    every = (
        Method(name=one.name, preset=one.preset, fields={**one.fields, "positions": place})
        for one in methods
        for place in positions
        if one.name != UNPRUNED
    )
    return tuple(every) if positions else tuple(methods)


AnyMethod = Annotated[Method, BeforeValidator(_method)]


Methods = Annotated[tuple[AnyMethod, ...], Field(min_length=1), BeforeValidator(_methods)]


AnyMethods = Annotated[tuple[AnyMethod, ...], BeforeValidator(_methods)]
"""The same, none included."""
