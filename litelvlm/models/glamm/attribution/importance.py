"""Which visual tokens matter inside the language model: attention, a gradient, removal of blocks.

Each signal is a function of the unpruned model, an encoded image and a conversation.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from litelvlm.models.attribution import block_groups, frozen, leave_one_out
from litelvlm.models.base import Conversation
from litelvlm.models.glamm.attribution.targets import TARGETS, Targets
from litelvlm.models.glamm.language import llama as llama_loop
from litelvlm.models.glamm.language.layer_view import LlamaView
from litelvlm.models.glamm.network import GlammNetwork
from litelvlm.models.glamm.outputs import ImageState
from litelvlm.models.glamm.prompting.places import query_places
from litelvlm.names import check_name

QUERIES = ("seg", "last_prompt")
BLOCKS = 6
"""Along each side of the grid."""


@torch.inference_mode()
def attention_rows(
    model: GlammNetwork, state: ImageState, conversation: Conversation, query: str = "seg"
) -> Float[Tensor, "layers heads n"]:
    """Attention of one text token to the visual tokens, in every layer and head.

    This is the decoder's self-attention. Only one row is computed, so any attention kernel works.

    Args:
        model: Grounding model.
        state: The encoded image.
        conversation: Questions with their teacher-forced answers.
        query: "seg": the token whose state predicts [SEG], with several turns the mean over them;
            "last_prompt": the last token before the first answer.

    Returns:
        Weights in [0, 1], float32. A row sums to less than 1, since the text has its share.

    Raises:
        ValueError: If the query is unknown.
    """
    check_name(query, QUERIES, "query")
    spliced = model.splice([model.visual_tokens(state, None)], [conversation], [None])
    start, positions = spliced.image_start[0], spliced.position_ids
    stop = start + model.n_tokens
    after_image = query_places(
        model.tokenizer, conversation, "seg" if query == "seg" else "last_prompt"
    )
    places = torch.tensor(after_image, device=model.device) + stop
    rows: list[Tensor] = []

    def read(index: int, hidden_states: Tensor, position_ids: Tensor) -> tuple[Tensor, Tensor]:
        view = LlamaView(
            model.llama, index, hidden_states[0], position_ids[0], slice(start, stop), places
        )
        rows.append(view.attention(places)[:, :, start:stop].mean(1))
        return hidden_states, position_ids

    llama_loop.decode(model.llama, spliced.embeds, positions, before_layer=read)
    return torch.stack(rows)


def target_gradient(
    model: GlammNetwork, state: ImageState, conversation: Conversation, target: str = "mask_logit"
) -> Float[Tensor, "n d"]:
    """Gradient of a target with respect to the projected visual tokens, float32.

    SAM and the reference mask (the unpruned prediction) are constants, and weights receive no
    gradient.

    Args:
        model: Grounding model; left as found.
        state: The encoded image.
        conversation: Questions with their teacher-forced answers.
        target: One of ``TARGETS``.

    Raises:
        ValueError: If the target is unknown.
    """
    column = TARGETS.index(check_name(target, TARGETS, "target"))
    with frozen(model):
        targets = Targets(model, state, conversation)
        visual = targets.visual.detach().requires_grad_(True)
        value = targets(visual[None])[0, column]
        (gradient,) = torch.autograd.grad(value, visual)
    found: Tensor = gradient.float()
    return found


def block_importance(
    model: GlammNetwork, state: ImageState, conversation: Conversation
) -> Float[Tensor, "n"]:
    """Fall of the soft Dice when a square block of visual tokens is left out, one value per token.

    All tokens of a block have the block's value; ``BLOCKS`` blocks lie along each side of the grid.

    Args:
        model: Grounding model.
        state: The encoded image.
        conversation: Questions with their teacher-forced answers.

    Returns:
        Target of the whole minus target without the block, float32; positive where the block helps.

    Raises:
        ValueError: If the grid has fewer rows or columns than blocks.
    """
    groups = block_groups(state.view.layout, BLOCKS).to(model.device)
    falls = leave_one_out(Targets(model, state, conversation), groups)
    return falls[:, TARGETS.index("soft_dice")][groups]
