"""One question to an unpruned vision-language model, as importance studies read it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from transformers import PreTrainedConfig

from litelvlm.models.attribution import (
    Flow,
    QueryToken,
    TokenQuery,
    TokenTargets,
    at_least_float32,
    frozen,
)
from litelvlm.models.view import ImageView
from litelvlm.models.vlm.cues import ClipText, item_cues
from litelvlm.models.vlm.layers.find import plain_decoder
from litelvlm.models.vlm.network import greedy_decoding
from litelvlm.models.vlm.prompts import Prompt, Prompter, question
from litelvlm.models.vlm.queries.encoded import EncodedPicture, own_generate
from litelvlm.models.vlm_base.layer_view import head_rows
from litelvlm.pruning import Cues
from litelvlm.pruning.grid import box_cells


@dataclass(frozen=True, eq=False)
class Answered:
    """A question about a picture with the answer that the unpruned model gives.

    Attributes:
        picture: The encoded picture.
        prompt: The question.
        answer: Token ids of the answer, at least one.
        empty: The model answered nothing, and the answer is what it says instead of a first word:
            its end-of-answer token.
    """

    picture: EncodedPicture
    prompt: Prompt
    answer: Int[Tensor, "a"]
    empty: bool

    @property
    def ids(self) -> Int[Tensor, "s"]:
        """Question and answer."""
        ids = torch.cat([self.prompt.ids, self.answer.cpu()])
        return ids.to(self.picture.network.device)


MAX_NEW_TOKENS = 16
"""Longest answer in tokens; a longer one is cut there."""


@torch.no_grad()
def ask(prompter: Prompter, picture: EncodedPicture, sentence: str) -> Answered:
    """Ask a question; the answer ends before the first end-of-answer token.

    Decoding takes the likeliest token at each step; the checkpoint's generation settings
    (penalties, beams) do not apply.
    """
    network = picture.network
    prompt = prompter.prompt(sentence, picture.view.n_tokens)
    ids = prompt.ids[None].to(network.device)
    given = picture.arguments(ids)
    with greedy_decoding(network):
        out = own_generate(network)(**given, **picture.tensors, max_new_tokens=MAX_NEW_TOKENS)
    said = out[0, len(prompt.ids) :].cpu()
    ends = network.generation_config.eos_token_id
    stops = torch.tensor(ends if isinstance(ends, list) else [-1 if ends is None else ends])
    ended = torch.isin(said, stops).nonzero().flatten()
    length = int(ended[0]) if len(ended) else len(said)
    return Answered(picture, prompt, said[: max(length, 1)], empty=length == 0)


class AnswerTargets(TokenTargets):
    """Log-probability of the unpruned model's own greedy answer, summed over its tokens.

    Positions stay those of the unpruned prompt whatever tokens are taken away. Leaving a token out
    is therefore the same as hiding it from all others.

    Args:
        answered: Question, picture and answer.
    """

    names = ("answer_log_prob",)
    main = 0

    def __init__(self, answered: Answered) -> None:
        self.answered = answered
        self.start, self.empty = answered.prompt.start, answered.empty
        with frozen(self.network), torch.no_grad():
            # Copies: autograd refuses tensors of inference mode.
            self.visual: Float[Tensor, "n d"] = answered.picture.features.clone()
            self.ids = answered.ids.clone()
            self.positions = answered.picture.positions(self.ids).clone()
        self.length = len(self.ids)

    @property
    def network(self) -> nn.Module:
        """The whole model."""
        return self.answered.picture.network

    @property
    def layers(self) -> Sequence[nn.Module]:
        """Layers of the language model."""
        return list(self.answered.picture.network.get_decoder().layers)

    @property
    def config(self) -> PreTrainedConfig:
        """Sizes of the language model."""
        return self.answered.picture.network.config.get_text_config()

    def __call__(self, visual: Float[Tensor, "b n d"]) -> Float[Tensor, "b 1"]:
        """The target for these visual tokens; differentiable, at least float32."""
        rows = len(visual)
        ids, positions = self.ids.expand(rows, -1), self.positions[:, None].expand(-1, rows, -1)
        return self._of_rows(ids, positions, list(visual))

    def of_kept(self, kept: Bool[Tensor, "b n"]) -> Float[Tensor, "b 1"]:
        """The target without the other visual tokens; those left keep their positions."""
        kept = kept.to(self.visual.device)
        columns = self.places(kept).nonzero()[:, 1].unflatten(0, (len(kept), -1))
        features = [self.visual[row] for row in kept]
        return self._of_rows(self.ids[columns], self.positions[:, columns], features)

    def of_hidden(self, hidden: Bool[Tensor, "b n"]) -> Float[Tensor, "b 1"]:
        """The target when no other token may attend to some visual tokens."""
        count = len(hidden)
        positions = self.positions[:, None].expand(-1, count, -1)
        mask = self.places(~hidden).long()
        return self._of_rows(self.ids.expand(count, -1), positions, [self.visual] * count, mask)

    def _of_rows(
        self,
        ids: Int[Tensor, "b s"],
        positions: Int[Tensor, "axes b s"],
        features: Sequence[Float[Tensor, "_ d"]],
        mask: Int[Tensor, "b s"] | None = None,
    ) -> Float[Tensor, "b 1"]:
        said = len(self.answered.answer)
        out = self.answered.picture.run(ids, positions, features, mask, said + 1)
        logits: Tensor = out["logits"]
        words = at_least_float32(logits[:, :-1]).log_softmax(-1)
        answer = self.answered.answer.to(words.device).expand(len(ids), -1)
        found: Tensor = words.gather(-1, answer[..., None])[..., 0].sum(1, keepdim=True)
        return found


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
