"""Scenes per second on one core, expressions and masks included.

Usage: ``python benchmarks/scenes.py``.
"""

from time import perf_counter

from common import no_options, spread, store

from litelvlm.data.worlds.shapes.scenes import LEVELS, sample_scene

ROUNDS, SCENES = 7, 100


def main() -> None:
    """Time rounds of distinct scenes, levels interleaved."""
    rates: dict[str, list[float]] = {level: [] for level in LEVELS}
    for level in LEVELS:
        sample_scene(0, level)
    for i in range(ROUNDS):
        for level, found in rates.items():
            start = perf_counter()
            for seed in range(i * SCENES, (i + 1) * SCENES):
                sample_scene(seed, level)
            found.append(SCENES / (perf_counter() - start))
    store("scenes", {"scenes_per_second": {level: spread(found) for level, found in rates.items()}})


if __name__ == "__main__":
    no_options(__doc__)
    main()
