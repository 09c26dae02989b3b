"""The miniature VideoGLaMM: an untrained one reads, learns and is stored as the trained one."""

from copy import deepcopy
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from litelvlm.data.worlds.moving.clips import sample_clip
from litelvlm.data.worlds.moving.objects import FRAMES, MOTIONS
from litelvlm.data.worlds.pictograms.categories import CATEGORIES
from litelvlm.models.families import load_model
from litelvlm.models.sam2.frames import Sam2Frames
from litelvlm.models.sam2.masker import ClipMasker
from litelvlm.models.sam2.preprocess import longest_side_stretched
from litelvlm.models.video_glamm.network import pool_squares
from litelvlm.models.video_glamm.prompts import ANSWERS
from litelvlm.training.video_glamm import memory
from litelvlm.training.video_glamm.helper import VALUES, Helper, object_shares
from litelvlm.training.video_glamm.images import SIDE, image_tokens
from litelvlm.training.video_glamm.pool import MAX_OBJECTS, ClipBatch, clip_arrays, sam_pixels
from litelvlm.training.video_glamm.reading import (
    N_TOKENS,
    forward_packed,
    pack_sentences,
    video_states,
)
from litelvlm.training.video_glamm.sam2 import pick_objects, point_prompt, shown_points
from litelvlm.training.video_glamm.train import export, new_miniature
from litelvlm.training.worlds.base import attribute_labels


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("miniature")
    parts = new_miniature(folder, 0)
    export(parts, folder / "checkpoint")
    for module in (parts.side, parts.sam, parts.start.tower.clip, parts.start.projector):
        nn.Module.float(module)
    return parts, folder / "checkpoint"


@pytest.fixture(scope="module")
def clips():
    return [sample_clip(seed) for seed in range(3)]


@pytest.fixture(scope="module")
def batch(clips):
    arrays = [clip_arrays(clip) for clip in clips]
    names = ("square", "ids", "small", "centres")
    columns = zip(*(values[1:] for values, _ in arrays), strict=True)
    rows = {n: torch.from_numpy(np.stack(c)) for n, c in zip(names, columns, strict=True)}
    return ClipBatch(**rows, meta=[meta for _, meta in arrays])


@pytest.fixture(scope="module")
def model(parts):
    return load_model(parts[1], dtype="float32", device="cpu")


def test_phi3_computes_what_the_llama_it_starts_from_computes(parts):
    ids = torch.tensor([[1, 40, 700, 1203, 9]])
    with torch.inference_mode():
        # Weights of one went through float16, and the library orders its products differently.
        wanted = parts[0].start.llama.model(ids).last_hidden_state
        found = parts[0].side.phi3.model(ids).last_hidden_state
    assert wanted.std() > 0.5
    assert (found - wanted).abs().max() < 0.05


def test_the_checkpoint_is_small_and_read_like_a_published_one(parts, model, clips):
    assert sum(p.stat().st_size for p in parts[1].rglob("*.safetensors")) <= 20e6
    frames = [Image.fromarray(frame) for frame in clips[0].frames]
    sentence = clips[0].expressions[0].sent
    assert model.num_frames == FRAMES
    result = model.segment(frames, sentence)
    assert result.masks.shape == (1, FRAMES, 168, 168)
    said = model.segment(frames, sentence, "litelvlm", 8 * 9, answer="generated", max_new_tokens=4)
    assert said.found in ((True,), (False,))
    assert len(said.selection.indices) == 8 * 9


