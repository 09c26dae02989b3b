"""What is made of the scores of methods and budgets, with both of its intervals."""

from typing import NamedTuple

import numpy as np

from litelvlm.analysis.runs.columns import Row
from litelvlm.analysis.stats.bootstrap import Bootstrap, Estimate
from litelvlm.analysis.stats.crossed import Crossed
from litelvlm.analysis.stats.lines import widened, wider_ends, wider_p


class PairedEffect(NamedTuple):
    """What is made of the scores of cells: over resamples of images, and over categories too."""

    over_images: Bootstrap
    crossed: Crossed

    @property
    def widest(self) -> Estimate:
        """The effect with the wider of its two intervals at either end."""
        return widened(self.over_images.estimates()[0], self.crossed)

    def p_equivalent(self, margin: float) -> float:
        """p-value of two one-sided tests: small if the effect is within the margin of 0.

        It is the larger of that over images and that over images and categories.

        Raises:
            ValueError: If the margin is not positive.
        """
        over_images = float(self.over_images.p_equivalent(margin)[0])
        if not self.crossed.defined:
            return over_images
        return float(np.maximum(over_images, self.crossed.p_equivalent(margin)))

    def line(self, p_value: float, name: str = "delta") -> Row:
        """Columns of a table.

        Args:
            p_value: Two-sided, against 0, over images.
            name: Column of the effect.

        Returns:
            The effect, low, high (over images), n_images, n, low_categories, high_categories (the
            wider interval, over images and categories too), n_categories, and p: the larger of
            ``p_value`` and that over images and categories.
        """
        (effect,) = self.over_images.estimates()
        wide = wider_ends(effect, self.crossed)
        return effect.line(name) | wide | {"p": wider_p(p_value, self.crossed)}
