"""VideoGLaMM's options: frames that the language model sees, and its window of attention."""

import pytest
import torch

from litelvlm.models.video_glamm.answers import given_turns
from litelvlm.models.video_glamm.block import visual_block
from litelvlm.models.video_glamm.options import VideoGlammOptions
from tests.video_glamm_parts import clip_frames, load, write_changed, write_folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("videoglamm"))


def test_a_folder_may_say_how_many_frames_are_seen(folder, tmp_path):
    published = load(folder, num_frames=None)
    assert (published.num_frames, published.name) == (16, str(folder))
    assert load(folder, num_frames=16).name == str(folder)
    assert published.with_options(num_frames=8).name == f"{folder}[num_frames=8]"
    own = write_changed(folder, tmp_path, {"num_frames": 8})
    model = load(own, num_frames=None)
    assert (model.num_frames, model.name, model.clip_layout.frames) == (8, str(own), 8)
    assert load(own, num_frames=8).name == str(own)
    more = model.with_options(num_frames=16)
    assert (more.num_frames, more.name) == (16, f"{own}[num_frames=16]")
    assert more.with_options(num_frames=None).name == str(own)


def test_a_window_is_read_from_text():
    read = VideoGlammOptions.parse
    assert read(["window=256"]).window == 256
    assert str(read(["window=none", "num_frames=8"])) == "[num_frames=8, window=none]"
    assert read(["window=published"]) == read([]) == VideoGlammOptions()


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ("window=0", r"window 0 is not in \[1, 2097153\]"),
        ("window=-1", r"window -1 is not in \[1, 2097153\]"),
        ("window=9999999", r"window 9999999 is not in \[1, 2097153\]"),
        ("window=2.5", "window '2.5' is not allowed; give a whole number or 'published' or 'none'"),
        ("window=true", "window 'true' is not allowed"),
        ("window=wide", "window 'wide' is not allowed"),
        ("window=", "window '' is not allowed"),
        ("num_frames=12", "num_frames '12' is not allowed; choose from 8, 16"),
        ("num_frames=None", "num_frames 'None' is not allowed; choose from 8, 16"),
        ("frames", "not of the form field=value, such as window=published"),
    ],
)
def test_options_that_stand_for_nothing_are_refused(entry, words):
    with pytest.raises(ValueError, match=words):
        VideoGlammOptions.parse([entry])


@pytest.mark.parametrize(
    ("field", "value"),
    [("window", v) for v in (True, 2.0, None)] + [("num_frames", v) for v in (8.0, True, "8")],
)
def test_values_of_another_type_are_refused(field, value):
    with pytest.raises(ValueError, match=f"{field} {value!r} is not allowed"):
        VideoGlammOptions.check({field: value})


def seg_state(model, state):
    asked = model.clip_conversation(["the dog"], 6)
    block = visual_block(model, state, None)
    return given_turns(model, block, asked, 8)[0].seg_state


@torch.inference_mode()
def test_windows_change_after_loading_and_share_every_tensor(folder):
    model = load(folder)
    before, state = dict(vars(model.phi3.config)), model.encode_clip(clip_frames())
    found = {}
    for window in ("none", 70, 20, 1):
        other, loaded = model.with_options(window=window), load(folder, window=window)
        assert other.name == loaded.name == f"{folder}[num_frames=8, window={window}]"
        pairs = zip(model.state_dict().items(), other.state_dict().items(), strict=True)
        assert all(a == b and s.data_ptr() == t.data_ptr() for (a, s), (b, t) in pairs)
        found[str(window)] = seg_state(other, state)
        assert torch.equal(found[str(window)], seg_state(loaded, state))
        back = other.with_options(window="published")
        assert (back.name, back.phi3.config.sliding_window) == (model.name, 62)
    assert len({tuple(one.tolist()) for one in found.values()}) == 4
    assert vars(model.phi3.config) == before
    # 62 tokens are the published window: itself and 61 before it.
    same = model.with_options(window=62)
    assert (same.name, same.phi3) == (model.name, model.phi3)


def test_a_window_bites_where_it_is_shorter_than_the_sequence(folder):
    model = load(folder)
    assert [model.window_bites(n) for n in (61, 62, 63)] == [False, False, True]
    assert [model.with_options(window=5).window_bites(n) for n in (5, 6)] == [False, True]
    assert not model.with_options(window="none").window_bites(10**6)
