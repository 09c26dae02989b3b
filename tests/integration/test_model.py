"""What must hold for the whole pipeline on the shipped weights.

Identities, batching, protocols and refusals.
"""

import pytest
import torch
from PIL import Image

from litelvlm import get_pruner
from litelvlm.models.glamm.outputs import Spliced
from litelvlm.models.glamm.prompting.tokenizer import IMAGE_INDEX
from tests.glamm_parts import conversation, full_prompt


def assert_near(a: torch.Tensor, b: torch.Tensor) -> None:
    torch.testing.assert_close(a, b, atol=2e-4, rtol=1e-4)


def test_mask_has_the_size_of_the_image(model, data):
    sample = next(s for s in data if s.height != s.width)
    grounding = model.segment(sample.image(), ["the red circle", "the large square"])
    assert grounding.mask.shape == (2, sample.height, sample.width)
    assert grounding.mask.dtype == torch.bool
    assert set(grounding.timings) >= {
        "clip_image",
        "sam_encoder",
        "selection",
        "projector",
        "llm",
        "mask_decoder",
    }


@pytest.mark.parametrize("name", ["litelvlm", "fastv"])
def test_one_expression_is_the_same_under_both_protocols(model, data, name):
    image, pruner = data[0].image(), get_pruner(name)
    single, talk = (
        model.segment(image, "the red circle", pruner, 48, protocol=protocol)
        for protocol in ("single", "conversation")
    )
    assert_near(single.logits, talk.logits)


def test_conversation_shares_one_selection_and_later_turns_see_earlier_ones(model, data):
    image = data[0].image()
    grounding = model.segment(
        image, ["the red circle", "the large square"], get_pruner("litelvlm"), 48, "conversation"
    )
    assert len(grounding.selections) == 1
    alone = model.segment(image, "the large square", get_pruner("litelvlm"), 48)
    assert not torch.allclose(grounding.logits[1], alone.logits[0], atol=1e-3)


def spliced(model, state, talk, keep: int) -> tuple[Spliced, list[int]]:
    visual = [model.visual_tokens(state, None)[:keep]]
    return model.splice(visual, [talk], [None]), model.tokenizer.encode(full_prompt(talk))


@torch.inference_mode()
@pytest.mark.parametrize("keep", [1, 48, 144])
def test_read_state_is_the_one_before_each_seg(model, state, keep):
    talk = conversation(["the red circle", "the large square", "the cross"], [0, 1, 2], [0, 1, 3])
    out, ids = spliced(model, state, talk, keep)
    expanded = (
        ids[: ids.index(IMAGE_INDEX)] + [IMAGE_INDEX] * keep + ids[ids.index(IMAGE_INDEX) + 1 :]
    )
    expected = [i - 1 for i, token in enumerate(expanded) if token == model.tokenizer.seg_id]
    assert list(out.seg_index[0]) == expected
    assert out.lengths[0] == len(expanded)
    assert out.embeds.shape[1] == len(expanded)


def test_positions_follow_the_selection(model, state):
    talk = conversation(["the red circle"])
    cues = model.cues(state, talk)
    ids = model.tokenizer.encode(full_prompt(talk))
    start, after = ids.index(IMAGE_INDEX), len(ids) - ids.index(IMAGE_INDEX) - 1
    for policy, span in (("contiguous", 10), ("original", 144)):
        selection = get_pruner("litelvlm", positions=policy).select(cues, 10)
        out = model.splice([model.visual_tokens(state, selection)], [talk], [selection])
        row = out.position_ids[0].tolist()
        assert row[:start] == list(range(start))
        assert row[start + 10 :] == list(range(start + span, start + span + after))
        expected = range(10) if policy == "contiguous" else selection.indices.tolist()
        assert row[start : start + 10] == [start + i for i in expected]


@pytest.mark.parametrize("budget", [0, -1, 145, 10_000])
def test_budget_out_of_range_is_refused_before_any_work(model, data, budget, monkeypatch):
    monkeypatch.setattr(type(model), "encode_image", None)
    with pytest.raises(ValueError, match=str(budget)):
        model.segment(data[0].image(), "the red circle", get_pruner("litelvlm"), budget)


@pytest.mark.parametrize("protocol", ["single", "conversation"])
def test_no_expression_is_refused_before_any_work(model, protocol):
    with pytest.raises(ValueError, match="text has no expression; give at least one"):
        model.segment("no such file.png", [], protocol=protocol)


def test_other_refusals(model, data):
    image = data[0].image()
    with pytest.raises(ValueError, match="needs a budget"):
        model.segment(image, "the red circle", get_pruner("litelvlm"))
    with pytest.raises(ValueError, match="without a pruner"):
        model.segment(image, "the red circle", budget=48)
    with pytest.raises(ValueError, match="empty"):
        model.segment(image, "  ")
    with pytest.raises(ValueError, match="did you mean 'conversation'"):
        model.segment(image, "the red circle", protocol="conversatio")
    with pytest.raises(ValueError, match="one state, conversation and selection"):
        model.ground([], [], [])
    talk, state = model.conversation(["a dog", "a cat"]), model.encode_image(image)
    with pytest.raises(ValueError, match="take answer='generated'"):
        model.ground([state], [talk.until(1, talk.answers[:1])], [None])


def test_images_of_any_kind_are_read(model, tmp_path):
    Image.new("L", (40, 20), 90).save(tmp_path / "grey.png")
    grounding = model.segment(tmp_path / "grey.png", "the red circle")
    assert grounding.mask.shape == (1, 20, 40)
