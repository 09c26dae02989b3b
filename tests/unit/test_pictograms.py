"""The pictogram world: deterministic, exact masks, and sentences that mean one object only."""

import colorsys
import math
from dataclasses import replace

import numpy as np
import pytest
from world_sentences import check_sentences, fitting, read_phrase

from litelvlm.data.worlds.canvas import visible_masks
from litelvlm.data.worlds.pictograms.categories import (
    CATEGORIES,
    Inventory,
)
from litelvlm.data.worlds.pictograms.objects import LEVELS, Level, SceneObject
from litelvlm.data.worlds.pictograms.scenes import (
    level_vocabulary,
    sample_scene,
)
from litelvlm.data.worlds.pictograms.sprites import footprint

SEEDS = range(200)
HUES = {"red": 0, "yellow": 50, "green": 130, "blue": 225, "purple": 283}


@pytest.fixture(scope="module", params=list(LEVELS))
def scenes(request):
    return request.param, [sample_scene(seed, request.param) for seed in SEEDS]


def item(category, x, y, size="small", tint=None, side=40.0, depth=0, picture=None):
    place = Inventory().pictures(category)[0] if picture is None else picture
    return SceneObject(
        category, place, size, tint, (float(x), float(y)), float(side), 0.0, False, 0.0, depth
    )


def test_every_sentence_means_exactly_its_target_by_an_independent_reading(scenes):
    check_sentences(scenes[1], fitting)
    for said in (expression for scene in scenes[1] for expression in scene.expressions):
        if said.kind in ("category", "attribute"):
            size, tint, _ = read_phrase(said.sent.split()[1:])
            assert (said.kind == "category") == (size is tint is None), said.sent


def drawn(*things):
    """Visible masks of objects on a square canvas, and what is visible of each."""
    prints = [footprint(thing, 168, 168) for thing in things]
    return visible_masks(things, prints, 168, 168)


def test_the_mask_is_where_the_picture_is_opaque_and_nothing_nearer_is():
    # The stop sign is a filled octagon: its area is known to a pixel's border.
    side = 80.0
    sign = item("stop sign", 84, 84, side=side, depth=1)
    masks, share = drawn(sign)
    octagon = 2 * (math.sqrt(2) - 1) * side**2
    assert abs(masks[0].sum() - octagon) < 0.02 * octagon
    assert share.tolist() == [1.0]
    # A nearer sign moved by half a side covers the right half.
    near = item("stop sign", 84 + side / 2, 84, side=side, depth=0)
    covered, share = drawn(sign, near)
    assert np.array_equal(covered[0], masks[0] & ~covered[1])
    assert share[1] == 1.0
    assert 0.4 < share[0] < 0.65


def test_turning_and_flipping_move_the_pixels_they_should():
    plain = item("toothbrush", 84, 84, side=90)
    mask = drawn(plain)[0][0]
    flipped = drawn(replace(plain, flipped=True))[0][0]
    assert (mask[:, ::-1] ^ flipped).sum() < 0.02 * mask.sum()
    assert (mask ^ flipped).sum() > 0.5 * mask.sum()
    half = drawn(replace(plain, rotation=math.pi))[0][0]
    assert (mask[::-1, ::-1] ^ half).sum() < 0.02 * mask.sum()
    quarter = drawn(replace(plain, rotation=math.pi / 2))[0][0]
    clockwise = np.rot90(mask, -1)
    assert (clockwise ^ quarter).sum() < 0.02 * mask.sum()


def test_dyed_pictures_have_the_named_hue():
    for tint, hue in HUES.items():
        for category in ("dog", "stop sign", "cell phone", "sheep"):
            found = footprint(item(category, 84, 84, tint=tint, side=90), 168, 168)
            mean = found.colour[:, found.inside].mean(axis=1) / 255
            seen = 360 * colorsys.rgb_to_hsv(*mean.tolist())[0]
            apart = {name: abs((seen - other + 180) % 360 - 180) for name, other in HUES.items()}
            assert min(apart, key=apart.get) == tint, (category, tint, seen)
            assert apart[tint] < 15
            assert hue == HUES[tint]


def test_held_out_categories_and_pictures_do_not_occur():
    inventory = Inventory(tuple(name for name in CATEGORIES if name not in ("dog", "car")), "seen")
    apart = {Inventory(appearance="unseen").pictures(name)[0] for name in ("bird", "cat", "train")}
    for seed in range(300):
        for thing in sample_scene(seed, "hard", inventory).objects:
            assert thing.category not in ("dog", "car")
            assert thing.picture not in apart
    only = Inventory(("bird", "cat", "train"), "unseen")
    shown = {o.picture for seed in range(40) for o in sample_scene(seed, "easy", only).objects}
    assert shown == apart


def test_one_category_alone_can_still_be_told_apart():
    scene = sample_scene(3, "medium", Inventory(("dog",)))
    assert set(scene.categories) == {"dog"}
    assert scene.expressions


def test_vocabulary_holds_every_word_in_use(scenes):
    level, drawn = scenes
    used = {word for s in drawn for e in s.expressions for word in e.sent.split()}
    assert used <= set(level_vocabulary(level))
    assert {"small", "red", "leftmost", "left", "of"} <= used


def test_bad_requests_are_refused_with_the_choices():
    with pytest.raises(ValueError, match=r"unknown category 'dgo'.*dog"):
        Inventory(("dgo",))
    with pytest.raises(ValueError, match="each of them once"):
        Inventory(("dog", "dog"))
    crowded = Level(name="crowded", sizes={"huge": 0.9}, objects=(6, 6), repeated=1.0)
    with pytest.raises(RuntimeError, match=r"'crowded'.*contradict"):
        sample_scene(0, crowded, Inventory(("dog",)))
