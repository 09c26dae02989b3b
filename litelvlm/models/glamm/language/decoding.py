"""Conversations in which the model speaks for itself, turn by turn."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from litelvlm.models.base import Conversation
from litelvlm.models.glamm.language.calibration import decode_selected
from litelvlm.models.glamm.language.generation import greedy
from litelvlm.models.glamm.language.layer_pruning import LayerDropping
from litelvlm.models.glamm.network import GlammNetwork
from litelvlm.models.glamm.outputs import TurnOutputs
from litelvlm.models.glamm.prompting.prompts import IMAGE_TOKEN, SEG_TOKEN
from litelvlm.pruning import Selection
from litelvlm.pruning.layers.base import LayerPlan


def read_forced(
    model: GlammNetwork,
    visual: Sequence[Float[Tensor, "_ e"]],
    talks: Sequence[Conversation],
    selections: Sequence[Selection | None],
) -> list[TurnOutputs]:
    """Read the states of a batch of conversations whose answers are in place.

    Args:
        model: Grounding model.
        visual: Projected visual tokens of each row.
        talks: One conversation per row.
        selections: What the visual tokens came from.
    """
    spliced = model.splice(visual, talks, selections)
    dropping = LayerDropping(
        model.llama, model.tokenizer, talks, selections, spliced.image_start, spliced.lengths
    )
    hidden_states = decode_selected(model.llama, spliced, selections, dropping)
    places = [[i + model.read_offset for i in row] for row in dropping.shifted(spliced.seg_index)]
    rows = zip(places, talks, dropping.outcomes(), strict=True)
    return [
        TurnOutputs(hidden_states[i, at], talk.answers, out)
        for i, (at, talk, out) in enumerate(rows)
    ]


def say(
    model: GlammNetwork,
    visual: Float[Tensor, "r e"],
    talk: Conversation,
    selection: Selection | None,
    limit: int,
) -> TurnOutputs:
    """Let the model answer the questions of a conversation greedily; its own earlier answers stay in the prompt.

    Earlier answers run to their end (or the limit), as later turns see them; the last one stops at
    [SEG].

    Args:
        model: Grounding model.
        visual: Projected visual tokens.
        talk: Its questions are asked; its answers do not count.
        selection: What the visual tokens came from.
        limit: Longest answer in tokens.

    Raises:
        ValueError: If the limit is below 1, attention is to be calibrated, or tokens are to be
            dropped by what the [SEG] query sees, which is known in forced answers only.
    """
    if limit < 1:
        raise ValueError(f"max_new_tokens {limit} is too small; allow at least 1 token")
    if isinstance(selection, LayerPlan) and selection.pruner.effective_query_token == "seg":  # noqa: S105 - a place in the text
        raise ValueError(
            "query_token='seg' is known in forced answers only; use 'last_prompt' with generated ones"
        )
    if selection is not None and selection.sizes is not None:
        raise ValueError(
            "calibrated attention is for forced answers only; choose a method other than 'restore'"
        )
    words, kept = model.tokenizer, selection
    answers: tuple[str, ...] = ()
    states: list[Tensor] = []
    for turn in range(len(talk.questions)):
        asked = talk.until(turn, answers)
        spliced = model.splice([visual], [asked], [selection])
        dropping = LayerDropping(
            model.llama, words, [asked], [selection], spliced.image_start, spliced.lengths
        )
        stops = {words.eos_id} | ({words.seg_id} if turn == len(talk.questions) - 1 else set())
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
        nothing = torch.full_like(reply.states[0], float("nan"))
        states.append(read[reply.ids.index(words.seg_id)] if words.seg_id in reply.ids else nothing)
        answers = (*answers, spoken(model, reply.ids))
    return TurnOutputs(torch.stack(states), answers, kept)


def spoken(model: GlammNetwork, ids: tuple[int, ...]) -> str:
    """Text of an answer without its end; what spells the image placeholder is taken out."""
    told = ids[: ids.index(model.tokenizer.eos_id)] if model.tokenizer.eos_id in ids else ids
    # The decoder sets a blank behind every added token, which the answers' spelling has not before
    # a full stop.
    return (
        model.tokenizer.decode(told)
        .replace(IMAGE_TOKEN, "")
        .replace(f"{SEG_TOKEN} .", f"{SEG_TOKEN}.")
        .strip()
    )
