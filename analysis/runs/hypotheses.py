"""Hypotheses of your own: a small YAML file about the rows of runs.

A file names a family and its members. Each member says which study's rows it reads, which column is
measured, which rows count, and what the mean is compared with:

    family: small referents
    hypotheses:
      - id: small
        statement: The reversal is stronger on small referents than on large ones.
        study: reversal
        measure: ri
        where: {control: none, probe: released, layer: -2, sim: dot, text_mode: template}
        groups:
          small: {area_frac: {max: 0.02}}
          large: {area_frac: {min: 0.1}}
        null: 0.0
        margin: 0.05

``change`` names two conditions, such as two methods: what is judged is the measure under the first
minus the same under the second, expression by expression. ``groups`` names two sets of expressions:
what is judged is the mean of the first minus that of the second. Both together judge whether the
change differs between the groups. ``studies.own_hypotheses`` judges them.
"""

from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import yaml
from pydantic import (
    BeforeValidator,
    Field,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)
from yaml.composer import ComposerError
from yaml.constructor import ConstructorError

from litelvlm.analysis.runs.config import problems_of
from litelvlm.analysis.runs.outcome import Frozen

Scalar = str | bool | int | float
MAX_BYTES, MAX_DEPTH = 1_000_000, 20
"""Of a file of hypotheses."""
NUMBERS = (":int", ":float")
"""Ends of the tags of numbers."""


def _no_truth_value(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError(f"a number is needed, got {value}")
    return value


Word = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
End = Annotated[float, BeforeValidator(_no_truth_value)]
Number = Annotated[End, Field(allow_inf_nan=False)]


class Range(Frozen):
    """Numbers from ``min`` to ``max``, both included."""

    min: End = -np.inf
    max: End = np.inf

    @model_validator(mode="after")
    def _ordered(self) -> "Range":
        if not self.min <= self.max:  # not a number is in no order
            raise ValueError(f"no number lies between {self.min} and {self.max}")
        return self


RowFilter = dict[str, Scalar | tuple[Scalar, ...] | Range]
"""Columns and what they must hold: one value, one of several, or a range."""


class Hypothesis(Frozen):
    """One member of a family.

    Attributes:
        id: Short name, unique in the family.
        statement: What is claimed, as a full sentence.
        study: Whose rows it reads.
        measure: Column that is averaged over expressions.
        where: Rows that count.
        change: None, or two conditions by name: the first minus the second, pair by pair.
        groups: None, or two sets of expressions by name: the first minus the second is judged.
        levels: Whether the groups are compared under one method on purpose. What sets them apart
            may have nothing to do with that method, so such a comparison must be asked for.
        null: Value that the mean or difference must exceed.
        margin: Differences from the null below it count as none; None settles nothing.
    """

    id: Word
    statement: Word
    study: str
    measure: str
    where: RowFilter = Field(default_factory=dict)
    change: dict[str, RowFilter] = Field(default_factory=dict)
    groups: dict[str, RowFilter] = Field(default_factory=dict)
    levels: bool = False
    null: Number = 0.0
    margin: Annotated[Number, Field(gt=0)] | None = None

    @field_validator("change", "groups")
    @classmethod
    def _two(  # type: ignore[explicit-any]  # pydantic's type of info is unknown at run time
        cls, value: dict[str, RowFilter], info: Any
    ) -> dict[str, RowFilter]:
        if len(value) not in (0, 2):
            kind = "condition" if info.field_name == "change" else "group"
            raise ValueError(f"no {kind} or two are needed, got {len(value)}")
        return value

    @model_validator(mode="after")
    def _levels_of_groups(self) -> "Hypothesis":
        if self.levels and (self.change or not self.groups):
            raise ValueError("levels compares groups without change; leave it out")
        return self


class HypothesisFamily(Frozen):
    """Hypotheses whose p-values are adjusted together.

    Attributes:
        family: Name.
        hypotheses: Members, in the order of the file.
    """

    family: Word
    hypotheses: tuple[Hypothesis, ...] = Field(min_length=1)

    @field_validator("hypotheses")
    @classmethod
    def _distinct(cls, value: tuple[Hypothesis, ...]) -> tuple[Hypothesis, ...]:
        ids = Counter(one.id for one in value)
        twice = sorted(id for id, count in ids.items() if count > 1)
        if twice:
            raise ValueError(f"ids occur twice: {', '.join(twice)}")
        return value


def read_family(path: str | Path) -> HypothesisFamily:
    """Read a file of hypotheses.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If it is no YAML in UTF-8, too large or nested too deeply, holds an alias or a
            key twice, or a field is missing, unknown or refused.
    """
    path = Path(path)
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ValueError(f"it has more than {MAX_BYTES:,} bytes, which no family needs")
        loaded: object = _PlainLoader(path.read_text(encoding="utf-8")).get_single_data()
        return HypothesisFamily.model_validate(_named(loaded))
    except yaml.YAMLError as error:
        raise ValueError(f"{path} is not a YAML file of hypotheses: {error}") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not a text in UTF-8: {error}") from error
    except ValidationError as error:
        raise ValueError(f"{path}: {problems_of(error)}") from error
    except ValueError as error:  # a date or a number that there is not
        raise ValueError(f"{path}: {error}") from error


class _PlainLoader(yaml.SafeLoader):
    """Plain values only: no value stands for another, no key twice, no endless nesting."""

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """One value, with its place in the file where it is refused."""
        mark: yaml.Mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
        if self.check_event(yaml.AliasEvent):
            raise ComposerError(None, None, "an alias (*name) is not read: repeat the value", mark)
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise ComposerError(None, None, f"values are nested more than {MAX_DEPTH} deep", mark)
        node = super().compose_node(parent, index)
        if isinstance(node, yaml.ScalarNode) and ":" in node.value and node.tag.endswith(NUMBERS):
            told = f"YAML counts {node.value!r} in sixties; write a plain number, or quote a text"
            raise ComposerError(None, None, told, mark)
        self.depth -= 1
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[object, object]:
        """A mapping whose keys are all different."""
        names = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        twice = [name for name, count in Counter(names).items() if count > 1]
        if twice:
            told = f"the key {twice[0]!r} stands twice, and only one would count"
            raise ConstructorError(None, None, told, node.start_mark)
        made: dict[object, object] = super().construct_mapping(node, deep)
        if len({"null" if name is None else name for name in made}) < len(node.value):
            told = "two keys of one mapping mean the same, and only one would count"
            raise ConstructorError(None, None, told, node.start_mark)
        return made


def _named(value: object) -> object:
    """The same with the word null as a key: YAML reads it as nothing."""
    if isinstance(value, dict):
        return {"null" if key is None else key: _named(entry) for key, entry in value.items()}
    return [_named(entry) for entry in value] if isinstance(value, list) else value
