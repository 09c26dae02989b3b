"""The tables that can be reproduced: what each measures, on which splits, with which methods."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from litelvlm.analysis.reproduce.absent import ABSENT
from litelvlm.analysis.reproduce.kinds.ablation import ABLATION
from litelvlm.analysis.reproduce.kinds.accuracy import ACCURACY
from litelvlm.analysis.reproduce.kinds.costs import COSTS
from litelvlm.analysis.reproduce.kinds.kind import Kind
from litelvlm.analysis.reproduce.settings import Place
from litelvlm.analysis.studies import published
from litelvlm.names import check_name


@dataclass(frozen=True)
class Target:
    """One table.

    Attributes:
        name: As the command takes it.
        title: What it shows.
        kind: The study that makes its rows, and what is particular to it.
        splits: Data set and split of each part.
        methods: Methods beside the unpruned model.
        tokens: Budgets, of 576 visual tokens.
        draws: Draws of the official protocol.
        quick: Images of each split, and draws, of the short form.
        caution: What a reader must know before comparing.
    """

    name: str
    title: str
    kind: Kind
    splits: tuple[Place, ...]
    methods: tuple[str, ...]
    tokens: tuple[int, ...]
    draws: int
    quick: tuple[int, int]
    caution: str


_OURS = ("litelvlm", "vispruner", "visionzip", "fastv", "trim", "uniform")
_ALL = (
    Target(
        "refseg",
        "Referring expression segmentation: cIoU in percent, official protocol",
        ACCURACY,
        published.SPLITS,
        _OURS,
        (192, 128, 64),
        5,
        (100, 2),
        "LLaVA-PruMerge is not in the suite (its PruMerge+ is another method). The rivals' "
        "settings are not published; ours are those of their own papers.",
    ),
    Target(
        "ablation",
        "Parts of the method removed, reversed or replaced: differences of cIoU in points",
        ABLATION,
        (("refcoco", "testA"),),
        (),
        (192, 64),
        5,
        (40, 2),
        "The authors publish no table of these differences, so none stands beside them.",
    ),
    Target(
        "efficiency",
        "Cost by visual tokens: the unpruned model over the method",
        COSTS,
        (("refcoco", "testA"),),
        ("litelvlm", "vispruner", "fastv"),
        (192, 64),
        1,
        (1, 1),
        f"{published.CAUTION} Ratios to the unpruned model are compared, because times of "
        "two machines are not comparable.",
    ),
)
TARGETS: Mapping[str, Target] = MappingProxyType({target.name: target for target in _ALL})
"""The tables by name."""


def get_target(name: str) -> Target:
    """One table by its name.

    Raises:
        ValueError: If there is none, or it is not run; the message says what works instead.
    """
    if name in ABSENT:
        raise ValueError(
            f"the table {name!r} is not run: {ABSENT[name].reason}; {ABSENT[name].instead}; "
            f"these are run: {', '.join(TARGETS)}"
        )
    return TARGETS[check_name(name, TARGETS, "table")]


def parse_splits(given: Sequence[str], target: Target) -> tuple[Place, ...]:
    """Read "dataset/split" names; all of the table if none is given.

    Raises:
        ValueError: If a name is none of the published splits, or stands twice.

    Example:
        >>> parse_splits(["refcoco/testA"], TARGETS["refseg"])
        (('refcoco', 'testA'),)
    """
    if not given:
        return target.splits
    known = [f"{dataset}/{split}" for dataset, split in published.SPLITS]
    for name in given:
        check_name(name, known, "split")
    if len(set(given)) < len(given):
        raise ValueError(f"--splits names a split twice: {', '.join(given)}")
    return tuple(
        place for place, name in zip(published.SPLITS, known, strict=True) if name in given
    )
