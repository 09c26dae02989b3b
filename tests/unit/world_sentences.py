"""What a sentence about a rendered scene means, read from its words alone."""

import math

from litelvlm.data.worlds.pictograms.categories import SUPERCATEGORIES

PLACES = {"leftmost": (0, 1), "rightmost": (0, -1), "topmost": (1, 1), "bottom": (1, -1)}
SIDES = {"left": (0, -1), "right": (0, 1), "above": (1, -1), "below": (1, 1)}


def certain(fitting, words, objects):
    """The objects of a phrase that leaves no doubt."""
    may, sure = fitting(words, objects)
    assert may == sure
    return may


def first(values, margin):
    """(objects that may have the smallest value, the one that has it)."""
    least = min(values, key=values.get)
    return {i for i, value in values.items() if value - values[least] < margin}, {least}


def referents(sentence, objects, margin, fitting):
    """What a sentence alone says of the objects that it describes.

    Args:
        sentence: The expression.
        objects: All objects of the scene.
        margin: Pixels by which one object must stand out.
        fitting: Gives (objects that a noun phrase may mean, objects that it surely means).

    Returns:
        (kind, objects that may be meant, objects surely meant, size of the described class).
    """
    words = sentence.split()
    assert words.pop(0) == "the"
    if words[0] in PLACES:
        axis, sign = PLACES[words.pop(0)]
        pool = certain(fitting, words, objects)
        values = {i: sign * objects[i].centre[axis] for i in pool}
        return "place", *first(values, margin), len(pool)
    if "the" not in words:
        may, sure = fitting(words, objects)
        return "attribute", may, sure, len(may)
    (anchor,) = certain(fitting, words[words.index("the") + 1 :], objects)
    centre = objects[anchor].centre
    start = next(i for i, word in enumerate(words) if word in {*SIDES, "nearest"})
    pool = certain(fitting, words[:start], objects) - {anchor}
    if words[start] == "nearest":
        away = {i: math.dist(objects[i].centre, centre) for i in pool}
        return "relation", *first(away, margin), len(pool)
    axis, sign = SIDES[words[start]]
    gain = {i: sign * (objects[i].centre[axis] - centre[axis]) for i in pool}
    possible = {i for i in pool if gain[i] > -margin}
    return "relation", possible, {i for i in pool if gain[i] > margin}, len(pool)


def check_sentences(scenes, fitting):
    """Every sentence of the scenes means exactly its target, and no phrase is idle."""
    # A hair less than the level's margin, so that the check does not hang on the last bit of a
    # subtraction.
    margin = 0.12 * 168 - 1e-9
    for scene in scenes:
        for said in scene.expressions:
            kind, possible, sure, described = referents(said.sent, scene.objects, margin, fitting)
            assert kind == {"category": "attribute"}.get(said.kind, said.kind), said.sent
            assert possible == sure == {said.target}, (scene.seed, said.sent)
            assert kind == "attribute" or described >= 2


def read_phrase(words):
    """Adjectives and category of a noun phrase, from the words alone."""
    words = list(words)
    size = words.pop(0) if words[0] in ("small", "large") else None
    tint = words.pop(0) if words[0] in ("red", "yellow", "green", "blue", "purple") else None
    category = " ".join(words)
    assert category in SUPERCATEGORIES, category
    return size, tint, category


def fitting(words, objects):
    """(objects a phrase may mean, objects it surely means).

    An object that is not dyed may have the colour by nature.
    """
    size, tint, category = read_phrase(words)
    known = [i for i, o in enumerate(objects) if o.category == category and size in (None, o.size)]
    may = {i for i in known if tint is None or objects[i].tint in (None, tint)}
    sure = {i for i in known if tint is None or objects[i].tint == tint}
    return may, sure
