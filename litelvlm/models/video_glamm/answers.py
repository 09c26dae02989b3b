"""The states that masks are decoded from, read from given answers or from generated ones."""

from litelvlm.models.requests import Conversation
from litelvlm.models.video_glamm.language import generate, read_prompt
from litelvlm.models.video_glamm.network import VideoGlammNetwork
from litelvlm.models.video_glamm.outputs import Turn, VisualBlock
from litelvlm.models.video_glamm.prompts import IMAGE_TOKEN


def given_turns(
    model: VideoGlammNetwork, block: VisualBlock, conversation: Conversation, n_frames: int
) -> list[Turn]:
    """Read the answers of a conversation in one pass (teacher forcing)."""
    spliced = model.splice(block, conversation, n_frames)
    states = read_prompt(model.phi3, spliced.embeds, spliced.positions)
    seg = model.tokenizer.seg_id
    places = [i - 1 + spliced.shift for i, token in enumerate(spliced.ids) if token == seg]
    pairs = zip(conversation.answers, places, strict=True)
    return [Turn(text, states[place]) for text, place in pairs]


def generated_turns(
    model: VideoGlammNetwork,
    block: VisualBlock,
    conversation: Conversation,
    n_frames: int,
    limit: int,
) -> list[Turn]:
    """Let the model answer turn by turn; later turns see earlier answers.

    Raises:
        ValueError: If the limit is below 1.
    """
    if limit < 1:
        raise ValueError(f"max_new_tokens {limit} is too small; allow at least 1 token")
    turns: list[Turn] = []
    for number in range(len(conversation.questions)):
        so_far = conversation.until(number, tuple(turn.text for turn in turns))
        spliced = model.splice(block, so_far, n_frames, limit)
        ends = model.config.ends.__contains__
        reply = generate(model.phi3, spliced.embeds, spliced.positions, ends, limit)
        ids = reply.ids[:-1] if ends(reply.ids[-1]) else reply.ids
        seg = model.tokenizer.seg_id
        state = reply.states[reply.ids.index(seg)] if seg in reply.ids else None
        # A placeholder that the model spells must not become one in the next turn.
        text = model.tokenizer.decode(ids).replace(IMAGE_TOKEN, "")
        turns.append(Turn(text, state))
    return turns
