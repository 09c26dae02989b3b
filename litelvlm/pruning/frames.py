"""Clips: the cues of several frames as one, and frames that are pruned one by one."""

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor

from litelvlm.layout import Layout
from litelvlm.pruning.budgets import check_budget
from litelvlm.pruning.cues import CUES, Cues
from litelvlm.pruning.selection import RawSelection


def clip_cues(frames: Sequence[Cues], key: int = 0) -> Cues:
    """The cues of a clip, among whose tokens a method chooses freely.

    Args:
        frames: Cues of its frames, all with one grid and the same texts.
        key: Identity of the clip.

    Returns:
        Rows of tokens follow each other frame by frame. What an image has one of (the class token's
        row) is the mean over the frames.
    """
    return Cues(_joined_sources(frames), Layout(len(frames), *frames[0].grid), key)


class FrameCues(Cues):
    """The cues of a clip each of whose frames is pruned by itself, to an equal part of the budget.

    Methods that lay out one grid of rows and columns choose here too.

    Args:
        frames: Cues of its frames, all with one grid; each has a key of its own.
        key: Identity of the clip.
    """

    def __init__(self, frames: Sequence[Cues], key: int = 0) -> None:
        super().__init__(_joined_sources(frames), Layout(len(frames), *frames[0].grid), key)
        self.by_frame = tuple(frames)

    def replaced(self, **cues: Tensor) -> "FrameCues":
        """The same clip with other values for some cues, given for the tokens of all frames."""
        frames = [
            frame.replaced(**{name: self._of_frame(name, cues[name], i) for name in cues})
            for i, frame in enumerate(self.by_frame)
        ]
        return FrameCues(frames, self.key)

    def _of_frame(self, name: str, value: Tensor, frame: int) -> Tensor:
        per_frame = self.layout.per_frame
        return value[frame * per_frame :][:per_frame] if _of_tokens(name) else value

    def counts(self, budget: int | float) -> list[int]:
        """Tokens that each frame keeps: an equal part; the first ones keep one more if need be.

        Raises:
            ValueError: If the budget is out of range or smaller than the number of frames.
        """
        total, n_frames = check_budget(budget, self.n_tokens), len(self.by_frame)
        if total < n_frames:
            raise ValueError(
                f"budget {total} is too small for {n_frames} temporal groups (frames, or pairs of "
                f"frames, that the model reads as one); give at least {n_frames}, one for each"
            )
        part, extra = divmod(total, n_frames)
        return [part + (frame < extra) for frame in range(n_frames)]


def each_frame(cues: Cues) -> FrameCues:
    """The cues of a clip for a choice in each of its frames, with an equal part of the budget."""
    per_frame = cues.layout.per_frame

    def source(name: str, start: int) -> Tensor:
        value = cues.get(name)
        return value[start : start + per_frame] if _of_tokens(name) else value

    def one(frame: int) -> Cues:
        start = frame * per_frame
        sources = {name: partial(source, name, start) for name in CUES}
        return Cues(sources, Layout(1, *cues.layout.grid), cues.key)

    return FrameCues([one(frame) for frame in range(cues.frames)], cues.key)


def joined(raws: Sequence[RawSelection], per_frame: int) -> RawSelection:
    """What a method chose of each frame, as one choice among the tokens of the clip.

    Args:
        raws: Of the frames, in their order.
        per_frame: Tokens of a frame before pruning.
    """

    def shifted(parts: Sequence[Tensor]) -> Tensor:
        moved = [torch.where(p < 0, p, p + i * per_frame) for i, p in enumerate(parts)]
        return torch.cat(moved)

    first = raws[0]
    return RawSelection(
        indices=shifted([raw.indices for raw in raws]),
        places=None if first.places is None else shifted([raw.stands_for for raw in raws]),
        tokens=_with([raw.tokens for raw in raws], torch.cat),
        source=_with([raw.source for raw in raws], lambda parts: torch.block_diag(*parts)),
        roles=None if first.roles is None else tuple(r for raw in raws for r in raw.roles or ()),
        sizes=_with([raw.sizes for raw in raws], torch.cat),
    )


def _of_tokens(name: str) -> bool:
    """Whether a cue has a row for each token."""
    return name in CUES and CUES[name].axes[0] == "N"


def _with(parts: Sequence[Tensor | None], join: Callable[[list[Tensor]], Tensor]) -> Tensor | None:
    given = [part for part in parts if part is not None]
    if len(given) not in (0, len(parts)):
        raise ValueError(
            "the method merged tokens of some frames and none of others, which cannot be one "
            "choice; take a method that keeps plain tokens"
        )
    return join(given) if given else None


def _joined_sources(frames: Sequence[Cues]) -> dict[str, Tensor | Callable[[], Tensor]]:
    return {name: partial(_joined_cue, frames, name) for name in CUES}


def _joined_cue(frames: Sequence[Cues], name: str) -> Tensor:
    parts = [frame.get(name) for frame in frames]
    if _of_tokens(name):
        return torch.cat(parts)
    return parts[0] if CUES[name].source == "text" else torch.stack(parts).float().mean(dim=0)
