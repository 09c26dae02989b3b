"""UniPixel's language model: it reads a conversation with a cache, and answers greedily."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformers import DynamicCache, Qwen2_5_VLForConditionalGeneration


@contextmanager
def norm_inputs(norm: nn.Module) -> Iterator[list[Tensor]]:
    """What enters the final norm inside the block, one tensor per pass."""
    seen: list[Tensor] = []

    def remember(_module: nn.Module, given: tuple[Tensor, ...]) -> None:
        seen.append(given[0])

    handle = norm.register_forward_pre_hook(remember)
    try:
        yield seen
    finally:
        handle.remove()


@dataclass(frozen=True)
class Answer:
    """A generated answer.

    Attributes:
        ids: Its tokens, the one that ends it included.
        states: State before the final norm that predicts each token.
        logits: Of each token.
    """

    ids: tuple[int, ...]
    states: Float[Tensor, "n d"]
    logits: Float[Tensor, "n v"]

    def state_of(self, token: int) -> Float[Tensor, "d"] | None:
        """State that predicts the first such token; None without any."""
        return self.states[self.ids.index(token)] if token in self.ids else None


class Reading:
    """One conversation in the course of being read.

    Args:
        model: Qwen2.5-VL.
    """

    def __init__(self, model: Qwen2_5_VLForConditionalGeneration) -> None:
        self.model, self.decoder = model, model.model.language_model
        self.cache = DynamicCache(config=self.decoder.config)
        self._last: Float[Tensor, d] | None = None
        self._before: Float[Tensor, d] | None = None
        self._next = 0

    def embed(self, ids: Int[Tensor, "s"]) -> Float[Tensor, "s d"]:
        """Embeddings of text tokens."""
        found: Tensor = self.decoder.embed_tokens(ids.to(self.model.device))
        return found

    def read(
        self, embeds: Float[Tensor, "s d"], positions: Int[Tensor, "3 s"] | None = None
    ) -> Float[Tensor, "s d"]:
        """Read on; gives the states before the final norm.

        Args:
            embeds: Of the next tokens.
            positions: Of each; behind the last token read, one after the other, if left out.
        """
        if positions is None:
            positions = (self._next + torch.arange(len(embeds))).expand(3, -1)
        # Without a mask the library may take a gap in the positions for another sequence.
        mask = torch.ones(1, self.cache.get_seq_length() + len(embeds), dtype=torch.long)
        with norm_inputs(self.decoder.norm) as seen:
            out = self.decoder(
                inputs_embeds=embeds[None],
                attention_mask=mask.to(embeds.device),
                position_ids=positions[:, None].to(embeds.device),
                past_key_values=self.cache,
                use_cache=True,
            )
        self._next = int(positions[:, -1].max()) + 1
        self._last, self._before = out.last_hidden_state[0, -1], seen[0][0, -1]
        return seen[0][0]

    def answer(self, stop: Callable[[int], bool], most: int) -> Answer:
        """Take the likeliest token at each step.

        Args:
            stop: Whether nothing is generated behind a token; it is not asked of the last that
                fits.
            most: Tokens of the longest answer.
        """
        ids: list[int] = []
        states, logits = [], []
        while len(ids) < most:
            if self._last is None or self._before is None:
                raise ValueError("an answer follows a prompt; read one first")
            states.append(self._before)
            logits.append(self.model.lm_head(self._last))
            ids.append(int(logits[-1].argmax()))
            if len(ids) == most or stop(ids[-1]):
                break
            self.read(self.embed(torch.tensor(ids[-1:])))
        return Answer(tuple(ids), torch.stack(states), torch.stack(logits))
