"""Which rows a hypothesis of one's own compares; forms that cannot mean what they say are refused.

A column of rows says under which condition a row was measured (``Column.ends`` is ``CONDITION``),
or describes the expression, or holds what was measured. Conditions are compared on the same
expressions (``change``), expressions under the same conditions (``groups``), and no mean mixes
either.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from litelvlm.analysis.runs.columns import CONDITION, Column, find_column
from litelvlm.analysis.runs.hypotheses import Hypothesis, Range, RowFilter
from litelvlm.analysis.stats.ends import OPEN, SHARE, Ends

PLACES = ("image_id", "sent_id", "question_id", "category_id", "ref_id", "ann_id")
"""Columns that name things; a mean of them says nothing."""
SHOWN = 5
"""Values of a column that a message names."""


@dataclass(frozen=True)
class ChosenRows:
    """The rows of a study that one hypothesis compares.

    Attributes:
        one: The hypothesis.
        rows: Of its study.
        columns: What the rows of that study may hold.
    """

    one: Hypothesis
    rows: pd.DataFrame
    columns: Sequence[Column]

    @cached_property
    def parts(self) -> tuple[pd.DataFrame, ...]:
        """The measure, image_id and category_id by expression: one table, or one for each group.

        With a change the measure is the difference of its two conditions.

        Raises:
            ValueError: If the hypothesis asks for what the rows do not hold, or its form mixes
                conditions, pairs what is no pair, or compares expressions that it says are others.
        """
        self._check_names()
        self._check_measure()
        self._check_form()
        values = self._picked(self._values)
        self._check_null()
        parts = tuple(self._select(values, *group) for group in self.groups.items()) or (values,)
        if len(parts) == 2 and (both := len(parts[0].index.intersection(parts[1].index))):
            raise self._refusal(
                f"{both} expressions are in both groups, which therefore cannot be told apart; "
                "move one end of a range, or compare conditions with change"
            )
        kept = [name for name in ("image_id", "category_id", self.one.measure) if name in values]
        return tuple(part[kept] for part in parts)

    @cached_property
    def excluded(self) -> Mapping[str, int]:
        """How many expressions that were asked for have no value, by reason."""
        asked = {
            unit
            for _, side in self._sides
            for group in self.groups.values() or [{}]
            for unit in self._picked(self._select(side, "", group))[self._unit]
        }
        missing = len(asked) - sum(map(len, self.parts))
        return {f"without a value{' under both conditions' if self.change else ''}": missing}

    @property
    def measured(self) -> str:
        """What the number is, in words."""
        told, names = f"mean {self.one.measure}", list(self.groups)
        if self.change:
            told += f" under {' minus the same under '.join(self.change)}"
        return f"({told}) of {names[0]} minus that of {names[1]}" if names else told

    @property
    def ends(self) -> Ends:
        """The least and the largest number that there can be."""
        column = find_column(self.one.measure, self.columns)
        low, high = OPEN if column is None or column.ends is None else column.ends
        if self.rows[self.one.measure].dtype == bool:
            low, high = SHARE
        for compared in (self.change, self.groups):
            low, high = (low - high, high - low) if compared else (low, high)
        return low, high

    @property
    def change(self) -> dict[str, RowFilter]:
        """The two conditions; groups that conditions alone tell apart are such a change."""
        return self.one.groups if self._groups_are_conditions else self.one.change

    @property
    def groups(self) -> dict[str, RowFilter]:
        """The two sets of expressions."""
        return {} if self._groups_are_conditions else self.one.groups

    @property
    def _groups_are_conditions(self) -> bool:
        named = {name for wanted in self.one.groups.values() for name in wanted}
        return bool(named) and not self.one.change and named <= self._conditions

    @cached_property
    def _conditions(self) -> set[str]:
        return {column.name for column in self.columns if column.ends is CONDITION}

    @cached_property
    def _unit(self) -> str:
        found = next((name for name in ("sent_id", "question_id") if name in self.rows), None)
        if found is None or "image_id" not in self.rows:
            raise self._refusal(
                f"the rows of {self.one.study} are not about expressions of images, which is what "
                "intervals resample; use its own claims"
            )
        return found

    @cached_property
    def _sides(self) -> list[tuple[str, pd.DataFrame]]:
        """Rows under the one condition, or under either of the two, whatever the expression."""
        fixed = {k: v for k, v in self.one.where.items() if k in self._conditions}
        rows = self._select(self.rows, "where", fixed)
        sides = [
            (name, self._select(rows, name, wanted))
            for name, wanted in (self.change or {"where": {}}).items()
        ]
        if self.change and sides[0][1].index.equals(sides[1][1].index):
            raise self._refusal(
                f"{' and '.join(self.change)} are the same rows; change compares two"
            )
        return sides

    @cached_property
    def _values(self) -> pd.DataFrame:
        """One row for each expression with a value."""
        first, *others = (self._by_expression(name, side) for name, side in self._sides)
        if not others:
            return first
        (second,) = others
        shared = first.index.intersection(second.index)
        if shared.empty:
            raise self._refusal(
                f"no expression has a value under {' and under '.join(self.change)}, and change "
                "compares the same expressions; name conditions there, and expressions in groups"
            )
        first, second = first.loc[shared], second.loc[shared]
        if not first["image_id"].equals(second["image_id"]):
            raise self._refusal(
                f"an expression of one number is about another image under "
                f"{' and under '.join(self.change)}, so the two are no pair; give the expressions "
                f"of each split numbers of their own in {self._unit}"
            )
        for name in self._describing:
            if not first[name].equals(second[name]):
                raise self._refusal(
                    f"{name!r} is not the same for an expression under "
                    f"{' and under '.join(self.change)}, so rows picked by it are picked by their "
                    "own outcome; pick by a column that describes the expression"
                )
        measure = self.one.measure
        return first.assign(**{measure: first[measure] - second[measure]})

    @property
    def _describing(self) -> set[str]:
        """Columns beside the conditions by which expressions are picked."""
        named = {*self.one.where, *(name for wanted in self.groups.values() for name in wanted)}
        return named - self._conditions

    def _picked(self, rows: pd.DataFrame) -> pd.DataFrame:
        wanted = {k: v for k, v in self.one.where.items() if k not in self._conditions}
        return self._select(rows, "where", wanted)

    def _by_expression(self, place: str, rows: pd.DataFrame) -> pd.DataFrame:
        known = rows.dropna(subset=self.one.measure)
        if known.empty:
            raise self._refusal(f"no row with a value is left in {place}; ask for less")
        twice = known[self._unit].duplicated(keep=False)
        for name in sorted(self._conditions & set(known)):
            values = known[name].drop_duplicates()
            if len(values) > 1:
                again = ", so that an expression occurs twice" if twice.any() else ""
                first = values.iloc[:1].tolist()[0]
                raise self._refusal(
                    f"{place} leaves {len(values)} values of {name!r} ({_listed(values)}){again}; "
                    f"a mean must not mix them: add {name}: {first} to where, or compare two of "
                    "them with change"
                )
        copies = known[twice].groupby(self._unit)
        unmarked = [name for name in sorted(self._describing) if (copies[name].nunique() > 1).any()]
        if unmarked:
            raise self._refusal(
                f"an expression occurs twice in {place}, with other values of {unmarked[0]!r}, "
                f"which {self.one.study} does not mark as CONDITION; mark it in its columns"
            )
        if twice.any():
            raise self._refusal(
                f"an expression occurs twice in {place}; name more columns, until one row of each "
                "expression is left"
            )
        return known.set_index(self._unit).astype({self.one.measure: float})

    def _select(self, rows: pd.DataFrame, place: str, wanted: RowFilter) -> pd.DataFrame:
        for column, value in wanted.items():
            if isinstance(value, Range):
                if not pd.api.types.is_numeric_dtype(rows[column]):
                    raise self._refusal(
                        f"{place} gives a range of {column!r}, which holds texts: "
                        f"{_listed(rows[column])}; name those"
                    )
                found = rows[rows[column].between(value.min, value.max)]
            else:
                found = rows[rows[column].isin(value if isinstance(value, tuple) else [value])]
            if found.empty:
                raise self._refusal(
                    f"no row with a value is left in {place}: none has the {column} that it asks "
                    f"for; there are {_listed(rows[column])}"
                )
            rows = found
        return rows

    def _check_names(self) -> None:
        """Refuse columns that the rows do not hold."""
        named = {"where": self.one.where, **self.one.change, **self.one.groups}
        for place, wanted in named.items():
            for column in wanted:
                if column not in self.rows:
                    raise self._refusal(
                        f"{place} names the column {column!r}, which the rows of {self.one.study} "
                        f"lack; `litelvlm ls columns {self.one.study}` lists them"
                    )

    def _check_measure(self) -> None:
        """Refuse a measure whose mean says nothing."""
        study, measure = self.one.study, self.one.measure
        if measure in PLACES:
            raise self._refusal(
                f"{measure!r} numbers things, and the mean of such numbers says nothing; measure "
                "another column"
            )
        if measure not in self.rows or not pd.api.types.is_numeric_dtype(self.rows[measure]):
            raise self._refusal(
                f"the measure {measure!r} is not a column of numbers in the rows of {study}; "
                f"`litelvlm ls columns {study}` lists them"
            )
        if measure in self._conditions:
            raise self._refusal(
                f"{measure!r} says under which condition a row was measured, and its mean says "
                "nothing; measure another column"
            )

    def _check_form(self) -> None:
        """Refuse a comparison that says something else than it seems to."""
        described = {column.name for column in self.columns} - self._conditions
        asked = {name for wanted in self.change.values() for name in wanted}
        if found := sorted(described & asked):
            raise self._refusal(
                f"change names {', '.join(found)}, which says nothing of how a row was measured, "
                "so each side would pick expressions of its own, perhaps by their outcome; name "
                "conditions in change, and pick expressions in where or groups"
            )
        mixed = self._conditions & {name for wanted in self.groups.values() for name in wanted}
        if mixed:
            raise self._refusal(
                f"groups are sets of expressions, and {', '.join(sorted(mixed))} says how a row "
                "was measured; compare that with change, beside the groups"
            )
        alone = self.groups and not (self.change or self.one.levels)
        if alone and "method" in self._conditions:
            raise self._refusal(
                f"{self.one.measure} may differ between the groups without any pruning, since they "
                "hold other expressions; to claim what a method changes, add change with two "
                "conditions, such as {pruned: {method: litelvlm, budget: 48}, unpruned: {method: "
                "none}}; to compare the groups under one method on purpose, add levels: true"
            )

    def _check_null(self) -> None:
        """Refuse a null that the measure can never reach, or always exceeds."""
        low, high = self.ends
        if not low < self.one.null < high:
            raise self._refusal(
                f"{self.measured} lies between {low:g} and {high:g} whatever the rows say, so "
                f"that exceeding {self.one.null:g} is no question; state another null"
            )

    def _refusal(self, told: str) -> ValueError:
        return ValueError(f"{self.one.id}: {told}")


def _listed(values: "pd.Series[str]") -> str:
    """The first different values, in words."""
    known = values.drop_duplicates().tolist()
    more = f" and {len(known) - SHOWN} more" if len(known) > SHOWN else ""
    return ", ".join(map(repr, known[:SHOWN])) + more
