"""The states that masks are decoded from, read from given answers or from generated ones."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from litelvlm.models.base import Conversation
from litelvlm.models.glamm.language.calibration import calibrated_masks
from litelvlm.models.glamm.language.generation import greedy
from litelvlm.models.glamm.language.given import forward_given
from litelvlm.models.glamm.language.layer_pruning import LayerDropping
from litelvlm.models.glamm.network import GlammNetwork
from litelvlm.models.glamm.outputs import TurnOutputs
from litelvlm.models.glamm.prompting.prompts import IMAGE_TOKEN, SEG_TOKEN
from litelvlm.pruning import Selection
from litelvlm.pruning.layers.base import LayerPlan


def read_given_answers(
    model: GlammNetwork,
    visual: Sequence[Float[Tensor, "_ e"]],
    conversations: Sequence[Conversation],
    selections: Sequence[Selection | None],
) -> list[TurnOutputs]:
    """Read the states of a batch of conversations whose answers are given (teacher forcing).

    Args:
        model: Grounding model.
        visual: Projected visual tokens of each conversation.
        conversations: Questions with all their answers.
        selections: The selection that gave each conversation's visual tokens.
    """
    spliced = model.splice(visual, conversations, selections)
    dropping = LayerDropping(
        model.llama,
        model.tokenizer,
        conversations,
        selections,
        spliced.image_start,
        spliced.lengths,
    )
    planned = any(isinstance(selection, LayerPlan) for selection in selections)
    given = forward_given(
        model.llama,
        spliced.embeds,
        spliced.position_ids,
        [[i + model.read_offset for i in row] for row in spliced.seg_index],
        calibrated_masks(model.llama, selections, spliced.image_start, spliced.position_ids),
        dropping if planned else None,  # plans and masks never share a batch
        dropping.shifted,
    )
    answers = [conversation.answers for conversation in conversations]
    rows = zip(given.seg_states, answers, dropping.outcomes(), strict=True)
    return [TurnOutputs(*row) for row in rows]


def generate_answers(
    model: GlammNetwork,
    visual: Float[Tensor, "r e"],
    conversation: Conversation,
    selection: Selection | None,
    limit: int,
) -> TurnOutputs:
    """Let the model answer the questions of a conversation greedily, turn by turn.

    Its earlier answers stay in the prompt. They run to their end (or the limit), as later turns see
    them. The last answer stops at [SEG].

    Args:
        model: Grounding model.
        visual: Projected visual tokens.
        conversation: Only its questions are used.
        selection: The selection that gave the visual tokens.
        limit: Longest answer in tokens.

    Raises:
        ValueError: If the limit is below 1, or the selection needs given answers: calibrated
            attention, or tokens dropped by the attention of the [SEG] query.
    """
    if limit < 1:
        raise ValueError(f"max_new_tokens {limit} is too small; allow at least 1 token")
    if isinstance(selection, LayerPlan) and selection.pruner.effective_query_token == "seg":  # noqa: S105 - a place in the text
        raise ValueError(
            "query_token='seg' is known in forced answers only; "
            "use 'last_prompt' with generated ones"
        )
    if selection is not None and selection.sizes is not None:
        raise ValueError(
            "calibrated attention is for forced answers only; choose a method other than 'restore'"
        )
    tokenizer, kept = model.tokenizer, selection
    answers: tuple[str, ...] = ()
    states: list[Tensor] = []
    for turn in range(len(conversation.questions)):
        so_far = conversation.until(turn, answers)
        spliced = model.splice([visual], [so_far], [selection])
        dropping = LayerDropping(
            model.llama, tokenizer, [so_far], [selection], spliced.image_start, spliced.lengths
        )
        is_last = turn == len(conversation.questions) - 1
        stops = {tokenizer.eos_id} | ({tokenizer.seg_id} if is_last else set())
        reply = greedy(
            model.llama,
            spliced.embeds,
            spliced.position_ids,
            stops.__contains__,
            limit,
            dropping,
            feed_last=bool(model.read_offset),
        )
        (kept,) = dropping.outcomes()
        read = reply.own_states if model.read_offset else reply.states
        missing = torch.full_like(reply.states[0], float("nan"))
        found = tokenizer.seg_id in reply.ids
        states.append(read[reply.ids.index(tokenizer.seg_id)] if found else missing)
        answers = (*answers, decode_answer(model, reply.ids))
    return TurnOutputs(torch.stack(states), answers, kept)


def decode_answer(model: GlammNetwork, ids: tuple[int, ...]) -> str:
    """Text of a generated answer, without its end token and without image placeholders."""
    tokenizer = model.tokenizer
    before_end = ids[: ids.index(tokenizer.eos_id)] if tokenizer.eos_id in ids else ids
    # The tokenizer writes a blank after every added token. The answer templates have none before a
    # full stop.
    return (
        tokenizer.decode(before_end)
        .replace(IMAGE_TOKEN, "")
        .replace(f"{SEG_TOKEN} .", f"{SEG_TOKEN}.")
        .strip()
    )
