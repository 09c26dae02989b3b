"""Objects that move in a straight line through a clip, and what can be said of their way."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from litelvlm.data.worlds.pictograms.objects import Level, SceneObject
from litelvlm.data.worlds.pictograms.sprites import reach
from litelvlm.data.worlds.referring import Point

FRAMES = 8
"""Frames of a clip."""
STILL = "standing still"
DIRECTIONS: Mapping[str, tuple[int, int]] = MappingProxyType(
    {"going left": (-1, 0), "going right": (1, 0), "going up": (0, -1), "going down": (0, 1)}
)
"""Words for a motion, with its sense along x (to the right) and y (down)."""
MOTIONS = (*DIRECTIONS, STILL)
ENTERS, LEAVES = "enters", "leaves"

LEVEL = Level(
    name="moving",
    sizes=MappingProxyType({"small": 0.22, "large": 0.34}),
    objects=(3, 4),
    repeated=1.0,
    required=("motion",),
    min_visible=0.5,
    relations=(),
    quota=MappingProxyType({"looks": 2, "motion": 2, "order": 2}),
    aspects=((1, 1),),
)
"""Clips are square, so that the border of a frame is also that of CLIP's crop."""


@dataclass(frozen=True)
class MovingObject:
    """An object of a clip; its size and turn stay.

    Attributes:
        looks: The object as it is in frame 0, whose centre may lie outside of the frame.
        step: Way from one frame to the next along x and y in pixels.
    """

    looks: SceneObject
    step: Point

    def at(self, frame: int) -> SceneObject:
        """The object in a frame."""
        (x, y), (dx, dy) = self.looks.centre, self.step
        return replace(self.looks, centre=(x + frame * dx, y + frame * dy))

    @property
    def motion(self) -> str:
        """The entry of ``MOTIONS`` that fits; objects move along one axis, or nearly."""
        (dx, dy), across = self.step, abs(self.step[0]) >= abs(self.step[1])
        if dx == dy == 0:
            return STILL
        if across:
            return "going right" if dx > 0 else "going left"
        return "going down" if dy > 0 else "going up"

    def centred(self, frame: int, side: int) -> bool:
        """Whether its centre lies in a frame of this side."""
        return all(0 <= place < side for place in self.at(frame).centre)

    def away(self, frame: int, side: int) -> bool:
        """Whether no part of it can lie in a frame of this side."""
        most = reach(self.looks)
        return any(not -most < place < side + most for place in self.at(frame).centre)


@dataclass(frozen=True)
class Passage:
    """When an object comes or goes.

    Attributes:
        frame: First frame with its centre inside (or outside again); None if there is none.
        clear: Whether a viewer can tell: what does not come is there from the start, what does is
            wholly away before; likewise at the end.
    """

    frame: int | None
    clear: bool


def passage(item: MovingObject, event: str, side: int) -> Passage:
    """When an object enters, or leaves, a frame of this side."""
    inside = [item.centred(frame, side) for frame in range(FRAMES)]
    end = 0 if event == ENTERS else FRAMES - 1
    if inside[end]:
        return Passage(None, clear=True)
    if not any(inside):
        return Passage(None, clear=False)
    change = inside.index(True) if event == ENTERS else FRAMES - inside[::-1].index(True)
    return Passage(change, clear=item.away(end, side))
