"""One split of a table whose run is finished."""

from dataclasses import dataclass

from litelvlm.analysis.inputs.balanced import BalancedSubset
from litelvlm.analysis.reproduce.settings import Place
from litelvlm.analysis.runs.miniature import is_miniature
from litelvlm.analysis.runs.saved import SavedRun
from litelvlm.data.refer import ReferDataset


@dataclass(frozen=True)
class FinishedSplit:
    """One split whose run is finished.

    Attributes:
        place: Data set and split of the published column.
        run: The finished run.
        n_tokens: Visual tokens of the model before pruning.
        data: The whole split.
        part: The balanced part that was asked; None if the whole split was.
    """

    place: Place
    run: SavedRun
    n_tokens: int
    data: ReferDataset
    part: BalancedSubset | None = None

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
        pixels = self.run.rows.groupby("image_id")["union_px"].sum()
        heaviest = f"the heaviest image holds {pixels.max() / pixels.sum():.0%}"
        return f"{self.part.text}; {heaviest} of the pixels counted"
