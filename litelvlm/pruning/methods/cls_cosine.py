"""Cosine to CLS: a text-free competitor of the text similarity."""

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from litelvlm.pruning.base import ScorePruner
from litelvlm.pruning.cues import Cues
from litelvlm.pruning.ranking import row_dots, unit_rows


@dataclass(frozen=True, kw_only=True)
class ClsCosine(ScorePruner):
    """Keeps the patches whose state points most along CLS: ``s_i = cos(X_i, x_cls)``.

    States of the second-last layer. Control: shows whether a text adds anything to the
    image's own summary. Cost: N x D.
    """

    name: ClassVar[str] = "cls_cosine"
    title: ClassVar[str] = "cosine to CLS"
    summary: ClassVar[str] = "patches most similar to CLS"
    needs: ClassVar[frozenset[str]] = frozenset({"patch_tokens", "cls_token"})

    def score(self, cues: Cues) -> Float[Tensor, "n"]:
        """Cosine with the CLS state."""
        return row_dots(
            unit_rows(cues.float32("patch_tokens")), unit_rows(cues.float32("cls_token"))
        )
