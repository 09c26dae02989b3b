"""Rows of a sweep as arrays: one line per expression, one column per method and budget.

Rows of several seeds are averaged per expression first: their draws are independent between images,
so that resampling images covers the noise of the draw too.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float, Shaped

from litelvlm.arrays import Array

MethodBudget = tuple[str, int]


class Wide(NamedTuple):
    """Rows as arrays: one line per expression (and official draw), one column per cell.

    Attributes:
        cells: Method and budget of each column.
        inter: Intersections in pixels, means over seeds.
        union: Unions in pixels, means over seeds.
        iou: IoU, means over seeds.
        p50: Share of seeds with IoU of at least 0.5.
        image_ids: Image of each line.
        categories: Category of each line's referent; -1 where rows do not say, none if left out.
    """

    cells: tuple[MethodBudget, ...]
    inter: Float[Array, "n c"]
    union: Float[Array, "n c"]
    iou: Float[Array, "n c"]
    p50: Float[Array, "n c"]
    image_ids: Shaped[Array, "n"]
    categories: Shaped[Array, "n"] | None = None

    def column(self, cell: MethodBudget) -> int:
        """Number of a cell's column.

        Raises:
            ValueError: If the sweep has no such cell.
        """
        if cell not in self.cells:
            raise ValueError(
                f"the sweep has no cell {cell}; it has {', '.join(map(str, self.cells))}"
            )
        return self.cells.index(cell)

    def pixels(self, cell: MethodBudget) -> Float[Array, "n 2"]:
        """Intersections and unions of one cell."""
        column = self.column(cell)
        return np.column_stack([self.inter[:, column], self.union[:, column]])


def widen(rows: pd.DataFrame) -> Wide:
    """Bring rows to one line per expression, or per drawn expression in the official protocol.

    Raises:
        ValueError: If an expression lacks a cell that others have, or rows of two protocols are
            mixed.
    """
    measured = rows.assign(p50=(rows["iou"] >= 0.5).astype(np.float64))
    columns = ["inter_px", "union_px", "iou", "p50"]
    means = measured.groupby([*line_columns(rows), "method", "budget"], sort=True)[columns].mean()
    wide = means.unstack(["method", "budget"])
    missing = np.argwhere(wide.isna().to_numpy())
    if len(missing):
        sent_id = wide.index.get_level_values("sent_id")[int(missing[0, 0])]
        raise ValueError(f"expression {sent_id} lacks methods or budgets that others have")
    found = {
        (str(method), int(budget))
        for method, budget in zip(measured["method"], measured["budget"], strict=True)
    }
    cells = sorted(found, key=lambda cell: (cell[0], -cell[1]))
    inter, union, iou, p50 = (wide[name][cells].to_numpy(dtype=np.float64) for name in columns)
    stated = None
    if "category_id" in rows:
        first = rows.groupby(line_columns(rows), sort=True)["category_id"].first()
        stated = first.reindex(wide.index).to_numpy()
    images = wide.index.get_level_values("image_id").to_numpy()
    return Wide(tuple(cells), inter, union, iou, p50, images, stated)


def line_columns(rows: pd.DataFrame) -> list[str]:
    """Columns that tell the lines of a table apart.

    Raises:
        ValueError: If rows of two protocols are mixed.
    """
    return ["image_id", "sent_id", *(["seed"] if protocol_name(rows) == "official" else [])]


def protocol_name(rows: pd.DataFrame) -> str:
    """The protocol of rows; "single" where they do not say.

    Raises:
        ValueError: If rows of two protocols are mixed.
    """
    protocols = sorted(rows["protocol"].unique()) if "protocol" in rows else ["single"]
    if len(protocols) > 1:
        raise ValueError(
            f"rows of protocols {' and '.join(protocols)} are mixed; make a table of each"
        )
    return str(protocols[0])


def budgets_of(cells: Sequence[MethodBudget], method: str) -> list[int]:
    """Budgets of a method, largest first."""
    return sorted((budget for name, budget in cells if name == method), reverse=True)
