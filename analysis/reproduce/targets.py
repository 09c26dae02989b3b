"""The tables that can be reproduced: what each measures, on which splits, with which methods."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from litelvlm.analysis.reproduce.accuracy import accuracy_lines, missing_splits, overall_lines
from litelvlm.analysis.reproduce.costs import ablation_lines, cost_lines
from litelvlm.analysis.reproduce.finished import FinishedSplit
from litelvlm.analysis.reproduce.lines import Line
from litelvlm.analysis.reproduce.settings import Place, Settings
from litelvlm.analysis.studies import published
from litelvlm.analysis.studies.published_video import VIDEO_SOURCE, video
from litelvlm.names import check_name

CHUNK = 4
"""Images of a part of a run: what an interrupt can cost at most."""
_PLAIN_INTERVAL = "The interval is 95 %; in the ablation it is that of the measured difference."


@dataclass(frozen=True, kw_only=True)
class Target:
    """One table.

    Attributes:
        title: What it shows.
        study: Name of the study that makes the rows.
        options: Fields of the study's configuration besides budgets and seed.
        lines: Published beside measured, of a finished split.
        passes: Passes of the language model on each image, about.
        splits: Data set and split of each part.
        methods: Methods beside the unpruned model.
        controls: Methods that it always contains, whatever methods are chosen.
        tokens: Budgets, of 576 visual tokens.
        draws: Draws of the official protocol.
        quick: Images of each split, and draws, of the short form.
        interval: What the interval of a line counts.
        caution: What a reader must know before comparing.
        scored: Whether it has the scores of a result card, and lines over all splits.
        timed: Whether it times one image: no part of a split is taken, and a cache would skip what
            is timed.
    """

    title: str
    study: str
    options: Callable[[Settings], Mapping[str, object]]
    lines: Callable[[FinishedSplit], tuple[Line, ...]]
    passes: Callable[[Settings], int]
    splits: tuple[Place, ...]
    methods: tuple[str, ...]
    controls: tuple[str, ...] = ()
    tokens: tuple[int, ...]
    draws: int
    quick: tuple[int, int]
    interval: str = _PLAIN_INTERVAL
    caution: str
    scored: bool = False
    timed: bool = False

    def overall(self, splits: Sequence[FinishedSplit]) -> tuple[tuple[Line, ...], str]:
        """Lines over all splits, and the note why there are none where there could be."""
        missing = missing_splits([split.place for split in splits])
        if not self.scored or not missing:
            return (overall_lines(splits) if self.scored else (), "")
        return (), (
            "Avg. and Rel. of the published table need all splits; not measured here: "
            f"{', '.join(missing)}."
        )


def _sweep(settings: Settings) -> Mapping[str, object]:
    return {
        "methods": settings.methods,
        "protocol": "official",
        "seeds": settings.draws,
        "batch_size": settings.batch_size,
        "chunk_size": CHUNK,
    }


def _ablations(settings: Settings) -> Mapping[str, object]:
    return {
        "images": None,
        "official_seeds": settings.draws,
        "batch_size": settings.batch_size,
        "chunk_size": CHUNK,
    }


TARGETS: Mapping[str, Target] = MappingProxyType(
    {
        "refseg": Target(
            title="Referring expression segmentation: cIoU in percent, official protocol",
            study="sweep",
            options=_sweep,
            lines=accuracy_lines,
            passes=lambda asked: asked.draws * (1 + len(asked.methods) * len(asked.tokens)),
            splits=published.SPLITS,
            methods=("litelvlm", "vispruner", "visionzip", "fastv", "trim", "uniform"),
            controls=("random",),
            tokens=(192, 128, 64),
            draws=5,
            quick=(100, 2),
            interval="Published numbers are the authors' own and were not measured here. The "
            "interval is that of the difference: it counts the draws of both sides, and the images "
            "only where a part of the split was taken.",
            caution="LLaVA-PruMerge is not in the suite (its PruMerge+ is another method). The "
            "rivals' settings are not published; ours are those of their own papers.",
            scored=True,
        ),
        "ablation": Target(
            title="Parts of the method removed, reversed or replaced: differences of cIoU in "
            "points",
            study="ablations",
            options=_ablations,
            lines=ablation_lines,
            # One expression through every method, and the protocols with all of them.
            passes=lambda asked: len(asked.tokens) * (115 + 25 * asked.draws),
            splits=(("refcoco", "testA"),),
            methods=(),
            tokens=(192, 64),
            draws=5,
            quick=(40, 2),
            caution="The authors publish no table of these differences, so none stands beside "
            "them.",
        ),
        "efficiency": Target(
            title="Cost by visual tokens: the unpruned model over the method",
            study="efficiency",
            options=lambda asked: {"methods": asked.methods},
            lines=cost_lines,
            # Each arm has rounds of a prefill, of an answer token by token, and of a whole call.
            passes=lambda asked: 72 * (1 + len(asked.methods) * len(asked.tokens)),
            splits=(("refcoco", "testA"),),
            methods=("litelvlm", "vispruner", "fastv"),
            tokens=(192, 64),
            draws=1,
            quick=(1, 1),
            caution=f"{published.CAUTION} Ratios to the unpruned model are compared, because times "
            "of two machines are not comparable.",
            timed=True,
        ),
    }
)
"""The tables by name."""
VIDEO_REASON = (
    "it needs VideoGLaMM's weights and a model family for them, a reader of Ref-DAVIS-17 and "
    "Refer-YouTube-VOS, and the scores J and F; this suite has none of these"
)
"""Why the table of videos is not run."""


def video_text() -> str:
    """What ``--plan`` says of the table of videos: why it is not run, and what is published."""
    numbers = video().to_string(index=False)
    return (
        "Table video: Referring video segmentation: J, F and J&F in percent\n\n"
        f"Not run: {VIDEO_REASON}.\n\nPublished ({VIDEO_SOURCE}):\n{numbers}\n"
    )


def get_target(name: str) -> Target:
    """One table by its name.

    Raises:
        ValueError: If there is none, or it is not run; the message says what works instead.
    """
    if name == "video":
        raise ValueError(
            f"the table 'video' is not run: {VIDEO_REASON}; litelvlm reproduce video --plan shows "
            f"the published numbers; these are run: {', '.join(TARGETS)}"
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
    known = ["/".join(place) for place in published.SPLITS]
    for name in given:
        check_name(name, known, "split")
    if len(set(given)) < len(given):
        raise ValueError(f"--splits names a split twice: {', '.join(given)}")
    return tuple(place for place in published.SPLITS if "/".join(place) in given)
