"""One question to an unpruned vision-language model, as importance studies read it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from litelvlm.models.attribution import Flow, QueryToken, TokenQuery, TokenTargets
from litelvlm.models.view import ImageView
from litelvlm.models.vlm.cues import ClipText, item_cues
from litelvlm.models.vlm.layers.find import plain_decoder
from litelvlm.models.vlm.layers.prompt_attention import head_rows
from litelvlm.models.vlm.prompts import Prompter, question
from litelvlm.models.vlm.queries.encoded import EncodedPicture
from litelvlm.models.vlm.queries.targets import Answered, AnswerTargets, ask
from litelvlm.pruning import Cues
from litelvlm.pruning.grid import box_cells


@dataclass(frozen=True, eq=False)
class VlmQuery(TokenQuery):
    """One question about one picture.

    Attributes:
        prompter: Makes prompts.
        picture: The encoded picture.
        expression: What is asked about.
        question_index: Question template.
        batch_size: Rows at once; None for as many as are safe.
        clip: Both towers of the model's CLIP; None where it has none.
    """

    prompter: Prompter
    picture: EncodedPicture
    expression: str
    question_index: int
    batch_size: int | None
    clip: ClipText | None

    @property
    def similarity(self) -> Literal["clip", "input"]:
        """CLIP where the model has both its towers."""
        return "input" if self.clip is None else "clip"

    @property
    def sentence(self) -> str:
        """The question."""
        return question(self.expression, self.question_index)

    @cached_property
    def answered(self) -> Answered:
        """The question with the model's own greedy answer."""
        return ask(self.prompter, self.picture, self.sentence)

    @property
    def view(self) -> ImageView:
        """Where the visual tokens lie."""
        return self.picture.view

    @property
    def layers(self) -> Sequence[nn.Module]:
        """Layers of the language model."""
        return list(self.picture.network.get_decoder().layers)

    @property
    def initializer_range(self) -> float:
        """Standard deviation that matrices are drawn with before training."""
        return float(self.picture.network.config.get_text_config().initializer_range)

    def cues(self, coverage: Float[Tensor, "*n"] | None = None) -> Cues:
        """What a method may read; CLIP's text is the question."""
        clip = None if self.clip is None else replace(self.clip, sentences=(self.sentence,))
        sources = self.picture.sources(self.answered.prompt, clip)
        (item,) = sources.items
        cues = item_cues(item, 0, sources.of(item))
        if coverage is None:
            return cues
        covered = coverage.flatten().to(self.picture.network.device)
        return cues.replaced(coverage=covered, box=box_cells(covered.float(), cues.layout.plane))

    def targets(self) -> AnswerTargets:
        """The log-probability of the answer as a function of the visual tokens."""
        return AnswerTargets(self.answered)

    @torch.no_grad()
    def attention_rows(self, query: QueryToken = "answer") -> Float[Tensor, "layers heads n"]:
        """Attention of text tokens; the answer is all tokens whose states predict its tokens."""
        answered, prompt = self.answered, self.answered.prompt
        last = len(prompt.ids) - 1
        places = range(last, last + (len(answered.answer) if query == "answer" else 1))
        network = self.picture.network
        decoder = plain_decoder(network, "attention", self.picture.family.model_type)
        queries = torch.tensor(list(places), device=network.device)
        return head_rows(decoder, self._run, queries, prompt.start, prompt.start + prompt.n_tokens)

    def flow(self, targets: TokenTargets) -> Flow | None:
        """None: maps of whole layers are read of GLaMM alone."""
        return None

    def reworded(self, question_index: int) -> "VlmQuery":
        """The same expression in another question template."""
        return replace(self, question_index=question_index)

    def _run(self) -> None:
        ids: Int[Tensor, s] = self.answered.ids
        positions = self.picture.positions(ids)[:, None]
        self.picture.run(ids[None], positions, [self.picture.features], logits_to_keep=1)
