"""The tables that can be reproduced: what each measures, on which splits, with which methods."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType

from litelvlm.analysis.reproduce.accuracy import accuracy_lines, missing_splits, overall_lines
from litelvlm.analysis.reproduce.clips import MATCHED, clip_lines
from litelvlm.analysis.reproduce.costs import cost_lines
from litelvlm.analysis.reproduce.lines import FinishedSplit, Line
from litelvlm.analysis.reproduce.settings import Place, Settings
from litelvlm.analysis.studies import published
from litelvlm.analysis.studies.published_video import UNIPIXEL, VIDEO, Published
from litelvlm.names import check_name

CHUNK = 4
"""Images of a part of a run: what an interrupt can cost at most."""


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
        timed: Whether it times one image: no part of a split is taken, a cache would skip what is
            timed, and there are no scores for a result card.
        averaged: Whether lines over all splits are published.
        family: Of the model.
        model_options: Options that the family is loaded with.
        memory: Bytes that the published model needs: weights in bfloat16, and passes.
        numbers: Published numbers, which the plan lists; None where it lists none.
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
    interval: str = "The interval is 95 %."
    caution: str
    timed: bool = False
    averaged: bool = False
    family: str = "glamm"
    model_options: tuple[str, ...] = ()
    memory: float = 20e9
    numbers: Published | None = None

    def overall(self, splits: Sequence[FinishedSplit]) -> tuple[tuple[Line, ...], str]:
        """Lines over all splits, and the note why there are none where there could be."""
        if not self.averaged:
            return (), ""
        missing = missing_splits([split.place for split in splits])
        if not missing:
            return overall_lines(splits), ""
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


def _clip_sweep(settings: Settings) -> Mapping[str, object]:
    single = {"protocol": "single", "answer": "generated", "chunk_size": 1}
    return {**_sweep(settings), **single}


def _clip_passes(settings: Settings) -> int:
    """Answers for each expression, a pass and a token by token rest; an object has four."""
    draws = settings.draws - 1 if "random" in settings.methods else 0
    return 1 + (len(settings.methods) + draws) * len(settings.tokens)


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
            averaged=True,
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
        "video": Target(
            title="Referring video segmentation, VideoGLaMM: J, F and J&F in percent",
            study="sweep",
            options=_clip_sweep,
            lines=partial(clip_lines, known=VIDEO, compared=MATCHED),
            passes=_clip_passes,
            splits=(("ref-davis17", "valid"),),
            methods=("litelvlm", "vispruner"),
            controls=("random",),
            tokens=(196, 81),
            draws=5,
            quick=(8, 2),
            caution="The authors do not say where they prune. 196 and 81 are squares, so they are "
            "tokens of CLIP before pooling (prune point V1), which saves nothing in the language "
            "model. Their protocol is not stated either: VideoGLaMM's evaluation pairs objects "
            "anew, and so do the lines that are compared. The masks of Refer-YouTube-VOS are not "
            "public.",
            family="video_glamm",
            model_options=("prune_point=V1",),
            memory=16e9,
            numbers=VIDEO,
        ),
        "unipixel": Target(
            title="Referring video segmentation, UniPixel-3B: J&F in percent",
            study="sweep",
            options=_clip_sweep,
            lines=partial(clip_lines, known=UNIPIXEL),
            passes=_clip_passes,
            splits=(("ref-davis17", "valid"), ("revos", "valid")),
            methods=tuple(
                way.format(score)
                for score in ("input_similarity", "received_attention")
                for way in ("{}", "reverse(of={})")
            ),
            controls=("random",),
            tokens=(192, 64),
            draws=5,
            quick=(8, 2),
            caution="UniPixel has no text tower, so LiteLVLM's score needs a substitute, and the "
            "authors' budgets are not known: only the unpruned model is compared. Budgets are "
            "shares of all visual tokens, given as if these were 576. The masks of MeViS valid and "
            "of Refer-YouTube-VOS are not public.",
            family="unipixel",
            memory=12e9,
            numbers=UNIPIXEL,
        ),
    }
)
"""The tables by name."""


def get_target(name: str) -> Target:
    """One table by its name.

    Raises:
        ValueError: If there is none.
    """
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
    places = published.SPLITS if target.family == "glamm" else target.splits
    known = ["/".join(place) for place in places]
    for name in given:
        check_name(name, known, "split")
    if len(set(given)) < len(given):
        raise ValueError(f"--splits names a split twice: {', '.join(given)}")
    return tuple(place for place in places if "/".join(place) in given)
