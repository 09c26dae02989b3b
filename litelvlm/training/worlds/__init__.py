"""The worlds that a miniature can be trained on."""

from litelvlm.names import check_name
from litelvlm.training.worlds.base import TrainingWorld
from litelvlm.training.worlds.pictograms import Pictograms
from litelvlm.training.worlds.shapes import Shapes

WORLDS: dict[str, TrainingWorld] = {world.name: world for world in (Pictograms(), Shapes())}


def get_world(name: str) -> TrainingWorld:
    """The world of this name.

    Raises:
        ValueError: If there is none; the message lists the names.
    """
    return WORLDS[check_name(name, WORLDS, "world")]
