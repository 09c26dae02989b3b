"""The moving world: each sentence means one object, and those of motion need more than a frame."""

import hashlib
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from world_sentences import fitting

from litelvlm import load_clips, load_refer
from litelvlm.data import embedded
from litelvlm.data.embedded import CLIPS_OF_SPLIT, MOVING, SEEDS
from litelvlm.data.video import layout
from litelvlm.data.worlds.moving.clips import SIDE, sample_clip
from litelvlm.data.worlds.moving.objects import FRAMES
from litelvlm.data.worlds.pictograms.sprites import reach

SENSES = {"left": (0, -1), "right": (0, 1), "up": (1, -1), "down": (1, 1)}


@pytest.fixture(scope="module")
def clips():
    return [sample_clip(seed) for seed in range(120)]


def tracks(clip):
    """Centres of all objects in all frames [n, f, 2]."""
    return np.array([[o.at(f).centre for f in range(FRAMES)] for o in clip.objects])


def meant(sentence, clip, paths):
    """Objects that a sentence means, from its words and from where all objects are."""
    words = sentence.split()
    assert words.pop(0) == "the"
    tail = next((w for w in ("going", "standing", "that") if w in words), None)
    cut = words.index(tail) if tail else len(words)
    may, sure = fitting(words[:cut], [o.looks for o in clip.objects])
    assert may == sure
    said, way = words[cut:], paths[:, -1] - paths[:, 0]
    if tail is None:
        return sure
    if tail == "standing":
        return {i for i in sure if np.abs(way[i]).max() < 1}
    if tail == "going":
        axis, sign = SENSES[said[1]]
        return {i for i in sure if sign * way[i, axis] > 0.3 * SIDE
                and abs(way[i, axis]) > 3 * abs(way[i, 1 - axis])}  # fmt: skip
    return passing(said[1:], sorted(sure), clip, paths)


def passing(said, alike, clip, paths):
    """Objects that enter or leave, or the first or the last of them."""
    times = {}
    for i in alike:
        path = paths[i] if said[0] == "enters" else paths[i, ::-1]
        there = ((path >= 0) & (path < SIDE)).all(1)
        if there[0]:
            continue
        most = reach(clip.objects[i].looks)
        assert ((path[0] <= -most) | (path[0] >= SIDE + most)).any(), "it sticks out of the border"
        assert there.any()
        times[i] = int(there.argmax()) if said[0] == "enters" else FRAMES - int(there.argmax())
    if len(said) == 1:
        return set(times)
    order = sorted(times, key=times.get, reverse=said[1] == "last")
    assert abs(times[order[0]] - times[order[1]]) >= 2
    return {order[0]}


def test_every_sentence_means_exactly_its_target_by_an_independent_reading(clips):
    kinds = Counter()
    for clip in clips:
        for one in clip.expressions:
            assert meant(one.sent, clip, tracks(clip)) == {one.target}, one.sent
            kinds[one.kind] += 1
        assert any(one.kind == "motion" for one in clip.expressions)
    assert min(kinds[kind] for kind in ("looks", "motion", "order")) >= len(clips) / 2


def alike(one, clip):
    """Objects that the words of looks in a sentence fit."""
    words = one.sent.split()[1:]
    cut = min(words.index(w) for w in ("going", "standing", "that") if w in words)
    return fitting(words[:cut], [o.looks for o in clip.objects])[1]


def test_no_single_frame_decides_a_sentence_of_motion(clips):
    # Let two objects of the same looks exchange their motions, so that one frame stays as it is:
    # the sentence now means the other one.
    for clip in clips:
        paths = tracks(clip)
        for one in (e for e in clip.expressions if e.kind == "motion"):
            others = alike(one, clip) - {one.target}
            assert others
            for frame in range(FRAMES):
                for other in others:
                    swapped = paths.copy()
                    swapped[one.target] += (paths[other] - paths[other, frame]) - (
                        paths[one.target] - paths[one.target, frame]
                    )
                    swapped[other] += (paths[one.target] - paths[one.target, frame]) - (
                        paths[other] - paths[other, frame]
                    )
                    np.testing.assert_allclose(swapped[:, frame], paths[:, frame])
                    assert meant(one.sent, clip, swapped) == {other}


def test_no_single_frame_decides_a_sentence_of_order(clips):
    # The clip played backwards has the same frames, and the sentence means something else.
    n = 0
    for clip in clips:
        for one in (e for e in clip.expressions if e.kind == "order"):
            assert alike(one, clip) - {one.target}
            try:
                backwards = meant(one.sent, clip, tracks(clip)[:, ::-1])
            except (AssertionError, IndexError):  # nothing clear comes or goes
                backwards = set()
            assert one.target not in backwards, one.sent
            n += 1
    assert n > 60


def test_the_first_frame_says_nothing_of_where_an_object_goes(clips):
    hits, chances = 0, []
    for clip in clips:
        start = tracks(clip)[:, 0]
        for one in (e for e in clip.expressions if " going " in e.sent):
            axis, sign = SENSES[one.sent.split()[-1]]
            there = [i for i in alike(one, clip) if clip.masks[i, 0].any()]
            if one.target in there and len(there) > 1:
                # The object with the most room before it is the obvious guess.
                hits += min(there, key=lambda i: sign * start[i, axis]) == one.target
                chances.append(1 / len(there))
    chances = np.array(chances)
    spread = np.sqrt((chances * (1 - chances)).sum())
    assert len(chances) > 40
    assert abs(hits - chances.sum()) < 2.5 * spread


