"""Hypotheses of your own: a small YAML file, judged on saved rows like the built-in claims.

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

Without groups the mean of the measure is judged; with two groups, the first minus the second. Where
both groups hold the same expressions the difference is paired. Intervals resample images, and reach
over categories where rows state them. Members that are not tested count with p = 1, so leaving one
out never helps another.
"""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from jaxtyping import Float, Shaped
from pydantic import Field, ValidationError, field_validator, model_validator
from yaml.composer import ComposerError
from yaml.constructor import ConstructorError

from litelvlm.analysis.runs.claims import Claim, effect_claim
from litelvlm.analysis.runs.config import problems_of
from litelvlm.analysis.runs.means import drawn
from litelvlm.analysis.runs.outcome import Frozen
from litelvlm.analysis.runs.verdicts import NOT_TESTED, family_table
from litelvlm.analysis.stats.bootstrap import Bootstrap, bootstrap
from litelvlm.analysis.stats.crossed import Crossed, crossed_mean
from litelvlm.analysis.stats.lines import categories_of
from litelvlm.arrays import Array

Scalar = str | bool | int | float
MAX_BYTES, MAX_DEPTH = 1_000_000, 20
"""Of a file of hypotheses."""
PLACES = ("image_id", "sent_id", "category_id", "ref_id", "ann_id")
"""Columns that name things; a mean of them says nothing."""


