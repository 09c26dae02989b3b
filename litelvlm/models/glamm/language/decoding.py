"""The states that masks are decoded from, read from given answers or from generated ones."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int, Real
from torch import Tensor
from transformers import DynamicCache, LlamaForCausalLM

from litelvlm.models.base import Conversation
from litelvlm.models.glamm.language.layer_pruning import LayerDropping
from litelvlm.models.glamm.language.llama import (
    BeforeLayer,
    GivenStates,
    LayerMask,
    Places,
    causal_mask,
    decode,
    forward_given,
)
from litelvlm.models.glamm.network import GlammNetwork
from litelvlm.models.glamm.outputs import Spliced, TurnOutputs
from litelvlm.models.glamm.prompting.prompts import IMAGE_TOKEN, SEG_TOKEN
from litelvlm.pruning import Selection
from litelvlm.pruning.layers.base import LayerPlan


def distance_bias(cos: Float[Tensor, "s e"], sin: Float[Tensor, "s e"]) -> Float[Tensor, "s s"]:
    """``log(2 - m(d))`` for every pair of tokens, m the mean cosine of their rotary distance.

    Args:
        cos: Cosine of every token's rotary angles.
        sin: Their sine.

    Returns:
        0 for tokens at one position, growing with their distance.
    """
    # The cosine of a difference of angles is the sum of two products.
    mean = (cos @ cos.T + sin @ sin.T) / cos.shape[1]
    return (2 - mean).log()


def calibrated_masks(
    llama: LlamaForCausalLM,
    selections: Sequence[Selection | None],
    starts: Sequence[int],
    position_ids: Int[Tensor, "b s"],
) -> LayerMask | None:
    """Causal masks [b, 1, s, s] by layer with calibration; None if no selection needs it.

    The first layer counts every visual token as N / R patches, later layers as the patches it
    holds. Text tokens count one. The distance term applies to all pairs of tokens.

    Args:
        llama: The language model.
        selections: One per row; those with ``sizes`` are calibrated.
        starts: Index of the first visual token of each row.
        position_ids: Rotary positions of the batch.

    Raises:
        ValueError: If a row drops tokens inside the language model, or the attention kernel accepts
            no bias.

    Source: RESTORE, official code; arXiv 2606.01711.
    """
    if all(selection is None or selection.sizes is None for selection in selections):
        return None
    if any(isinstance(selection, LayerPlan) for selection in selections):
        raise ValueError(
            "calibrated rows and rows that drop tokens inside the language model cannot share a "
            "batch; ground them in separate batches"
        )
    kernel = llama.config._attn_implementation
    if "flash" in str(kernel):
        raise ValueError(
            f"attention kernel {kernel!r} does not accept the additive bias that calibration "
            "needs; use sdpa"
        )
    cos, sin = llama.model.rotary_emb(
        torch.empty(0, device=position_ids.device), position_ids=position_ids
    )
    rows, length = position_ids.shape
    first, later = (torch.zeros(rows, 1, length, device=cos.device) for _ in range(2))
    distance = torch.zeros(rows, length, length, device=cos.device)
    for row, (selection, start) in enumerate(zip(selections, starts, strict=True)):
        if selection is not None and selection.sizes is not None:
            visual = slice(start, start + len(selection))
            first[row, 0, visual] = torch.tensor(selection.n_tokens / len(selection)).log()
            later[row, 0, visual] = selection.sizes.to(later.device).log()
            distance[row] = distance_bias(cos[row].float(), sin[row].float())
    causal = causal_mask(length, torch.float32, cos.device)
    floor = torch.finfo(llama.dtype).min
    masks = [
        (causal + (size + distance)[:, None]).clamp(min=floor).to(llama.dtype)
        for size in (first, later)
    ]
    return lambda layer: masks[min(layer, 1)]


@dataclass(frozen=True)
class Reply:
    """A generated answer, token by token.

    Attributes:
        ids: Tokens in order. The last one is the stop token, unless the limit came first.
        states: State (after the final norm) that predicted each token.
        own_states: State of each token itself, as far as tokens were fed back.
    """

    ids: tuple[int, ...]
    states: Float[Tensor, "n d"]
    own_states: Float[Tensor, "m d"]


def greedy(
    llama: LlamaForCausalLM,
    inputs_embeds: Float[Tensor, "1 s d"],
    position_ids: Real[Tensor, "1 s"],
    stop: Callable[[int], bool],
    limit: int,
    before_layer: BeforeLayer | None = None,
    feed_last: bool = False,
) -> Reply:
    """Generate the most probable token again and again; of equal ones the lowest id.

    Args:
        llama: The language model.
        inputs_embeds: The prompt.
        position_ids: Rotary position of every token; the answer continues from the last one.
        stop: Whether a token ends the answer.
        limit: Tokens at most, 1 or more.
        before_layer: May drop tokens of the prompt between layers. In each layer the answer then
            continues from the last position there.
        feed_last: Run the last token too, so that its own state is known.
    """
    cache = DynamicCache()
    last: list[float] = []

    def prompt(index: int, states: Tensor, positions: Tensor) -> tuple[Tensor, Tensor]:
        if before_layer is not None:
            states, positions = before_layer(index, states, positions)
        last.append(positions[0, -1].item())
        return states, positions

    ids: list[int] = []
    own: list[Tensor] = []
    state = decode(llama, inputs_embeds, position_ids, before_layer=prompt, cache=cache)[:, -1]
    predicting = [state]
    while True:
        logits = llama.lm_head(state)[0]
        ids.append(int((logits == logits.max()).nonzero()[0]))
        ended = len(ids) == limit or stop(ids[-1])
        if ended and not feed_last:
            break
        embeds = llama.model.embed_tokens(torch.tensor([ids[-1:]], device=inputs_embeds.device))
        places = [torch.full_like(position_ids[:, :1], position) + len(ids) for position in last]

        def follow(
            index: int, states: Tensor, _: Tensor, places: list[Tensor] = places
        ) -> tuple[Tensor, Tensor]:
            return states, places[index]

        state = decode(llama, embeds, places[0], before_layer=follow, cache=cache)[:, -1]
        own.append(state)
        if ended:
            break
        predicting.append(state)
    return Reply(tuple(ids), torch.cat(predicting), torch.cat(own) if own else state[:0])


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
    places = [[i + model.read_offset for i in row] for row in spliced.seg_index]
    given, outcomes = read_given_states(model, spliced, conversations, selections, places)
    answers = [conversation.answers for conversation in conversations]
    rows = zip(given.seg_states, answers, outcomes, strict=True)
    return [TurnOutputs(*row) for row in rows]


def read_given_states(
    model: GlammNetwork,
    spliced: Spliced,
    conversations: Sequence[Conversation],
    selections: Sequence[Selection | None],
    places: Places,
) -> tuple[GivenStates, list[Selection | None]]:
    """One differentiable pass over a batch of conversations, under all that a selection asks for.

    Args:
        model: Grounding model.
        spliced: Its inputs.
        conversations: As they were spliced.
        selections: Likewise.
        places: Indices behind the image whose states are wanted, for each conversation.

    Returns:
        The states, and each selection as it was carried out.
    """
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
        places,
        calibrated_masks(model.llama, selections, spliced.image_start, spliced.position_ids),
        dropping if planned else None,  # plans and masks never share a batch
        dropping.shifted,
    )
    return given, dropping.outcomes()


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
