"""Generated answers: equal to forced ones where the words are equal.

They are honest where no [SEG] is said.
"""

import pytest
import torch

from litelvlm import get_pruner, load_model
from litelvlm.models.glamm.language.decoding import greedy
from tests.glamm_parts import ANSWERS, SEG_TOKEN, Conversation, conversation, decode, full_prompt

TALK = conversation(["the red circle"], 3, 2)
AFTER_QUESTION, BEFORE_SEG = "last_prompt", "seg"


def forced_with(talk: Conversation, answers: tuple[str, ...]) -> Conversation:
    return Conversation(talk.expressions, talk.questions, answers)


def assert_same(a, b):
    torch.testing.assert_close(a.seg_state, b.seg_state, atol=2e-4, rtol=1e-4)
    torch.testing.assert_close(a.logits, b.logits, atol=2e-4, rtol=1e-4)


@pytest.mark.parametrize("read", ["before_seg", "seg"])
@pytest.mark.parametrize("attn", ["sdpa", "eager"])
def test_the_miniature_says_a_trained_answer_and_masks_as_if_forced(data, read, attn):
    model = load_model("embedded", device="cpu", attn=attn).with_options(read=read)
    for sample in data[:3]:
        state = model.encode_image(sample.image())
        talk = conversation([sample.expressions[0].sent], 1)
        said = model.ground([state], [talk], [None], answer="generated")[0]
        assert said.found == (True,)
        # Decoding stops at [SEG], so the full stop of the template is not said.
        assert f"{said.answers[0]}." in ANSWERS
        assert_same(said, model.ground([state], [forced_with(talk, said.answers)], [None])[0])


@pytest.mark.parametrize("name", ["litelvlm", "fastv", "pyramiddrop"])
@pytest.mark.parametrize("positions", ["contiguous", "original"])
def test_pruned_tokens_stay_pruned_while_decoding(model, state, name, positions):
    asks = {"query_token": AFTER_QUESTION} if name == "fastv" else {}
    pruner = get_pruner(name, positions=positions, **asks)
    selection = pruner.select(model.cues(state, TALK), 48)
    said = model.ground([state], [TALK], [selection], answer="generated")[0]
    assert said.found == (True,)
    if name == "litelvlm":  # a layer pruner's query differs between an open and an answered prompt
        assert_same(said, model.ground([state], [forced_with(TALK, said.answers)], [selection])[0])


def test_cache_equals_reading_everything_again(model, state):
    pruner = get_pruner("pyramiddrop", query_token=AFTER_QUESTION)
    selection = pruner.select(model.cues(state, TALK), 72)
    open_talk = TALK.until(0, ())
    kept = model.ground([state], [open_talk], [selection], answer="generated")[0]
    words = model.tokenizer
    # The answer said so far is put into the prompt: its last state predicts the next word.
    answer = kept.answers[0].removesuffix(SEG_TOKEN).strip()
    longer = forced_with(TALK, (f"{answer} {SEG_TOKEN}",))
    again = model.ground([state], [longer], [selection])[0]
    assert words.encode(full_prompt(longer))[
        : len(words.encode(full_prompt(open_talk)))
    ] == words.encode(full_prompt(open_talk))
    torch.testing.assert_close(kept.seg_state, again.seg_state, atol=2e-4, rtol=1e-4)


def test_later_turns_see_earlier_answers_to_their_end(model, data):
    image = data[0].image()
    said = model.segment(
        image, ["the red circle", "the large square"], protocol="conversation", answer="generated"
    )
    assert said.answers[0] in ANSWERS
    assert f"{said.answers[1]}." in ANSWERS
    talk = conversation(["the red circle", "the large square"])
    forced = model.ground([model.encode_image(image)], [forced_with(talk, said.answers)], [None])[0]
    assert_same(said, forced)


def test_without_seg_there_is_no_mask_and_the_result_says_so(model, data):
    cut = model.segment(
        data[0].image(), ["the red circle", "the cross"], answer="generated", max_new_tokens=1
    )
    assert cut.found == (False, False)
    assert SEG_TOKEN not in "".join(cut.answers)
    assert not cut.mask.any()
    assert cut.logits.shape == (2, 1, data[0].height, data[0].width)
    assert cut.seg_state.isnan().all()


def test_greedy_takes_the_most_probable_token_and_stops(model, state):
    spliced = model.splice([model.visual_tokens(state, None)], [TALK.until(0, ())], [None])
    reply = greedy(
        model.llama, spliced.embeds, spliced.position_ids, lambda token: False, 5, feed_last=True
    )
    embeds, positions = spliced.embeds, spliced.position_ids
    for step, token in enumerate(reply.ids):
        hidden = decode(model.llama, embeds, positions)[0, -1]
        torch.testing.assert_close(reply.states[step], hidden, atol=2e-4, rtol=1e-4)
        assert int(model.llama.lm_head(hidden).argmax()) == token
        embeds = torch.cat([embeds, model.llama.model.embed_tokens(torch.tensor([[token]]))], 1)
        positions = torch.cat([positions, positions[:, -1:] + 1], 1)
    assert len(reply.ids) == len(reply.states) == len(reply.own_states) == 5
    first = greedy(model.llama, spliced.embeds, spliced.position_ids, lambda token: True, 5)
    assert first.ids == reply.ids[:1]
    assert first.own_states.shape == (0, reply.states.shape[1])


def test_refusals(model, state, data):
    with pytest.raises(ValueError, match="did you mean 'generated'"):
        model.segment(data[0].image(), "the red circle", answer="generate")
    with pytest.raises(ValueError, match="max_new_tokens 0 is too small"):
        model.segment(data[0].image(), "the red circle", answer="generated", max_new_tokens=0)
    selection = get_pruner("fastv", query_token=BEFORE_SEG).select(model.cues(state, TALK), 48)
    with pytest.raises(ValueError, match="known in forced answers only"):
        model.ground([state], [TALK], [selection], answer="generated")


def test_open_conversations():
    talk = conversation(["dog", "cat"], [0, 1], [0, 0])
    assert full_prompt(talk.until(0, ())).endswith(
        "Can you segment the dog in this image? ASSISTANT:"
    )
    assert full_prompt(talk.until(1, ("It is.",))).endswith(
        "ASSISTANT: It is.</s>USER: Please segment cat in this image. ASSISTANT:"
    )
    with pytest.raises(ValueError, match="2 questions and 0 answers"):
        Conversation(talk.expressions, talk.questions, ())
