"""One question to an unpruned GLaMM, as importance studies read it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from jaxtyping import Float
from torch import Tensor, nn

from litelvlm.models.attribution import Flow, QueryToken, TokenQuery, TokenTargets
from litelvlm.models.base import Conversation, ImageView
from litelvlm.models.glamm.attribution.layers import attention_flow
from litelvlm.models.glamm.attribution.targets import Targets, attention_rows
from litelvlm.models.glamm.cues import image_cues
from litelvlm.models.glamm.network import GlammNetwork
from litelvlm.models.glamm.outputs import ImageState
from litelvlm.models.glamm.prompting import prompts
from litelvlm.pruning import Cues


@dataclass(frozen=True)
class GlammQuery(TokenQuery):
    """One conversation about one image.

    Attributes:
        model: The GLaMM that answers.
        state: The encoded image.
        conversation: Its questions and answers.
        batch_size: Rows at once; None for as many as are safe.
    """

    model: GlammNetwork
    state: ImageState
    conversation: Conversation
    batch_size: int | None = None

    @property
    def similarity(self) -> Literal["clip", "input"]:
        """Both towers of CLIP."""
        return "clip"

    @property
    def view(self) -> ImageView:
        """Where the visual tokens lie."""
        return self.state.view

    @property
    def layers(self) -> Sequence[nn.Module]:
        """Layers of the language model."""
        return list(self.model.llama.model.layers)

    @property
    def initializer_range(self) -> float:
        """Standard deviation that LLaMA's matrices are drawn with before training."""
        return float(self.model.llama.config.initializer_range)

    def cues(self, coverage: Float[Tensor, "*n"] | None = None) -> Cues:
        """What a method may read of this conversation."""
        return image_cues(self.model, self.state, self.conversation, coverage)

    def targets(self) -> Targets:
        """Mask logit, soft Dice and log-probability of [SEG] as functions of the visual tokens."""
        return Targets(self.model, self.state, self.conversation)

    def attention_rows(self, query: QueryToken = "answer") -> Float[Tensor, "layers heads n"]:
        """Attention of one text token; the answer is the token whose state predicts [SEG]."""
        token = "seg" if query == "answer" else query
        return attention_rows(self.model, self.state, self.conversation, token)

    def flow(self, targets: TokenTargets) -> Flow | None:
        """Value-weighted attention, rollout and relevance for the soft Dice."""
        return attention_flow(targets) if isinstance(targets, Targets) else None

    def reworded(self, question_index: int) -> "GlammQuery":
        """The same expressions in another question template."""
        asked = prompts.conversation(self.conversation.expressions, question_index)
        return replace(self, conversation=asked)
