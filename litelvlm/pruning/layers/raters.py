"""Text raters: the words that the image attends to, and that rank the visual tokens."""

import torch
from jaxtyping import Float, Int
from torch import Tensor


def text_raters(visual: Float[Tensor, "n d"], text: Float[Tensor, "m d"]) -> Int[Tensor, "r"]:
    """Text tokens that are more like the visual ones than the average text token is.

    Those with ``r_j > mean(r)``, where ``r_j = mean_i softmax_j(v_i . u_j)``. Dot products are not
    scaled. If no token stands out, all of them rate. Cost: one n x m product, once.

    Args:
        visual: Visual tokens as they enter the language model.
        text: Embeddings of the tokens after the image. In a teacher-forced conversation they
            include the answer and the words of the template.

    Returns:
        Indices into ``text``, ascending.

    Source: SparseVLM, official code; arXiv 2410.04417, section 3.2.

    Example:
        >>> text = torch.tensor([[0.0, 0.0], [2.0, 0.0], [0.0, 2.0]])
        >>> text_raters(torch.tensor([[1.0, 0.0]]), text).tolist()
        [1]
    """
    relevance = (visual.float() @ text.float().T).softmax(dim=1).mean(dim=0)
    standing_out = (relevance > relevance.mean()).nonzero().flatten()
    return standing_out if len(standing_out) else torch.arange(len(text), device=text.device)
