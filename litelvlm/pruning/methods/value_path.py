"""Similarity with the text that is not reversed, because the last block's values are read."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import avg_pool2d

from litelvlm.pruning.base import ScorePruner
from litelvlm.pruning.cues import Cues
from litelvlm.pruning.options import FromZero
from litelvlm.pruning.scoring import text_similarity

Readout = Literal["value_path", "surgery", "clear_clip"]


@dataclass(frozen=True, kw_only=True)
class ValuePath(ScorePruner):
    """Keeps the patches whose values resemble the text: ``s_i = mean_t cos(t_t, V_i)``.

    V are the patches in CLIP's joint space, read through the last block without its attention,
    residual and MLP, instead of the second-last layer that the model's projector gets. What is
    pruned stays the same; only the ranking reads CLIP elsewhere. Raster order, contiguous
    positions. Cost: the last block's values and output projection (N x 2 D^2), its final norm and
    projection, and one T x N product.

    Attributes:
        direction: "highest" keeps the most similar patches, "lowest" the least similar ones.
        readout: "value_path": values of the last block alone (MaskCLIP, arXiv 2112.01071).
            "surgery": value-value attention of up to six last blocks (CLIP Surgery, arXiv
            2304.05653). "clear_clip": query-query attention of the last block alone (ClearCLIP,
            arXiv 2407.12442).
        smoothing: Cells on each side whose scores a patch's own is averaged with, within its frame;
            0 leaves the scores as they are.
    """

    name: ClassVar[str] = "value_path"
    title: ClassVar[str] = "value-path similarity"
    summary: ClassVar[str] = "patches whose values in CLIP's last block resemble the text"
    needs: ClassVar[frozenset[str]] = frozenset(
        {"value_path_embeds", "surgery_embeds", "clear_clip_embeds", "text_embeds"}
    )
    text_guided: ClassVar[bool] = True

    direction: Literal["highest", "lowest"] = "highest"
    readout: Readout = "value_path"
    smoothing: FromZero = 0

    @property
    def about(self) -> str:
        """The summary, with the direction that its field names."""
        least = self.direction == "lowest"
        return self.summary.replace("resemble", "least resemble") if least else self.summary

    def score(self, cues: Cues) -> Float[Tensor, "n"]:
        """Mean cosine over the texts, in the direction that is kept."""
        read = cues.replaced(patch_embeds=cues.get(f"{self.readout}_embeds"))
        scores = text_similarity(read, "cosine").mean(dim=0)
        if self.smoothing:
            planes = scores.reshape(cues.frames, 1, *cues.grid)
            window = 2 * self.smoothing + 1
            scores = avg_pool2d(
                planes, window, stride=1, padding=self.smoothing, count_include_pad=False
            ).flatten()
        return scores if self.direction == "highest" else -scores
