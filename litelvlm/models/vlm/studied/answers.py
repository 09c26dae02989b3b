"""Let a model answer a question about a picture, greedily and unpruned."""

from dataclasses import dataclass

import torch

from litelvlm.models.vlm.greedy import greedy_decoding
from litelvlm.models.vlm.studied.encoded import EncodedPicture, own_generate
from litelvlm.models.vlm.studied.prompts import Prompt, Prompter
from litelvlm.models.vlm.studied.targets import Answered

MAX_NEW_TOKENS = 16
"""Longest answer in tokens; a longer one is cut there."""


@dataclass(frozen=True)
class Speaker:
    """Asks a model and takes its answer.

    Attributes:
        prompter: Makes prompts.
        max_new_tokens: Longest answer.
    """

    prompter: Prompter
    max_new_tokens: int = MAX_NEW_TOKENS

    def prompt(self, picture: EncodedPicture, sentence: str) -> Prompt:
        """The prompt of a question about a picture."""
        return self.prompter.prompt(sentence, picture.view.n_tokens)

    @torch.no_grad()
    def answer(self, picture: EncodedPicture, sentence: str) -> Answered:
        """Ask a question; the answer ends before the first end-of-answer token.

        Decoding takes the likeliest token at each step; the checkpoint's generation settings
        (penalties, beams) do not apply.
        """
        network, prompt = picture.network, self.prompt(picture, sentence)
        ids = prompt.ids[None].to(network.device)
        given = picture.arguments(ids)
        with greedy_decoding(network):
            out = own_generate(network)(
                **given, **picture.tensors, max_new_tokens=self.max_new_tokens
            )
        said = out[0, len(prompt.ids) :].cpu()
        ends = network.generation_config.eos_token_id
        stops = torch.tensor(ends if isinstance(ends, list) else [-1 if ends is None else ends])
        ended = torch.isin(said, stops).nonzero().flatten()
        length = int(ended[0]) if len(ended) else len(said)
        return Answered(picture, prompt, said[: max(length, 1)], empty=length == 0)
