"""Parts of a split, as engine and studies see any data set."""

import hashlib
from collections.abc import Sequence

from litelvlm.data.dataset import Dataset, Sample


class DataPart:
    """Some images of a data set.

    Args:
        data: The split.
        indices: Of the images.
        part: What tells it from other parts, which make other runs; empty keeps the digest of the
            split, for a part that follows from it and the configuration.
    """

    def __init__(self, data: Dataset, indices: Sequence[int], part: str = "") -> None:
        self.data, self.indices = data, list(indices)
        self.name, self.split, self.split_by = data.name, data.split, data.split_by
        self.categories = data.categories
        whole = f"{data.digest} {part}".encode()
        self.digest = hashlib.sha256(whole).hexdigest() if part else data.digest

    def __len__(self) -> int:
        """Number of images."""
        return len(self.indices)

    def __getitem__(self, index: int, /) -> Sample:
        """One image with its expressions."""
        return self.data[self.indices[index]]


class EvenSubset(DataPart):
    """Some images of a data set, each with some of its expressions.

    Args:
        data: The split.
        images: How many images, at even distances; all if None or if there are no more.
        expressions: How many expressions of each image, at even distances, the first one changing
            from image to image; all if None or if there are no more.

    Example:
        >>> evenly(10, 4)
        [0, 2, 5, 7]
    """

    def __init__(
        self, data: Dataset, images: int | None = None, expressions: int | None = None
    ) -> None:
        indices = evenly(len(data), images)
        super().__init__(data, indices, f"{indices} {expressions}")
        self.expressions = expressions

    def __getitem__(self, index: int, /) -> Sample:
        """One image with its expressions."""
        sample = super().__getitem__(index)
        n = len(sample.expressions)
        # Turned by one from image to image: data sets list an image's expressions by object and
        # kind.
        chosen = sorted((place + index) % n for place in evenly(n, self.expressions))
        return sample.with_expressions(tuple(sample.expressions[i] for i in chosen))


def evenly(n: int, wanted: int | None) -> list[int]:
    """Places of ``wanted`` entries at even distances among ``n``, the first one included."""
    if wanted is None or wanted >= n:
        return list(range(n))
    return [place * n // wanted for place in range(wanted)]


def middles(n: int, wanted: int) -> list[int]:
    """Places in the middle of ``wanted`` equal lengths of a list; all places if there are no more.

    Any m neighbours among the n places hold m wanted / n of them, rounded up or down.

    Example:
        >>> middles(10, 4), middles(2, 3)
        ([1, 3, 6, 8], [0, 1])
    """
    if wanted >= n:
        return list(range(n))
    return [(2 * place + 1) * n // (2 * wanted) for place in range(wanted)]
