"""How a study makes its rows: what ``prepare`` hands to the engine."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from litelvlm.analysis.runs.outcome import Exclusion
from litelvlm.data.dataset import Dataset
from litelvlm.pruning import Pruner


class ItemResult(NamedTuple):
    """Rows of one image.

    Attributes:
        rows: Plain values by column.
        skipped: The reason for each of its expressions that was left out on purpose.
        notes: What else the record should say.
    """

    rows: Sequence[Mapping[str, object]]
    skipped: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Work:
    """How a study makes its rows, with model, data and configuration at hand.

    Attributes:
        data: The images whose rows are made: the whole split, or those that the study chose; None
            where ``sizes`` says all there is to know of them.
        begin: From the index of an image to the function that computes its rows. ``begin`` runs
            ahead in a thread of its own, so it reads files and must not touch the model.
        sizes: Samples of each image, for progress and counts; None counts its expressions.
        resolved: Fields of the configuration whose value depends on the model, as used.
        methods: Pruning methods in use: their code is part of the run's key.
        excluded: Methods that cannot keep to a budget and have no rows there.
        notes: What else a reader of the rows should know.
        protocol: How expressions are put into conversations (``litelvlm.analysis.runs.protocols``).
    """

    data: Dataset | None
    begin: Callable[[int], Callable[[], ItemResult]]
    sizes: Sequence[int] | None = None
    resolved: Mapping[str, object] | None = None
    methods: tuple[Pruner, ...] = ()
    excluded: tuple[Exclusion, ...] = ()
    notes: tuple[str, ...] = ()
    protocol: str = "single"

    def __post_init__(self) -> None:
        if self.data is None and self.sizes is None:
            raise ValueError("data and sizes are both missing; give one, so that parts can be made")

    def samples(self) -> tuple[Sequence[int], Sequence[int] | None]:
        """Samples of each image, and the ids of the images where these are known."""
        if self.sizes is not None or self.data is None:
            return self.sizes or (), None
        images = [self.data[index] for index in range(len(self.data))]
        return [len(one.expressions) for one in images], [one.image_id for one in images]
