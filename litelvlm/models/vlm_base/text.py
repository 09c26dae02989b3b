"""Visual tokens compared with words in the language model's input space."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from litelvlm.pruning.ranking import row_dots, unit_rows


@dataclass(frozen=True, eq=False)
class TextBehind:
    """Embeddings of the text tokens behind an image, for the similarity in the input space.

    Attributes:
        embeddings: One row per token [m, d].
    """

    embeddings: Float[Tensor, "m d"]

    def similarity(self, patches: Float[Tensor, "n d"]) -> Float[Tensor, "n"]:
        """Cosine of each token with the mean embedding.

        Raises:
            ValueError: If there is no text behind the image.
        """
        if not len(self.embeddings):
            raise ValueError(
                "no text follows the image, so input_similarity has nothing to compare "
                "with; put the question after the image, or take another method"
            )
        mean = self.embeddings.float().mean(dim=0)
        return row_dots(unit_rows(patches), unit_rows(mean[None]))
