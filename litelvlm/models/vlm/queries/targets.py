"""The log-probability of a model's own answer, as a function of its visual tokens."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from litelvlm.models.attribution import TokenTargets, at_least_float32, frozen, rows_at_once
from litelvlm.models.vlm.network import greedy_decoding
from litelvlm.models.vlm.prompts import Prompt, Prompter
from litelvlm.models.vlm.queries.encoded import EncodedPicture, own_generate


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
    def batch_size(self) -> int:
        """Rows whose backward pass fits into 4 GiB, at least one."""
        config = self.answered.picture.network.config.get_text_config()
        return rows_at_once(
            self.length,
            int(config.num_hidden_layers),
            int(config.hidden_size),
            int(config.intermediate_size),
            self.visual.element_size(),
        )

    def __call__(self, visual: Float[Tensor, "b n d"]) -> Float[Tensor, "b 1"]:
        """The target for these visual tokens; differentiable, at least float32."""
        rows = len(visual)
        ids, positions = self.ids.expand(rows, -1), self.positions[:, None].expand(-1, rows, -1)
        return self._of_rows(ids, positions, list(visual))

    @torch.no_grad()
    def keeping(
        self, kept: Bool[Tensor, "b n"], batch_size: int | None = None
    ) -> Float[Tensor, "b 1"]:
        """The target when only some visual tokens reach the language model.

        The others keep their positions.
        """
        dtype = torch.promote_types(self.visual.dtype, torch.float32)
        values = torch.empty(len(kept), 1, dtype=dtype, device=self.visual.device)
        kept = kept.to(self.visual.device)
        counts = kept.sum(1)
        for count in counts.unique().tolist():
            for rows in torch.nonzero(counts == count)[:, 0].split(batch_size or self.batch_size):
                places = self._places(kept[rows])
                columns = places.nonzero()[:, 1].unflatten(0, (len(rows), -1))
                features = [self.visual[row] for row in kept[rows]]
                positions = self.positions[:, columns]
                values[rows] = self._of_rows(self.ids[columns], positions, features)
        return values

    @torch.no_grad()
    def hiding(
        self, hidden: Bool[Tensor, "b n"], batch_size: int | None = None
    ) -> Float[Tensor, "b 1"]:
        """The target when some visual tokens stay but no other token may attend to them."""
        values = []
        for rows in hidden.to(self.visual.device).split(batch_size or self.batch_size):
            count = len(rows)
            positions = self.positions[:, None].expand(-1, count, -1)
            mask = self._places(~rows).long()
            ids = self.ids.expand(count, -1)
            values.append(self._of_rows(ids, positions, [self.visual] * count, mask))
        return torch.cat(values)

    def _places(self, kept: Bool[Tensor, "b n"]) -> Bool[Tensor, "b s"]:
        """All text and the kept visual tokens of each row."""
        places = torch.ones(len(kept), self.length, dtype=torch.bool, device=kept.device)
        places[:, self.start : self.start + self.n_tokens] = kept
        return places

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
