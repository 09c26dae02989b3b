"""Hypotheses of your own, judged on saved rows like the built-in claims.

Intervals resample images, and reach over categories where rows state them. Members that are not
tested count with p = 1, so leaving one out never helps another.
"""

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
import pandas as pd
from jaxtyping import Float
from pandas.api.types import is_bool_dtype

from litelvlm.analysis.runs.claims import Claim, effect_claim
from litelvlm.analysis.runs.hypotheses import Hypothesis, HypothesisFamily
from litelvlm.analysis.runs.means import drawn
from litelvlm.analysis.runs.verdicts import NOT_TESTED, family_table
from litelvlm.analysis.stats.bootstrap import Bootstrap, bootstrap
from litelvlm.analysis.stats.crossed import (
    Crossed,
    crossed_mean,
    difference_of,
)
from litelvlm.analysis.stats.ends import OPEN, SHARE, Ends
from litelvlm.analysis.stats.lines import categories_of
from litelvlm.analysis.studies import EVERY_STUDY
from litelvlm.analysis.studies.chosen_rows import ChosenRows
from litelvlm.analysis.studies.table import get_study
from litelvlm.arrays import Array
from litelvlm.data.dataset import IMAGES
from litelvlm.names import check_name


def judge(
    family: HypothesisFamily,
    rows: Mapping[str, pd.DataFrame],
    units: Mapping[str, str] = MappingProxyType({}),
) -> tuple[list[Claim], pd.DataFrame]:
    """Claims of the hypotheses whose study has rows, and the family after Holm's adjustment.

    Args:
        family: As read from a file.
        rows: By study.
        units: What intervals resample, "images" or "clips", by study; images if left out.

    Returns:
        The claims, and one line for each member: id, statement, estimate, low, high (the widest
        interval), null, n_images, n, p (one-sided), p_holm, alone and verdict, as in
        ``verdicts.family_table``.

    Raises:
        ValueError: As ``claim_of``, or if a study is neither of the table nor of ``rows``.
    """
    for one in family.hypotheses:
        check_name(one.study, [*EVERY_STUDY, *rows], f"study of hypothesis {one.id!r}:")
    claims = {
        one.id: claim_of(one, rows[one.study]).resampling(units.get(one.study, IMAGES))
        for one in family.hypotheses
        if one.study in rows
    }
    statements = {one.id: one.statement for one in family.hypotheses}
    return list(claims.values()), family_table(statements, claims, lambda claim: claim.p_claimed)


def claim_of(one: Hypothesis, rows: pd.DataFrame) -> Claim:
    """One hypothesis on the rows of its study.

    Raises:
        ValueError: As ``ChosenRows.parts``.
    """
    columns = get_study(one.study).columns if one.study in EVERY_STUDY else ()
    chosen = ChosenRows(one, rows.reset_index(drop=True), columns)
    first, *others = chosen.parts
    result, crossed = (
        difference(first, others[0], one.measure, chosen.ends)
        if others
        else drawn(first[one.measure], first, chosen.ends, is_bool_dtype(rows[one.measure]))
    )
    return effect_claim(
        one.id,
        one.statement,
        result,
        f"{chosen.measured}; the value that must be exceeded",
        chosen.excluded,
        margin=one.margin if one.margin is not None else float("nan"),
        crossed=crossed,
        null=one.null,
    )


def difference(
    first: pd.DataFrame, second: pd.DataFrame, measure: str, ends: Ends
) -> tuple[Bootstrap, Crossed]:
    """Mean of the first less that of the second, whose expressions are others.

    Images are resampled together, since both may lie in one. The group with fewer images limits
    what the interval is worth, and so it is counted; of categories likewise.
    """
    both = pd.concat([first, second])
    sides = np.repeat(np.eye(2), [len(first), len(second)], axis=0)
    numbers, images = both[measure].to_numpy(dtype=np.float64), both["image_id"].to_numpy()

    def statistic(sums: Float[Array, "b c"]) -> Float[Array, "b k"]:
        tops, counts = sums[:, :2], sums[:, 2:]
        means = np.divide(tops, counts, out=np.full_like(tops, np.nan), where=counts > 0)
        value: Array = means[:, :1] - means[:, 1:]
        return value

    columns = np.column_stack([numbers[:, None] * sides, sides])
    yes_no = is_bool_dtype(both[measure])
    result = bootstrap(columns, images, statistic, reach=ends)._replace(yes_no=yes_no)
    one, other = (
        crossed_mean(
            part[measure].to_numpy(dtype=np.float64),
            part["image_id"].to_numpy(),
            categories_of(part),
            SHARE if yes_no else OPEN,
        )
        for part in (first, second)
    )
    fewest = min(one.n_images, other.n_images)
    both_sides = np.isfinite(result.draws[:, 0])  # a resample may hold no expression of one side
    draws = result.draws[both_sides] if fewest > 1 else result.draws[:0]
    return result._replace(draws=draws, n_images=fewest), difference_of(one, other, ends)


def family_text(family: HypothesisFamily, table: pd.DataFrame) -> str:
    """The family after adjustment, as lines of a terminal."""
    lines = [f"family {family.family}, one-sided p-values adjusted together by Holm's method\n"]
    for line in table.to_dict("records"):
        p = "" if line["alone"] == NOT_TESTED else f", adjusted one-sided p {line['p_holm']:.3g}"
        lines.append(
            f"  {line['id']}  {str(line['verdict']).upper()} (alone: {line['alone']}){p}: "
            f"{line['statement']}\n"
        )
    return "".join(lines)
