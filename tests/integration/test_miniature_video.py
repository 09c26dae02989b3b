"""The bundled VideoGLaMM: it loads by its name, finds what clips show, and prunes as others do."""

import json

import pytest
import torch
from PIL import Image

from litelvlm import load_model
from litelvlm.data.embedded import SEEDS
from litelvlm.data.worlds.moving.clips import sample_clip
from litelvlm.data.worlds.moving.objects import FRAMES
from litelvlm.models.files import EMBEDDED, digest
from litelvlm.models.video_glamm.options import VideoGlammOptions
from litelvlm.models.video_glamm.tokenizer import Phi3Tokenizer
from litelvlm.pruning import Selection
from litelvlm.training.video_glamm.language import ENDS
from litelvlm.training.video_glamm.sizes import config

FOLDER = EMBEDDED["embedded-video"]


@pytest.fixture(scope="module")
def model():
    return load_model("embedded-video", device="cpu")


@pytest.fixture(scope="module")
def clip():
    """The first clip of val of ``embedded-moving``."""
    return sample_clip(SEEDS["val"][0])


@pytest.fixture(scope="module")
def frames(clip):
    return [Image.fromarray(frame) for frame in clip.frames]


def test_the_name_and_the_folder_load_the_same_model(model):
    assert (model.name, model.num_frames, model.dtype) == ("embedded-video", 8, torch.float32)
    assert model.sizes(FRAMES * 36).n_tokens == model.clip_layout.n_tokens == FRAMES * 36
    again = load_model(f"video_glamm:{FOLDER}", dtype="float32", device="cpu")
    assert again.digest == model.digest
    assert load_model("embedded-video", random_init=True).name == "embedded-video (random weights)"
    with pytest.raises(ValueError, match="did you mean 'embedded-video'"):
        load_model("embeded-video")
    with pytest.raises(ValueError, match="did you mean 'embedded-video'"):
        load_model("video_glamm:embeded-video")


def test_its_folder_is_what_the_training_writes_but_for_the_clip_that_it_shares(model):
    tokenizer = Phi3Tokenizer.from_pretrained(FOLDER, marked=False)
    written = config(tokenizer.size, tokenizer.added[ENDS].id)
    stored = json.loads((FOLDER / "config.json").read_text())
    shared = stored["image_mm_vision_tower"]
    assert (FOLDER / shared).samefile(EMBEDDED["embedded"] / "clip")
    assert stored == json.loads(json.dumps(written)) | {"image_mm_vision_tower": shared}
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) <= 14e6
    # The digest of a model covers a CLIP that lies beside its folder.
    assert model.digest == digest(FOLDER, FOLDER / shared) != digest(FOLDER)


def test_masks_of_a_clip_are_found(model, clip, frames):
    told = model.segment(frames, clip.expressions[0].sent, answer="generated")
    assert (told.found, told.unknown_words) == ((True,), ())
    result = model.segment(frames, [one.sent for one in clip.expressions])
    assert result.found == (True,) * len(clip.expressions)
    assert result.masks.shape == (len(clip.expressions), *clip.frames.shape[:3])
    assert result.masks.any()
    # Its own answer has other words than the given one, and nearly the same mask.
    both, either = told.masks[0] & result.masks[0], told.masks[0] | result.masks[0]
    assert both.sum() > 0.9 * either.sum()


def test_words_of_motion_are_known_and_others_are_told(model):
    sentences = [one.sent for seed in SEEDS["val"][:20] for one in sample_clip(seed).expressions]
    assert any("standing still" in one for one in sentences)
    assert model.unknown_words(sentences) == ()
    assert model.unknown_words(["the zygote going left"]) == ("zygote",)


@pytest.mark.parametrize("point", ["V3", "V4"])
def test_a_selection_of_every_token_is_no_selection(model, clip, frames, point):
    own = model.with_options(prune_point=point)
    state = own.encode_clip(frames)
    asked = own.clip_conversation([clip.expressions[0].sent], FRAMES)
    count = own.clip_layout.n_tokens
    every = Selection.from_indices(torch.arange(count), count)
    # One by one: masks that are decoded together may be rounded apart.
    whole, kept = (own.ground([state], [asked], [given])[0] for given in (None, every))
    assert torch.equal(whole.seg_state, kept.seg_state)
    assert torch.equal(whole.logits, kept.logits)


@torch.inference_mode()
def test_eight_frames_are_seen_whole_and_a_smaller_window_hides_some(model, clip, frames):
    asked = model.clip_conversation([clip.expressions[0].sent], FRAMES)
    state, states = model.encode_clip(frames), {}
    for window in ("published", "none", 200):
        own = model.with_options(window=window)
        options = VideoGlammOptions(window=window)
        loaded = load_model("embedded-video", device="cpu", options=options)
        assert own.name == loaded.name
        (found,) = own.ground([state], [asked], [None])
        assert torch.equal(found.logits, loaded.ground([state], [asked], [None])[0].logits)
        states[window] = found.seg_state
    assert torch.allclose(states["published"], states["none"], atol=1e-4)
    assert not torch.allclose(states["published"], states[200], atol=1e-2)
    n_visual = model.language_tokens(model.clip_layout)
    assert n_visual == FRAMES * (36 + 16)
    assert not model.window_bites(n_visual + 60)
    assert model.with_options(num_frames=16).window_bites(2 * n_visual)
    assert model.with_options(window=200).window_bites(n_visual)
