"""Recipes of the miniature GLaMM."""

from dataclasses import dataclass, replace

from litelvlm.training.loop import Stage


@dataclass(frozen=True)
class Recipe:
    """Everything that decides the weights, but for the seed.

    Attributes:
        world: Name of the world.
        scenes: Distinct training scenes.
        clip, sam, point, joint: The four stages.
        helper: Weight of the dense helper on the layer of CLIP that GLaMM reads.
        helper_from: Step of CLIP's training at which the helper joins.
    """

    world: str
    scenes: int
    clip: Stage
    sam: Stage
    point: Stage
    joint: Stage
    helper: float = 1.0
    helper_from: int = 0


_SHAPES = Recipe(
    world="shapes",
    scenes=30_000,
    clip=Stage("clip", steps=2000, batch=64, lr=1e-3),
    sam=Stage("sam", steps=1500, batch=16, lr=1e-3, warmup=50),
    point=Stage("point", steps=2600, batch=16, lr=1e-3),
    joint=Stage("joint", steps=1600, batch=16, lr=5e-4),
)
RECIPES = {
    "shapes": _SHAPES,
    "pictograms": replace(
        _SHAPES,
        world="pictograms",
        scenes=40_000,
        clip=Stage("clip", steps=1500, batch=128, lr=1e-3),
        helper=0.3,
        helper_from=400,
    ),
}
"""Recipe of each world's miniature."""
