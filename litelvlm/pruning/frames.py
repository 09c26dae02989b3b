"""Clips: the cues of several frames as one, and frames that are pruned one by one."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from litelvlm.keys import frame_key
from litelvlm.layout import Layout
from litelvlm.pruning.budgets import check_budget
from litelvlm.pruning.cue_table import CUES
from litelvlm.pruning.cues import Cues
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
        frames: Cues of its frames, all with one grid; each has a key of its own (``frame_key``).
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
        key = frame_key(cues.key, frame, cues.frames)
        return Cues(sources, Layout(1, *cues.layout.grid), key)

    return FrameCues([one(frame) for frame in range(cues.frames)], cues.key)


def joined(
    raws: Sequence[RawSelection], per_frame: int, rows: Callable[[int], Tensor]
) -> RawSelection:
    """What a method chose of each frame, as one choice among the tokens of the clip.

    Args:
        raws: Of the frames, in their order. Where it merged tokens of some frames, the plain tokens
            of the others are copies.
        per_frame: Tokens of a frame before pruning.
        rows: From the number of a frame to what the method merges: all of its tokens [n, d].
    """
    parts = list(raws)
    if any(raw.tokens is not None for raw in raws):
        parts = [
            raw if raw.tokens is not None else _copied(raw, rows(frame))
            for frame, raw in enumerate(raws)
        ]

    def shifted(places: Sequence[Tensor]) -> Tensor:
        moved = [torch.where(p < 0, p, p + i * per_frame) for i, p in enumerate(places)]
        return torch.cat(moved)

    def together(given: Sequence[Tensor | None]) -> list[Tensor]:
        return [one for one in given if one is not None]

    tokens, source = (together([getattr(raw, n) for raw in parts]) for n in ("tokens", "source"))
    sizes = [
        torch.ones(len(raw.indices), device=raw.indices.device) if raw.sizes is None else raw.sizes
        for raw in parts
    ]
    roles = [raw.roles or ("kept",) * len(raw.indices) for raw in parts]
    return RawSelection(
        indices=shifted([raw.indices for raw in parts]),
        places=shifted([raw.stands_for for raw in parts])
        if any(raw.places is not None for raw in parts)
        else None,
        tokens=torch.cat(tokens) if tokens else None,
        source=torch.block_diag(*source) if source else None,
        roles=tuple(role for own in roles for role in own) if any(r.roles for r in parts) else None,
        sizes=torch.cat(sizes) if any(raw.sizes is not None for raw in parts) else None,
    )


def _copied(raw: RawSelection, rows: Tensor) -> RawSelection:
    """The same plain tokens, as merges of one token each."""
    source = torch.eye(len(rows), device=rows.device)[raw.indices]
    return replace(raw, places=raw.stands_for, tokens=rows[raw.indices], source=source)


def _of_tokens(name: str) -> bool:
    """Whether a cue has a row for each token."""
    return name in CUES and CUES[name].axes[0] == "N"


def _joined_sources(frames: Sequence[Cues]) -> dict[str, Tensor | Callable[[], Tensor]]:
    return {name: partial(_joined_cue, frames, name) for name in CUES}


def _joined_cue(frames: Sequence[Cues], name: str) -> Tensor:
    parts = [frame.get(name) for frame in frames]
    if _of_tokens(name):
        return torch.cat(parts)
    return parts[0] if CUES[name].source == "text" else torch.stack(parts).float().mean(dim=0)
