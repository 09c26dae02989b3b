"""Scenes per second on one core, expressions and masks included, in processor time.

All levels of both worlds, and the small pixel scenes of the family of trainings with what is stored
of them. Processor time leaves out what other programs take.

Usage: ``python benchmarks/scenes.py``.
"""

from collections.abc import Callable
from functools import partial
from time import process_time

from common import no_options, spread, store

from litelvlm.data.worlds.pictograms import objects as pictogram_objects
from litelvlm.data.worlds.pictograms import scenes as pictograms
from litelvlm.data.worlds.shapes import objects as shape_objects
from litelvlm.data.worlds.shapes import scenes as shapes
from litelvlm.training.trainings.pixels import draw_scene, pack_scene

ROUNDS, SCENES = 7, 100
CLUTTER, CATEGORIES = 4, 64


def family_scene(seed: int) -> None:
    """One scene of the family's base on pixels."""
    pack_scene(draw_scene(seed, CLUTTER, CATEGORIES))


DRAWN: dict[str, Callable[[int], object]] = {
    **{
        f"shapes, {level}": partial(shapes.sample_scene, level=level)
        for level in shape_objects.LEVELS
    },
    **{
        f"pictograms, {level}": partial(pictograms.sample_scene, level=level)
        for level in pictogram_objects.LEVELS
    },
    "family, pixels": family_scene,
}
"""What is drawn from a seed."""


def main() -> None:
    """Time rounds of distinct scenes, kinds interleaved."""
    rates: dict[str, list[float]] = {name: [] for name in DRAWN}
    for draw in DRAWN.values():
        draw(0)
    for i in range(ROUNDS):
        for name, found in rates.items():
            start = process_time()
            for seed in range(i * SCENES, (i + 1) * SCENES):
                DRAWN[name](seed)
            found.append(SCENES / (process_time() - start))
    per_second = {name: spread(found) for name, found in rates.items()}
    store("scenes", {"clock": "processor time", "scenes_per_second": per_second})


if __name__ == "__main__":
    no_options(__doc__)
    main()
