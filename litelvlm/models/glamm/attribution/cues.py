"""Cues of the language model: rotary coordinates of the image, and signals of an unpruned pass."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from litelvlm.models.base import Conversation
from litelvlm.models.glamm.attribution.importance import (
    attention_rows,
    block_importance,
    target_gradient,
)
from litelvlm.models.glamm.network import GlammNetwork
from litelvlm.models.glamm.outputs import ImageState
from litelvlm.models.glamm.prompting import prompts
from litelvlm.models.glamm.prompting.tokenizer import IMAGE_INDEX

Sources = Mapping[str, Callable[[], Tensor]]


def coordinate_cues(model: GlammNetwork) -> Sources:
    """Mean cosine and sine of the rotary angles at the positions of unpruned visual tokens."""

    def means() -> tuple[Tensor, Tensor]:
        # The text before the image is the same in every conversation.
        start = model.tokenizer.encode(prompts.full_prompt(prompts.conversation(["it"]))).index(
            IMAGE_INDEX
        )
        positions = start + torch.arange(model.n_tokens, device=model.device)
        like = torch.empty(0, device=model.device)
        cos, sin = model.llama.model.rotary_emb(like, position_ids=positions[None])
        return cos[0].mean(dim=1), sin[0].mean(dim=1)

    return {"rotary_cosine": lambda: means()[0], "rotary_sine": lambda: means()[1]}


def signal_cues(model: GlammNetwork, state: ImageState, conversation: Conversation) -> Sources:
    """What the unpruned model attends to and what its answer depends on."""

    def attention(query: str) -> Tensor:
        return attention_rows(model, state, conversation, query).mean(dim=1).T

    return {
        "llm_attention": lambda: attention("seg"),
        "llm_prompt_attention": lambda: attention("last_prompt"),
        "llm_gradient": lambda: target_gradient(model, state, conversation),
        "block_importance": lambda: block_importance(model, state, conversation),
    }
