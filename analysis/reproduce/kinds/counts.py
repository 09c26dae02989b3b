"""How many images and expressions the splits of a table have."""

from litelvlm.analysis.reproduce.settings import Settings
from litelvlm.data.embedded import EMBEDDED
from litelvlm.data.layout import KNOWN_COUNTS, REF_FAMILIES


def split_counts(settings: Settings) -> list[tuple[int, float]]:
    """Images of each split that are asked, and expressions of an image there on average.

    Those of a bundled data set are few; its number of expressions is taken to be the published one.

    Raises:
        ValueError: If a number is not known.
    """
    bundled, found = EMBEDDED.get(settings.data or ""), []
    for dataset, split in settings.splits:
        images, sentences = published_counts(dataset, split)
        seeds = bundled.seeds.get(split) if bundled else None
        there = images if seeds is None else len(seeds)
        asked = there if settings.images is None else min(there, settings.images)
        found.append((asked, sentences))
    return found


def published_counts(dataset: str, split: str) -> tuple[int, float]:
    """Images of a split as published, and expressions of an image on average.

    Raises:
        ValueError: If a number is not known.
    """
    author = next(iter(REF_FAMILIES[dataset].splits))
    counts = KNOWN_COUNTS[dataset, author, split]
    if counts.images is None or counts.expressions is None:
        raise ValueError(f"the number of images or expressions of {dataset} {split} is not known")
    return counts.images, counts.expressions / counts.images