def test_masks_are_disjoint_and_objects_hide_enter_and_leave(clips):
    hidden = entering = leaving = 0
    for clip in clips:
        assert clip.masks.shape == (len(clip.objects), FRAMES, SIDE, SIDE)
        assert clip.frames.shape == (FRAMES, SIDE, SIDE, 3)
        assert clip.masks.sum(0).max() == 1
        seen = clip.masks.any((2, 3))
        assert (seen.sum(1) >= 3).all()
        entering += (~seen[:, 0]).any()
        leaving += (~seen[:, -1]).any()
        still = [i for i, o in enumerate(clip.objects) if o.motion == "standing still"]
        areas = clip.masks[still].sum((2, 3))
        hidden += (areas.max(1, initial=0) > areas.min(1, initial=10**6)).any()
    assert min(entering, leaving) > len(clips) / 3
    assert hidden > len(clips) / 10


def test_pixels_of_an_object_are_where_its_mask_is():
    # Of two clips that differ in their grain alone only what moves differs between frames.
    clip = sample_clip(0)
    change = np.abs(np.diff(clip.frames.astype(int), axis=0)).max(-1)
    union = clip.masks.any(0)
    ground = ~(union[1:] | union[:-1])
    # Pictures have soft edges of a pixel, which masks leave out from half opacity down.
    assert change[ground].mean() < 8
    assert (change[ground] > 40).mean() < 0.01


def test_clips_have_not_drifted(clips):
    content = hashlib.sha256()
    for clip in clips[:12]:
        sentences = [f"{e.target} {e.sent}" for e in clip.expressions]
        content.update(repr((sentences, clip.masks.sum((2, 3)).tolist())).encode())
    assert content.hexdigest()[:16] == "73fb3194839902d8"
    again = sample_clip(5)
    assert np.array_equal(again.frames, clips[5].frames)
    assert again.objects == clips[5].objects != clips[6].objects
    with pytest.raises(ValueError, match="seed is -1"):
        sample_clip(-1)


def test_splits_share_no_seed_with_each_other_or_with_training():
    parts = [set(seeds) for seeds in MOVING.seeds.values()]
    assert [len(part) for part in parts] == list(CLIPS_OF_SPLIT.values())
    assert len(set.union(*parts)) == sum(map(len, parts))
    assert max(map(max, parts)) < 1_000_000
    assert all(set(seeds) <= set(SEEDS[split]) for split, seeds in MOVING.seeds.items())


@pytest.fixture
def small(tmp_path, monkeypatch):
    monkeypatch.setenv("LITELVLM_CACHE", str(tmp_path))
    few = replace(MOVING, seeds={split: seeds[:2] for split, seeds in MOVING.seeds.items()})
    monkeypatch.setattr(layout, "EMBEDDED_CLIPS", {"embedded-moving": few})
    return few


def test_what_is_written_is_read_back_by_name_and_as_a_folder(small):
    data = load_clips("embedded-moving", split="val")
    assert (data.name, len(data)) == ("embedded-moving", 2)
    for sample, seed in zip(data, MOVING.seeds["val"], strict=False):
        clip = sample_clip(seed)
        assert sample.frames == FRAMES
        for frame in range(FRAMES):
            np.testing.assert_array_equal(np.asarray(sample.frame(frame)), clip.frames[frame])
        said = [(e.sent, e.kind) for e in sample.expressions]
        assert said == [(e.sent, e.kind) for e in clip.expressions]
        for read, drawn in zip(sample.expressions, clip.expressions, strict=True):
            np.testing.assert_array_equal(sample.masks(read), clip.masks[drawn.target])
    own = load_clips(small.root(), split="val")
    assert (own.name, own.digest) == (data.name, data.digest)
    kinds = {split: {e.kind for sample in load_clips("embedded-moving", split=split)
                     for e in sample.expressions} for split in ("testA", "testB")}  # fmt: skip
    assert kinds["testA"] == {"looks"}
    assert kinds["testB"] <= {"motion", "order"}


def test_clips_are_refused_where_images_are_wanted():
    assert set(embedded.EMBEDDED_CLIPS) == {"embedded-moving"}
    with pytest.raises(ValueError, match="holds clips; use load_clips"):
        load_refer("embedded-moving")


@pytest.mark.parametrize(
    ("asked", "error"),
    [
        ({"split": "vall"}, r"unknown split of embedded-moving 'vall'.*testA"),
        ({"split": "valid_u"}, "unknown split of embedded-moving 'valid_u'"),
        ({"split": "val", "dataset": "mevis"}, "dataset='mevis' needs root= the folder"),
    ],
)
def test_wrong_splits_and_names_are_refused_before_anything_is_drawn(asked, error, tmp_path):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LITELVLM_CACHE", str(tmp_path))
        with pytest.raises(ValueError, match=error):
            load_clips("embedded-moving", **asked)
    assert not list(tmp_path.iterdir())
