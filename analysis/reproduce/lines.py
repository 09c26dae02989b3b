"""Published beside measured: one line, its verdict, and the budgets that correspond."""

import math
from dataclasses import dataclass
from typing import Literal

from scipy import stats

from litelvlm.analysis.inputs.balanced import BalancedSubset
from litelvlm.analysis.inputs.subset import EvenSubset
from litelvlm.analysis.reproduce.settings import Place
from litelvlm.analysis.runs.claims import MIN_IMAGES, Number
from litelvlm.analysis.runs.miniature import is_miniature
from litelvlm.analysis.runs.outcome import Frozen
from litelvlm.analysis.runs.saved import SavedRun
from litelvlm.analysis.studies import published
from litelvlm.data.refer import ReferDataset
from litelvlm.data.video.clips import ClipDataset

REACH = float(stats.norm.ppf(0.975))
"""Standard errors on either side of a number that make its 95 % interval."""
ALL = "all splits"
"""Place of a line over all splits."""
DETECTABLE = REACH + float(stats.norm.ppf(0.8))
"""Standard errors in the smallest difference that is shown with a power of 0.8."""
NOTHING = float("nan")
Agreement = Literal[
    "agrees", "differs", "undetermined", "not comparable", "no published number", "not measured"
]
AGREEMENTS: dict[Agreement, str] = {
    "agrees": "the whole interval of the difference lies within the margin of 0",
    "differs": "the interval of the difference does not hold 0 and reaches beyond the margin",
    "undetermined": "the interval holds 0 and leaves the margin, or under 20 images are scored",
    "not comparable": "the model or the images are not the published ones, or no GPU took the time",
    "no published number": "the authors publish no number for this line",
    "not measured": "the authors publish this line, and nothing was measured beside it",
}


@dataclass(frozen=True)
class FinishedSplit:
    """One split whose run is finished.

    Attributes:
        place: Data set and split of the published column.
        run: The finished run.
        n_tokens: Visual tokens of the model before pruning.
        data: The whole split.
        part: The part that was asked, balanced, or of clips even; None if the whole split was.
    """

    place: Place
    run: SavedRun
    n_tokens: int
    data: ReferDataset | ClipDataset
    part: BalancedSubset | EvenSubset | None = None

    @property
    def name(self) -> str:
        """Data set and split in one word."""
        return "/".join(self.place)

    @property
    def miniature(self) -> bool:
        """Whether the model is a miniature."""
        return is_miniature(self.run.record)

    @property
    def comparable(self) -> bool:
        """Whether model and split are the published ones."""
        same = self.data.name == self.place[0] and not self.data.count_note
        return same and not self.miniature

    @property
    def part_note(self) -> str:
        """What the part is made of, and the weight of one image; empty for a whole split."""
        if self.part is None:
            return ""
        if isinstance(self.part, EvenSubset):
            return f"{len(self.part)} of {len(self.data)} clips, evenly spaced"
        pixels = self.run.rows.groupby("image_id")["union_px"].sum()
        heaviest = f"the heaviest image holds {pixels.max() / pixels.sum():.0%}"
        return f"{self.part.text}; {heaviest} of the pixels counted"


class Line(Frozen):
    """One number of a table.

    Attributes:
        place: Data set and split, or "all splits".
        method: Label of ours, or the published name where the suite has no such method.
        label: Name in the published table; empty if it is not there.
        tokens: Published budget, of 576.
        budget: Tokens that were kept here.
        quantity: What is measured.
        unit: Of published, measured and difference.
        published: As the authors print it; nan if they do not.
        measured: Ours; nan if nothing was measured.
        difference: Measured minus published.
        low: Lower end of its 95 % interval.
        high: Upper end of its 95 % interval.
        tells: Smallest difference that this much data would show with a power of 0.8; nan where
            that is not known.
        margin: Differences below it count as none.
        n_images: Images behind it.
        n: Expressions behind it.
        verdict: What follows.
    """

    place: str
    method: str
    label: str = ""
    tokens: int
    budget: int
    quantity: str
    unit: str
    published: Number = NOTHING
    measured: Number = NOTHING
    difference: Number = NOTHING
    low: Number = NOTHING
    high: Number = NOTHING
    tells: Number = NOTHING
    margin: float
    n_images: int = 0
    n: int = 0
    verdict: Agreement


def verdict_of(
    low: float, high: float, margin: float, n_images: int, comparable: bool = True
) -> Agreement:
    """What an interval of a difference says.

    Args:
        low: Lower end; nan if there is no interval.
        high: Upper end.
        margin: Differences below it count as none.
        n_images: Images behind it; with fewer than 20 nothing follows.
        comparable: Whether model and images are those of the published number.

    Example:
        >>> verdict_of(-0.4, 0.6, 1.0, 750), verdict_of(-3.0, -1.2, 1.0, 750)
        ('agrees', 'differs')
        >>> verdict_of(-3.0, 1.0, 1.0, 750), verdict_of(-0.4, 0.6, 1.0, 12)
        ('undetermined', 'undetermined')
    """
    if not comparable:
        return "not comparable"
    if not (math.isfinite(low) and math.isfinite(high)) or n_images < MIN_IMAGES:
        return "undetermined"
    if -margin <= low and high <= margin:
        return "agrees"
    return "undetermined" if low <= 0 <= high else "differs"


def budget_of(tokens: int, n_tokens: int) -> int:
    """The budget of a model that keeps the share of a published one, of 576 tokens.

    Args:
        tokens: Published budget.
        n_tokens: Visual tokens of the model.

    Example:
        >>> budget_of(192, 576), budget_of(64, 144)
        (192, 16)
    """
    return max(1, n_tokens * tokens // published.N_TOKENS)


def published_tokens(budget: int, n_tokens: int) -> int:
    """The published budget that corresponds to a budget here, by its share of all tokens."""
    known = sorted({tokens for _, tokens in published.ACCURACY} | {published.N_TOKENS})
    for tokens in known:
        if budget_of(tokens, n_tokens) == budget:
            return tokens
    return round(budget * published.N_TOKENS / n_tokens)
