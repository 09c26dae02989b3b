"""The columns of a study's rows: one typed table per study, which every row is held to."""

import re
from collections.abc import Iterable, Mapping, Sequence
from numbers import Integral, Real
from typing import NamedTuple

from litelvlm.analysis.stats.ends import OPEN, POSITIVE, SHARE, Ends

Row = dict[str, object]
"""One row of a study: a value for each column."""
CONDITION = None
"""In place of the ends: the column says under which condition, such as a method, a row was
measured. An expression has rows under several conditions, and no mean may mix them."""


class Column(NamedTuple):
    """One column.

    Attributes:
        name: As in the rows. A word in braces stands for a family of columns: ``jaccard_{budget}``
            describes ``jaccard_48`` and ``jaccard_8``.
        kind: bool, int, float or str. Every column may also hold None, for "does not apply".
        meaning: One sentence with unit and range.
        ends: Values that can be, or ``CONDITION``.
    """

    name: str
    kind: type
    meaning: str
    ends: Ends | None = OPEN

    def fits(self, value: object) -> bool:
        """Whether this column may hold a value."""
        if value is None:
            return True
        if self.kind is bool or isinstance(value, bool):
            return self.kind is bool and isinstance(value, bool)
        wanted = {int: Integral, float: Real}.get(self.kind, self.kind)
        return isinstance(value, wanted)


def check_rows(rows: Iterable[Mapping[str, object]], columns: Sequence[Column]) -> None:
    """Refuse a row that its study's table does not describe.

    Raises:
        TypeError: If a row has an unknown column, or a value of another type.

    Example:
        >>> check_rows([{"layer": 3}], [Column("layer", int, "Block, from 0.")])
    """
    known: dict[str, Column] = {}
    fitting = set[tuple[str, type]]()  # whether a value fits is a matter of its type alone
    for row in rows:
        if fitting.issuperset(zip(row, map(type, row.values()), strict=True)):
            continue
        for name, value in row.items():
            if name not in known:
                known[name] = _described(name, columns)
            if not known[name].fits(value):
                raise TypeError(
                    f"column {name!r} has {value!r}, expected {known[name].kind.__name__}; "
                    "change the value, or the table of columns of this study"
                )
            fitting.add((name, type(value)))


def find_column(name: str, columns: Iterable[Column]) -> Column | None:
    """The column of that name, or the family to which it belongs; None if there is none."""
    for column in columns:
        pattern = re.sub(r"\\\{\w+\\\}", r"\\w+", re.escape(column.name))
        if re.fullmatch(pattern, name):
            return column
    return None


def _described(name: str, columns: Sequence[Column]) -> Column:
    column = find_column(name, columns)
    if column is None:
        raise TypeError(
            f"rows have a column {name!r} that the study's table does not describe; add it there"
        )
    return column


EXPRESSION: tuple[Column, ...] = (
    Column("dataset", str, "Name of the data set."),
    Column("split", str, "Split of the data set."),
    Column("image_id", int, "Image, as the data set numbers it; of stills their clip."),
    Column("frame", int, "Frame of the clip, from 0; none of what is no still of a clip."),
    Column("moment", int, "Place of the frame among all stills of its clip, from 1; likewise."),
    Column("ref_id", int, "Reference: one object that expressions describe."),
    Column("sent_id", int, "Expression."),
    Column("ann_id", int, "First object that the expression means; -1 if it means none."),
    Column("category_id", int, "Category of that object; -1 if the data state none."),
    Column("kind", str, "Kind of expression as the data set states it, or 'unspecified'."),
    Column("n_words", int, "Words of the expression.", POSITIVE),
    Column("area_frac", float, "Share of the image that the target covers, 0 to 1.", SHARE),
    Column("visible_frac", float, "Share of the target that CLIP's crop shows, 0 to 1.", SHARE),
)
"""Columns that name an expression and describe its target."""

LABELS: tuple[Column, ...] = (
    Column("n_in", int, "Tokens inside the target.", POSITIVE),
    Column("tiny", bool, "No token is half inside; the best covered one is taken instead."),
)
"""Columns that say how the target looks on the token grid."""

CATEGORY = Column("category", str, "Name of the referent's category, 'several' or 'not stated'.")

TOWER: tuple[Column, ...] = (
    Column(
        "clip_model", str, "Another CLIP model or substitute; empty: the model's own.", CONDITION
    ),
    CATEGORY,
    Column(
        "n_same_category",
        int,
        "Objects of that category in the image, the referent included.",
        POSITIVE,
    ),
)
"""Columns of studies that read several CLIP models."""
