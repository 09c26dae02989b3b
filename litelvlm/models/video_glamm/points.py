"""Where visual tokens can be pruned, and how many the language model reads then.

A clip gives two kinds of tokens: those of CLIP, 24 x 24 per frame, pooled to 12 x 12 behind the
projector, and those of the video tower, 16 x 16 per frame, pooled to 8 x 8. An image gives those of
CLIP, without pooling, and is pruned in one way whatever the point.

| point | a method chooses among | language model reads per frame |
|---|---|---|
| V1 | CLIP's tokens before pooling, k^2 of every frame, then pooled as a square | 144 + 64 |
| V2 | CLIP's tokens before pooling, k of every frame, and no pooling follows | k + 64 |
| V3 | pooled tokens, k of every frame | k + 64 |
| V4 | pooled tokens, one budget K over all F frames | K / F + 64 on average |
| V5 | as V3, and an even grid of the video tower's tokens in the same share | k + 64 k / 144 |
"""

from dataclasses import dataclass
from math import isqrt
from typing import NamedTuple

from litelvlm.pruning.budgets import round_half_up


@dataclass(frozen=True)
class PrunePoint:
    """Which tokens of a clip a method chooses from, and what follows.

    Attributes:
        name: As in the table.
        pooled: Whether the tokens are pooled before a method chooses.
        by_frame: Whether every frame keeps an equal part.
        repooled: Whether the chosen tokens of a frame are folded into a square and pooled.
        video: Whether the video tower's tokens are thinned out too.
    """

    name: str
    pooled: bool
    by_frame: bool = True
    repooled: bool = False
    video: bool = False


POINTS = {
    point.name: point
    for point in (
        PrunePoint("V1", pooled=False, repooled=True),
        PrunePoint("V2", pooled=False),
        PrunePoint("V3", pooled=True),
        PrunePoint("V4", pooled=True, by_frame=False),
        PrunePoint("V5", pooled=True, video=True),
    )
}


class FlowStage(NamedTuple):
    """Tokens of a clip behind one stage.

    Attributes:
        name: Of the stage.
        per_frame: Tokens of a frame, on average.
        total: Of all frames.
    """

    name: str
    per_frame: float
    total: int


@dataclass(frozen=True, kw_only=True)
class ClipGrids:
    """Sides of the token grids of a clip; pooling halves each.

    Attributes:
        frames: That the language model sees.
        image: CLIP's.
        video: The video tower's.
    """

    frames: int = 16
    image: int = 24
    video: int = 16

    @property
    def pooled(self) -> int:
        """CLIP's behind the pooling."""
        return self.image // 2

    @property
    def video_pooled(self) -> int:
        """The video tower's behind the pooling."""
        return self.video // 2

    def side(self, point: PrunePoint) -> int:
        """Side of the grid of each frame that a method chooses from."""
        return self.pooled if point.pooled else self.image

    def video_kept(self, point: PrunePoint, kept: int) -> int:
        """The video tower's tokens of each frame that the language model reads.

        Args:
            point: Where the tokens are pruned.
            kept: CLIP's tokens that are kept of all frames.
        """
        whole = self.video_pooled**2
        share = kept / (self.frames * self.pooled**2)
        return max(1, round_half_up(whole * share)) if point.video else whole

    def flow(self, point: PrunePoint | None = None, budget: int | None = None) -> list[FlowStage]:
        """The table of stages, down to what the language model reads.

        Args:
            point: Where the tokens are pruned; None for nowhere.
            budget: CLIP's tokens to keep of all frames; required with a point.

        Raises:
            ValueError: If the point cannot keep so many.

        Example:
            >>> [stage.total for stage in ClipGrids().flow()]
            [9216, 2304, 4096, 1024, 3328]
            >>> [ClipGrids().flow(POINTS["V1"], 16 * k)[-1].total for k in (576, 196, 81)]
            [3328, 3328, 3328]
        """
        pooled, video = self.frames * self.pooled**2, self.frames * self.video_pooled**2
        chosen = pooled if point is None else self.checked(point, budget or 0)
        kept = [] if point is None else [(f"CLIP, kept at {point.name}", chosen)]
        stages = [("CLIP", self.frames * self.image**2)]
        if point is None or point.pooled:
            stages += [("CLIP, pooled", pooled), *kept]
        else:
            stages += [*kept, *([("CLIP, pooled", pooled)] if point.repooled else [])]
        stages += [("video tower", self.frames * self.video**2), ("video tower, pooled", video)]
        if point is not None and point.video:
            video = self.frames * self.video_kept(point, chosen)
            stages.append((f"video tower, kept at {point.name}", video))
        read = pooled if point is not None and point.repooled else chosen
        stages.append(("language model", read + video))
        return [FlowStage(name, total / self.frames, total) for name, total in stages]

    def checked(self, point: PrunePoint, budget: int) -> int:
        """The budget, if the point can keep so many of CLIP's tokens of all frames.

        Raises:
            ValueError: Naming what is allowed.
        """
        per_frame, rest = divmod(budget, self.frames)
        least, most = self.frames if point.by_frame else 1, self.frames * self.side(point) ** 2
        if not least <= budget <= most:
            raise ValueError(
                f"prune point {point.name} keeps {least} to {most} tokens of {self.frames} frames, "
                f"got {budget}"
            )
        if point.repooled and (rest or isqrt(per_frame) ** 2 != per_frame):
            near = isqrt(per_frame)
            raise ValueError(
                f"prune point {point.name} folds the tokens of each of {self.frames} frames into a "
                f"square, got {budget} in all; keep {self.frames} times {near**2} or "
                f"{(near + 1) ** 2}"
            )
        return budget
