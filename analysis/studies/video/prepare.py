"""What the study of clips does before its first row: a model for each prune point and window."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from math import sqrt

from litelvlm.analysis.inputs.methods import PAPER, RANDOM
from litelvlm.analysis.inputs.subset import EvenSubset
from litelvlm.analysis.runs.outcome import Exclusion
from litelvlm.analysis.runs.work import ItemResult, Work
from litelvlm.analysis.studies.sweep.config import sweep_of
from litelvlm.analysis.studies.sweep.passes import SweepContext
from litelvlm.analysis.studies.video.config import Config
from litelvlm.analysis.studies.video.rows import PUBLISHED, Arm, arm_rows, load_arms
from litelvlm.data.dataset import Dataset
from litelvlm.models.video_glamm.model import VideoGlamm
from litelvlm.models.video_glamm.prompts import full_prompt
from litelvlm.pruning.budgets import round_half_up

WINDOW_METHODS = (PAPER, RANDOM)
"""Methods of the comparison of windows."""


def prepare(model: VideoGlamm, data: Dataset, config: Config) -> Work:
    """Give every prune point, and another window, a model of the same weights.

    Raises:
        ValueError: If a sample of the split is an image.
    """
    stills = [sample for sample in (data[i] for i in range(len(data))) if sample.frames == 1]
    if stills:
        whole = "name a data set of clips, such as embedded-moving"
        some = "leave such clips out of its table"
        raise ValueError(
            f"the study asks about clips of several frames, and {len(stills)} of {len(data)} of "
            f"{data.name} have one, {getattr(stills[0], 'name', stills[0].image_id)} first; "
            f"{whole if len(stills) == len(data) else some}"
        )
    chosen = EvenSubset(data, config.clips, config.expressions)
    arms = [*arms_of(model, chosen, config)]

    def begin(index: int) -> Callable[[], ItemResult]:
        return partial(arm_rows, arms, load_arms(arms, index, config.expressions is None))

    excluded = {
        (found.method, found.budget, point): Exclusion(
            method=f"{found.method} at {point}", budget=found.budget, reason=found.reason
        )
        for arm in arms
        for point in [arm.model.point.name]
        for found in arm.context.excluded
    }
    return Work(
        chosen,
        begin,
        resolved={"windows": sorted({arm.window for arm in arms})},
        methods=tuple(method.pruner() for method in config.methods),
        excluded=tuple(excluded.values()),
    )


def arms_of(model: VideoGlamm, data: Dataset, config: Config) -> Iterator[Arm]:
    """Every prune point with the model's own window, and the first point with another one."""
    swept = sweep_of(config, config.methods, config.seeds)
    for point in config.points:
        at_point = model.with_options(prune_point=point)
        budgets = budgets_at(at_point, config.shares)
        yield Arm(at_point, PUBLISHED, SweepContext(at_point, data, swept, budgets))
    own = [method for method in config.methods if method.label in WINDOW_METHODS]
    point = "V3" if "V3" in config.points else config.points[0]
    window = other_window(model, config.window)
    at_point = model.with_options(prune_point=point, window=window)
    few = swept.model_copy(update={"methods": tuple(own)})  # none is no sweep, but an arm
    context = SweepContext(at_point, data, few, budgets_at(at_point, config.shares))
    yield Arm(at_point, str(window), context)


def other_window(model: VideoGlamm, share: float) -> int | str:
    """The window to compare the model's own with: none if that one hides tokens, else a narrow one.

    Args:
        model: The model.
        share: Of the unpruned visual tokens that a token sees in a narrow window.
    """
    tokens, frames = model.language_tokens(model.clip_layout), model.num_frames
    asked = full_prompt(model.clip_conversation(["it"], frames), frames, model.config.marked)
    text = len(model.tokenizer.encode(asked)) - frames  # less a placeholder for each frame
    return "none" if model.window_bites(tokens + text) else round_half_up(tokens * share)


def budgets_at(model: VideoGlamm, shares: Sequence[float]) -> tuple[int, ...]:
    """Tokens to keep of all frames at a model's prune point, for shares of those it has.

    Each frame keeps the nearest whole number; where a square is needed, that of the nearest side.
    Shares that keep equally many have one budget.
    """
    grids, point = model.grids, model.point
    side, found = grids.side(point), list[int]()
    for share in shares:
        edge = max(1, round_half_up(side * sqrt(share)))
        kept = edge**2 if point.repooled else max(1, round_half_up(side**2 * share))
        found.append(grids.frames * kept)
    return tuple(dict.fromkeys(found))