def test_training_reads_a_clip_as_the_model_does(parts, model, clips, batch):
    side, tokenizer = parts[0].side, parts[0].tokenizer
    clip, sentences = clips[1], [one.sent for one in clips[1].expressions[:2]]
    # The first question and answer, and plain positions.
    first = SimpleNamespace(integers=lambda n: 0, random=lambda: 0.9)
    packed = pack_sentences(tokenizer, [sentences], first)
    with torch.inference_mode():
        image = image_tokens(parts[0].start, clip.frames).flatten(0, 1)
        states = video_states(side, batch.small[1:2])
        video = pool_squares(side.video_projector(states)[0], 4).flatten(0, 1)
        visual = torch.cat([image, video])
        assert len(visual) == N_TOKENS
        found = forward_packed(side, packed, visual[None])[1][0]
    frames = [Image.fromarray(frame) for frame in clip.frames]
    state = model.encode_clip(frames)
    torch.testing.assert_close(state.tokens, image, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(state.video_tokens, video, rtol=1e-3, atol=1e-3)
    for sentence, own in zip(sentences, found, strict=True):
        asked = model.clip_conversation([sentence], FRAMES)
        assert asked.answers == (ANSWERS[0],)
        ((wanted,),) = (one.seg_state for one in model.ground([state], [asked], [None]))
        torch.testing.assert_close(own, wanted, rtol=1e-2, atol=5e-3)


def test_answers_are_learned_and_nothing_else(parts):
    tokenizer = parts[0].tokenizer
    packed = pack_sentences(tokenizer, [["the dog going left"]], np.random.default_rng(0))
    learned = packed.labels[packed.labels >= 0]
    text = tokenizer.decode(learned.tolist())
    assert text.endswith("<|end|>")
    assert "[SEG]" in text
    assert "dog" not in text
    assert "▁dog" in {tokenizer.pieces.id_to_piece(i) for i in packed.ids[0].tolist() if i < 1500}


def test_sam2_is_trained_through_the_steps_that_it_takes_in_use(parts, clips, batch, monkeypatch):
    # The first mask on offer of every frame, as training and as the decoder of clips see it.
    sam, seen = deepcopy(parts[0].sam), []
    sam.mask_decoder.pred_obj_score_head.proj_out.bias.data += 100  # the object is there
    monkeypatch.setattr(
        memory, "frame_losses", lambda masks, *rest: seen.append(masks) or {"none": masks.sum()}
    )
    prompts = point_prompt(sam, torch.tensor([[0.3, 0.4], [0.7, 0.6]]))
    frames = [sam_pixels(batch.square[:1, number]) for number in range(3)]
    with torch.inference_mode():
        ids, objects = batch.ids[[0, 0], :3], torch.tensor([0, 1])
        memory.follow(sam, frames, ids, prompts, objects, forced=False)
        pictures = [Image.fromarray(frame) for frame in clips[0].frames]
        clip = Sam2Frames(sam, pictures, longest_side_stretched)
        torch.testing.assert_close(clip.pixels(1), frames[1][0])
        masker = ClipMasker(sam, clip, binarised=True)
        steps = masker.steps(prompts[:, 0])
        del seen[1]  # the single mask of the first frame
        assert len(seen) == 3
        for training, step in zip(seen, steps, strict=False):
            best = step.masks.ious.argmax(-1)
            drawn = training[torch.arange(2), best]
            torch.testing.assert_close(drawn, step.masks.low_res, rtol=1e-3, atol=1e-3)


def test_frames_come_closer_evenly_in_half_of_the_rows(parts):
    rows = [["the dog going left"]] * 200
    packed = pack_sentences(parts[0].tokenizer, rows, np.random.default_rng(0))
    steps = packed.position_ids.diff(dim=1)
    image = steps[:, packed.start : packed.start + FRAMES * SIDE**2 - 1]
    assert (image.std(1) < 1e-3).all()
    plain = (image.mean(1) - 1).abs() < 1e-3
    assert 70 < plain.sum() < 130
    assert image.mean(1).min() > 1 / 9
    assert (steps[:, packed.end :] - 1).abs().max() < 1e-3


def test_prompts_are_on_what_the_frame_shows(batch):
    rng = np.random.default_rng(0)
    objects = pick_objects(batch.ids[:, 4], batch.meta, 0.0, rng)
    rows = torch.arange(len(objects)).repeat_interleave(objects.shape[1])
    ids, flat = batch.ids[rows, 4], objects.flatten()
    points = shown_points(ids, batch.centres[rows, flat, 4], flat, rng)
    x, y = (points * 128).long().unbind(-1)
    assert (ids[torch.arange(len(ids)), y, x] == flat + 1).all()
    # What is not shown is pointed at from inside of the frame.
    away = shown_points(torch.zeros_like(ids), batch.centres[rows, flat, 0] - 2, flat, rng)
    assert ((away >= 0) & (away <= 1)).all()


def test_shares_of_cells_are_those_of_the_masks(batch, clips):
    shares = object_shares(batch.ids, SIDE)
    assert shares.shape == (3, FRAMES, SIDE**2, 4)
    for clip, own in zip(clips, shares, strict=True):
        wanted = torch.from_numpy(clip.masks).float().mean((2, 3)).T
        torch.testing.assert_close(own.mean(1)[:, : len(clip.masks)], wanted, atol=0.004, rtol=0)


def test_every_visual_token_is_told_what_lies_there(batch, clips):
    labels = attribute_labels(batch.meta, VALUES, MAX_OBJECTS)
    for clip, own in zip(clips, labels, strict=True):
        named = [(o.looks.category, o.motion) for o in clip.objects]
        found = [(tuple(CATEGORIES)[row[0]], MOTIONS[row[3]]) for row in own[: len(named)].tolist()]
        assert found == named
    helper = Helper()
    losses = helper.of_tokens(torch.zeros(3, N_TOKENS, 192), batch)
    for name, one in losses.items():
        assert torch.isfinite(one), name
    with torch.no_grad():
        for head in (*helper.here, helper.first):
            head.weight.zero_()
            head.bias.zero_()
    chance = torch.tensor([len(head.bias) for head in helper.here]).log().mean()
    even = helper.of_tokens(torch.zeros(3, N_TOKENS, 192), batch)["here"]
    torch.testing.assert_close(even, chance)