class Range(Frozen):
    """Numbers from ``min`` to ``max``, both included."""

    min: float = -np.inf
    max: float = np.inf

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
        groups: None, or two by name: the first minus the second is judged.
        null: Value that the mean or difference must exceed.
        margin: Differences from the null below it count as none; None settles nothing.
    """

    id: str
    statement: str
    study: str
    measure: str
    where: RowFilter = Field(default_factory=dict)
    groups: dict[str, RowFilter] = Field(default_factory=dict)
    null: float = Field(default=0.0, allow_inf_nan=False)
    margin: float | None = Field(default=None, gt=0, allow_inf_nan=False)

    @field_validator("groups")
    @classmethod
    def _two(cls, value: dict[str, RowFilter]) -> dict[str, RowFilter]:
        if len(value) not in (0, 2):
            raise ValueError(f"no group or two are needed, got {len(value)}")
        return value


class HypothesisFamily(Frozen):
    """Hypotheses whose p-values are adjusted together.

    Attributes:
        family: Name.
        hypotheses: Members, in the order of the file.
    """

    family: str
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
            raise ValueError(f"{path} has more than {MAX_BYTES:,} bytes, which no family needs")
        loaded: object = _PlainLoader(path.read_text(encoding="utf-8")).get_single_data()
        return HypothesisFamily.model_validate(_named(loaded))
    except yaml.YAMLError as error:
        raise ValueError(f"{path} is not a YAML file of hypotheses: {error}") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not a text in UTF-8: {error}") from error
    except ValidationError as error:
        raise ValueError(f"{path}: {problems_of(error)}") from error


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
        return made


def _named(value: object) -> object:
    """The same with the word null as a key: YAML reads it as nothing."""
    if isinstance(value, dict):
        return {"null" if key is None else key: _named(entry) for key, entry in value.items()}
    return [_named(entry) for entry in value] if isinstance(value, list) else value


def judge(
    family: HypothesisFamily, rows: Mapping[str, pd.DataFrame]
) -> tuple[list[Claim], pd.DataFrame]:
    """Claims of the hypotheses whose study has rows, and the family after Holm's adjustment.

    Args:
        family: As read from a file.
        rows: By study.

    Returns:
        The claims, and one line for each member: id, statement, estimate, low, high (the widest
        interval), null, n_images, n, p (one-sided), p_holm, alone and verdict, as in
        ``verdicts.family_table``.

    Raises:
        ValueError: If a column does not exist or holds no number, no row is left, or an expression
            occurs twice in a group.
    """
    claims = {
        one.id: claim_of(one, rows[one.study]) for one in family.hypotheses if one.study in rows
    }
    statements = {one.id: one.statement for one in family.hypotheses}
    return list(claims.values()), family_table(statements, claims, lambda claim: claim.p_claimed)


def claim_of(one: Hypothesis, rows: pd.DataFrame) -> Claim:
    """One hypothesis on the rows of its study.

    Raises:
        ValueError: As ``judge``.
    """
    chosen = _select(one, rows, one.where, "where")
    margin = one.margin if one.margin is not None else float("nan")
    if not one.groups:
        values = _values(one, chosen, "where")
        result, crossed = drawn(values[one.measure], values)
        meaning = "the value that must be exceeded"
    else:
        (first, a), (second, b) = (
            (name, _values(one, _select(one, chosen, wanted, name), name))
            for name, wanted in one.groups.items()
        )
        shared = a.index.intersection(b.index)
        if len(shared) == len(a) == len(b):
            result, crossed = drawn(a[one.measure] - b[one.measure].reindex(a.index), a)
        else:
            result, crossed = _difference(a, b, one.measure)
        meaning = f"{first} minus {second}; the value that must be exceeded"
    return effect_claim(
        one.id, one.statement, result, meaning, margin=margin, crossed=crossed, null=one.null
    )


def _select(one: Hypothesis, rows: pd.DataFrame, wanted: RowFilter, name: str) -> pd.DataFrame:
    for column, value in wanted.items():
        if column not in rows:
            raise ValueError(
                f"{one.id}: {name} names the column {column!r}, which the rows of {one.study} "
                f"lack; `litelvlm ls columns {one.study}` lists them"
            )
        if isinstance(value, Range):
            if not pd.api.types.is_numeric_dtype(rows[column]):
                raise ValueError(
                    f"{one.id}: {name} gives a range of {column!r}, which holds texts: "
                    f"{', '.join(map(repr, rows[column].drop_duplicates()[:5]))}; name those"
                )
            rows = rows[rows[column].between(value.min, value.max)]
        else:
            rows = rows[rows[column].isin(value if isinstance(value, tuple) else [value])]
    return rows


def _values(one: Hypothesis, rows: pd.DataFrame, name: str) -> pd.DataFrame:
    """Measure, image and category by expression; expressions without a value are left out."""
    if one.measure in PLACES:
        raise ValueError(
            f"{one.id}: {one.measure!r} numbers things, and the mean of such numbers says nothing; "
            "measure another column"
        )
    if one.measure not in rows or not pd.api.types.is_numeric_dtype(rows[one.measure]):
        raise ValueError(
            f"{one.id}: the measure {one.measure!r} is not a column of numbers in the rows "
            f"of {one.study}; `litelvlm ls columns {one.study}` lists them"
        )
    known = rows.dropna(subset=one.measure)
    if known.empty:
        raise ValueError(f"{one.id}: no row with a value is left in {name}; ask for less")
    if known["sent_id"].duplicated().any():
        raise ValueError(
            f"{one.id}: an expression occurs twice in {name}; name more columns, until one row of "
            "each expression is left"
        )
    kept = [name for name in ("image_id", "category_id", one.measure) if name in known]
    return known.set_index("sent_id")[kept]


def _difference(
    first: pd.DataFrame, second: pd.DataFrame, measure: str
) -> tuple[Bootstrap, Crossed]:
    """Mean of the first less that of the second, whose expressions are others."""
    both = pd.concat([first, second])
    sides = np.repeat(np.eye(2), [len(first), len(second)], axis=0)
    numbers, images = both[measure].to_numpy(dtype=np.float64), both["image_id"].to_numpy()

    def difference(sums: Float[Array, "b c"]) -> Float[Array, "b k"]:
        counts = np.maximum(sums[:, 2:], 1e-300)  # a resample without a side has a mean of 0 there
        means = sums[:, :2] / counts
        value: Array = means[:, :1] - means[:, 1:]
        return value

    result = bootstrap(np.column_stack([numbers[:, None] * sides, sides]), images, difference)
    crossed = crossed_mean(_linear(numbers, sides), images, categories_of(both))
    return result, crossed


def _linear(numbers: Float[Array, "n"], sides: Shaped[Array, "n 2"]) -> Float[Array, "n"]:
    """Values whose mean is the difference of the two sides' means, and whose spread is its own."""
    counts = sides.sum(0)
    means = (numbers[:, None] * sides).sum(0) / counts
    rest = (numbers[:, None] - means) * sides * (len(numbers) / counts)
    found: Array = means[0] - means[1] + rest[:, 0] - rest[:, 1]
    return found


def family_text(family: HypothesisFamily, table: pd.DataFrame) -> str:
    """The family after adjustment, as lines of a terminal."""
    lines = [f"family {family.family}, p-values adjusted together by Holm's method\n"]
    for line in table.to_dict("records"):
        p = "" if line["alone"] == NOT_TESTED else f", adjusted p {line['p_holm']:.3g}"
        lines.append(
            f"  {line['id']}  {str(line['verdict']).upper()} (alone: {line['alone']}){p}: "
            f"{line['statement']}\n"
        )
    return "".join(lines)
