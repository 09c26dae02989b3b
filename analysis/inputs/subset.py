"""A part of a split that stands for the whole: images and expressions at even distances."""

import hashlib

from litelvlm.data.dataset import Dataset, Sample


class EvenSubset:
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
        self.data, self.expressions = data, expressions
        self.indices = evenly(len(data), images)
        self.name, self.split, self.split_by = data.name, data.split, data.split_by
        self.categories = data.categories
        # Other parts make other runs.
        part = f"{data.digest} {self.indices} {expressions}"
        self.digest = hashlib.sha256(part.encode()).hexdigest()

    def __len__(self) -> int:
        """Number of images."""
        return len(self.indices)

    def __getitem__(self, index: int, /) -> Sample:
        """One image with its expressions."""
        sample = self.data[self.indices[index]]
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
