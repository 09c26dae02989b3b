"""What a method may read of a UniPixel about one clip and one conversation.

The model has no text tower. Its substitutes are scores of their own names.
"""

from collections.abc import Callable, Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from litelvlm.models.requests import Conversation
from litelvlm.models.unipixel.network import UniPixelNetwork
from litelvlm.models.unipixel.prompts import user_turn
from litelvlm.models.unipixel.state import UniPixelState
from litelvlm.models.vlm_base.text import TextBehind
from litelvlm.pruning import CUES, Cues
from litelvlm.pruning.frames import each_frame
from litelvlm.pruning.grid import box_cells

OF_TOWER = (
    *("received_attention", "tower_value_norm", "cls_attention", "keys_mean", "key_norm"),
    *("keys", "values"),
)
"""Cues of the image tower's last block, which attends to whole frames. ``cls_attention`` is
``received_attention``, as VisPruner's author answers for towers without CLS."""
OFFERED = frozenset(
    {
        *OF_TOWER,
        *("projected", "patch_tokens", "input_similarity", "rotary_cosine", "rotary_sine"),
        *("llm_attention", "llm_prompt_attention"),
        *("coverage", "box"),
    }
)
LACKS = frozenset(CUES) - OFFERED
SUBSTITUTES = ("input_similarity", "received_attention", "tower_value_norm")
"""Methods in place of those that rank by CLIP's text; ``reverse`` ranks each the other way."""


def clip_cues(
    network: UniPixelNetwork,
    state: UniPixelState,
    conversation: Conversation,
    coverage: Float[Tensor, "*n"] | None,
    key: int,
) -> Cues:
    """Every cue, computed when a method reads it.

    Args:
        network: The model.
        state: The encoded clip.
        conversation: The words are those of the first question's prompt; attention from masks is
            that of all answers.
        coverage: Share of each token's cell that the true mask covers.
        key: Identity of the clip.
    """
    layout, tokens, count = state.view.layout, state.tokens, state.view.n_tokens
    tower: Mapping[str, Callable[[], Tensor]] = state.signals.cues([count], 0)
    asked = network.prompt(state, user_turn(conversation.questions[0], first=True))
    end = asked.start + count

    def similarity() -> Tensor:
        words = network.qwen.get_input_embeddings()(asked.ids[end:].to(tokens.device))
        return TextBehind(words).similarity(tokens)

    def rotary(part: int) -> Tensor:
        found = network.qwen.model.language_model.rotary_emb(
            tokens[None, :0].float(), position_ids=asked.positions[:, None].to(tokens.device)
        )
        mean: Tensor = (
            found[part].reshape(-1, *found[part].shape[-2:])[0, asked.start : end].mean(-1)
        )
        return mean

    def seg_attention() -> Tensor:
        whole = network.answered(state, conversation)
        return network.attention_to_clip(state, whole, network.seg_places(whole))

    sources: dict[str, Tensor | Callable[[], Tensor]] = {
        "projected": tokens,
        "patch_tokens": tokens,
        "input_similarity": similarity,
        "llm_attention": seg_attention,
        "llm_prompt_attention": lambda: network.attention_to_clip(
            state, asked, torch.tensor([len(asked.ids) - 1])
        ),
        "rotary_cosine": lambda: rotary(0),
        "rotary_sine": lambda: rotary(1),
        **{name: tower[name] for name in OF_TOWER},
    }
    if coverage is not None:
        covered = coverage.flatten().to(tokens.device)
        sources["coverage"] = covered
        sources["box"] = lambda: torch.cat(
            [box_cells(own, layout.grid) for own in covered.float().split(layout.per_frame)]
        )
    cues = Cues(sources, layout, key)
    return each_frame(cues) if network.options.frames == "each" and layout.frames > 1 else cues
