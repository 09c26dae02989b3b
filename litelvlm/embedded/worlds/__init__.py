"""The worlds that a miniature can be trained on."""

from litelvlm.embedded.worlds.base import TrainingWorld
from litelvlm.embedded.worlds.pictograms import Pictograms
from litelvlm.embedded.worlds.shapes import Shapes
from litelvlm.names import check_name

WORLDS: dict[str, TrainingWorld] = {world.name: world for world in (Pictograms(), Shapes())}


def get_world(name: str) -> TrainingWorld:
    """The world of this name.

    Raises:
        ValueError: If there is none; the message lists the names.
    """
    return WORLDS[check_name(name, WORLDS, "world")]
