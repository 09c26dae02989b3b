"""Tables of accuracy: every method at every budget, in the official protocol."""

from collections.abc import Mapping, Sequence

from litelvlm.analysis.reproduce.budgets import budget_of
from litelvlm.analysis.reproduce.kinds.accuracy_lines import (
    accuracy_lines,
    published_ciou,
    unmeasured_lines,
)
from litelvlm.analysis.reproduce.kinds.counts import split_counts
from litelvlm.analysis.reproduce.kinds.kind import (
    CHUNK,
    FinishedSplit,
    Kind,
    Overall,
    images_in_words,
)
from litelvlm.analysis.reproduce.kinds.overall_lines import (
    MeasuredSplit,
    missing_splits,
    overall_lines,
)
from litelvlm.analysis.reproduce.lines import Line
from litelvlm.analysis.reproduce.settings import Settings
from litelvlm.analysis.reproduce.work import PUBLISHED, TURNS, Sizes, Workload


def _options(settings: Settings) -> Mapping[str, object]:
    return {
        "methods": settings.methods,
        "protocol": "official",
        "seeds": settings.draws,
        "batch_size": settings.batch_size,
        "chunk_size": CHUNK,
    }


def _lines(split: FinishedSplit) -> tuple[Line, ...]:
    one = _measured(split)
    lines = accuracy_lines(
        one.rows, one.place, split.n_tokens, one.n_whole, one.comparable, one.order
    )
    known = published_ciou(one.place)
    return (*lines, *unmeasured_lines(lines, split.name, "cIoU", split.n_tokens, known))


def _measured(split: FinishedSplit) -> MeasuredSplit:
    data, order = split.data, split.part.order if split.part else ()
    published_split = data.name == split.place[0] and not data.count_note
    comparable = published_split and not split.miniature
    return MeasuredSplit(split.place, split.run.rows, len(data), order, comparable)


def _overall(splits: Sequence[FinishedSplit]) -> Overall:
    missing = missing_splits([split.place for split in splits])
    if missing:
        return Overall(
            note=f"Avg. and Rel. of the published table need all splits; not measured here: "
            f"{', '.join(missing)}."
        )
    return Overall(overall_lines([_measured(split) for split in splits], splits[0].n_tokens))


def accuracy_work(
    images: Sequence[int],
    methods: int,
    budgets: Sequence[int],
    draws: int,
    sizes: Sizes = PUBLISHED,
) -> Workload:
    """What a model computes for a table of accuracy.

    Args:
        images: Images of each split.
        methods: Pruning methods, each at every budget.
        budgets: Visual tokens.
        draws: Draws of the official protocol.
        sizes: Of the model.
    """
    one_draw = sizes.passes([sizes.n_tokens, *(kept for _ in range(methods) for kept in budgets)])
    passes = draws * (1 + methods * len(budgets))
    each = sizes.image_macs + draws * one_draw + passes * TURNS * sizes.mask_macs
    return Workload(sum(images), passes, sum(images) * each)


def _work(settings: Settings, sizes: Sizes) -> Workload:
    images = [count for count, _ in split_counts(settings)]
    budgets = [budget_of(tokens, sizes.n_tokens) for tokens in settings.tokens]
    return accuracy_work(images, len(settings.methods), budgets, settings.draws, sizes)


def _sentence(settings: Settings, work: Workload) -> str:
    return (
        f"{images_in_words(settings, work)}, "
        f"{len(settings.splits)} split{'s' * (len(settings.splits) > 1)}, "
        f"{len(settings.methods)} methods at {len(settings.tokens)} budgets, "
        f"{settings.draws} draws of the official protocol"
    )


ACCURACY = Kind(
    study="sweep",
    options=_options,
    lines=_lines,
    work=_work,
    sentence=_sentence,
    interval="Published numbers are the authors' own and were not measured here. The interval is "
    "that of the difference: it counts the draws of both sides, and the images only where a part "
    "of the split was taken.",
    controls=("random",),
    has_scores=True,
    overall=_overall,
)
