"""Questions about rendered scenes whose answers follow from what CLIP's square shows of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Literal, get_args

import numpy as np

from litelvlm.arrays import Array
from litelvlm.data.worlds.canvas import pick
from litelvlm.data.worlds.pictograms.categories import CATEGORIES, SUPERCATEGORIES, conflicts
from litelvlm.data.worlds.pictograms.objects import TINTS
from litelvlm.data.worlds.pictograms.places import PLACE_NAMES
from litelvlm.data.worlds.referring import PLACES

QuestionKind = Literal["presence", "colour", "category", "count", "place", "ground"]
QUESTION_KINDS: tuple[QuestionKind, ...] = get_args(QuestionKind)
SEEN = 0.5
"""Least share of an object inside the square for it to count as seen."""
HIDDEN = 0.03
"""Share up to which an object counts as absent; between the two it makes questions unclear."""
MARGIN = 0.12
"""Gap that makes a place clear, in sides of the square."""
TYPICAL: Mapping[str, float] = {"small": 3.0, "large": 9.0}
"""Patches that a whole object of each size covers."""
_IRREGULAR = {
    "person": "people", "sheep": "sheep", "skis": "skis", "scissors": "scissors",
    "mouse": "mice", "knife": "knives",
}  # fmt: skip
_NOUNS = ("animal", "vehicle", "food")  # supercategories that need no "object" behind them
SHORT_ANSWER = "Answer the question using a single word or phrase."
"""What LLaVA-1.5 is told after a question whose answer is one word."""


@dataclass(frozen=True)
class Thing:
    """One object of a scene as the square shows it.

    Attributes:
        category: What it is.
        colour: The colour that it is dyed with; None for natural colours.
        size: Its size class.
        x, y: Centre of what is seen, in sides of the square, growing right and down.
        share: Rough share of it inside the square, from 0 to 1.
    """

    category: str
    colour: str | None
    size: str
    x: float
    y: float
    share: float


@dataclass(frozen=True)
class SceneQuestion:
    """One question with its only answer.

    Attributes:
        kind: What is asked for.
        text: The question.
        answer: The answer, lower case.
        about: Category that the question names; empty if it names none.
    """

    kind: QuestionKind
    text: str
    answer: str
    about: str = ""


def things_in(objects: Sequence[Sequence[str | None]], coverage: Array) -> list[Thing]:
    """The objects of a scene from the patches that they cover.

    Args:
        objects: Category, colour (None or "natural" for natural colours) and size of each.
        coverage: Share of each patch that each object covers [patches, at least len(objects)], the
            patches of a square grid in raster order.
    """
    side = round(len(coverage) ** 0.5)
    rows, columns = np.divmod(np.arange(len(coverage)), side)
    edge = (np.minimum(rows, columns) == 0) | (np.maximum(rows, columns) == side - 1)
    found = []
    for index, (category, colour, size) in enumerate(objects):
        cells = coverage[:, index].astype(np.float64)
        total = max(float(cells.sum()), 1e-9)
        found.append(
            Thing(
                str(category),
                colour if colour in TINTS else None,
                str(size),
                float((cells * (columns + 0.5)).sum() / total / side),
                float((cells * (rows + 0.5)).sum() / total / side),
                _share(cells, edge, TYPICAL[str(size)]),
            )
        )
    return found


def _share(cells: Array, edge: Array, typical: float) -> float:
    """Share of an object inside the square: rough where it may be cut off, else 1."""
    covered = float(cells.sum())
    whole = covered > 0 and not cells[edge].any()
    return 1.0 if whole else min(1.0, covered / typical)


def plural(category: str) -> str:
    """The plural of a category's name."""
    if category in _IRREGULAR:
        return _IRREGULAR[category]
    ending = "es" if category.endswith(("s", "sh", "ch", "x")) else "s"
    return category + ending


def with_article(category: str) -> str:
    """The name with "a" or "an"; none before a plural."""
    if category in ("skis", "scissors"):
        return category
    return f"{'an' if category[0] in 'aeiou' else 'a'} {category}"


def presence(category: str, there: bool) -> SceneQuestion:
    """Whether an object of a category is there."""
    verb = "Are" if category in ("skis", "scissors") else "Is"
    text = f"{verb} there {with_article(category)} in the image?"
    return SceneQuestion("presence", text, "yes" if there else "no", category)


def absent_categories(things: Sequence[Thing]) -> list[str]:
    """Categories of which nothing can be seen, and that no picture of an object shows besides."""
    shown = {thing.category for thing in things if thing.share > HIDDEN}
    barred = shown.union(*(conflicts(name) for name in shown)) if shown else shown
    return [name for name in CATEGORIES if name not in barred]


def scene_questions(
    things: Sequence[Thing], ground: str
) -> dict[QuestionKind, list[SceneQuestion]]:
    """Every clear question of a scene by kind, but for those about absent categories.

    Args:
        things: All objects of the scene, hidden ones too.
        ground: Name of the ground.
    """
    shown = [thing for thing in things if thing.share > HIDDEN]
    groups: dict[str, list[Thing]] = {}
    for thing in shown:
        groups.setdefault(thing.category, []).append(thing)
    # A category with an object that is cut off is not asked about.
    clear = {name: group for name, group in groups.items() if min(t.share for t in group) >= SEEN}
    every = len(clear) == len(groups) and bool(groups)
    found: dict[QuestionKind, list[SceneQuestion]] = {kind: [] for kind in QUESTION_KINDS}
    found["presence"] = [presence(name, True) for name in clear]
    for name, group in clear.items():
        found["count"].append(
            SceneQuestion(
                "count", f"How many {plural(name)} are in the image?", str(len(group)), name
            )
        )
        for phrase, thing in phrases(name, group):
            verb = "are" if plural(name) == name and name != "sheep" else "is"
            if thing.colour:
                text = f"What color {verb} the {phrase}?"
                found["colour"].append(SceneQuestion("colour", text, thing.colour, name))
            found["place"] += _place_questions(verb, phrase, thing)
    if every:
        total = "How many objects are in the image?"
        found["count"].append(SceneQuestion("count", total, str(len(shown))))
        found["category"] += [
            SceneQuestion("category", f"What is the {place} object in the image?", thing.category)
            for place, thing in _extremes(shown)
            if len(shown) > 1
        ]
        found["category"] += _category_questions(clear)
    found["ground"] = [SceneQuestion("ground", "What is in the background?", ground)]
    return found


def phrases(name: str, group: Sequence[Thing]) -> list[tuple[str, Thing]]:
    """Noun phrases that mean one object of a category, with the object."""
    if len(group) == 1:
        return [(name, group[0])]
    found = [(f"{place} {name}", thing) for place, thing in _extremes(group)]
    for size in TYPICAL:
        of_size = [thing for thing in group if thing.size == size]
        if len(of_size) == 1:
            found.append((f"{size} {name}", of_size[0]))
    return found


def draw_questions(
    things: Sequence[Thing], ground: str, rng: np.random.Generator, n: int
) -> list[SceneQuestion]:
    """``n`` questions of a scene for training, the first four about presence.

    Two of these are answered "yes" and two "no", as far as the scene allows; then comes the ground,
    then the other kinds in turn. Answers of a kind are drawn before its questions, so that rare
    ones occur.
    """
    found = scene_questions(things, ground)
    found["presence"] += [presence(c, False) for c in _some_absent(things, rng)]
    others = [kind for kind in QUESTION_KINDS[1:-1] if found[kind]]
    turn: list[QuestionKind] = [others[i] for i in rng.permutation(len(others))] or ["presence"]
    wanted: list[tuple[QuestionKind, str]] = [("presence", a) for a in ("yes", "no", "yes", "no")]
    wanted += [("ground", ""), *((kind, "") for kind in turn * n)]
    drawn: list[SceneQuestion] = []
    for kind, answer in wanted[:n]:
        left = [q for q in found[kind] if q not in drawn] or found[kind]
        answers = sorted({q.answer for q in left}) if kind != "category" else []
        if answer not in answers and answers:
            answer = answers[int(rng.random() * len(answers))]
        left = [q for q in left if not answers or q.answer == answer]
        drawn.append(left[int(rng.random() * len(left))])
    return drawn


def _some_absent(things: Sequence[Thing], rng: np.random.Generator) -> list[str]:
    """Two absent categories at random, and two of a kind with what is there if there are any."""
    absent = absent_categories(things)
    kinds = {SUPERCATEGORIES[t.category] for t in things if t.share > HIDDEN}
    near = [name for name in absent if SUPERCATEGORIES[name] in kinds]
    return [pick(rng, pool) for pool in (absent, absent, near, near) if pool]


def _extremes(group: Sequence[Thing]) -> list[tuple[str, Thing]]:
    """Places of a group that belong to one of its objects by a margin."""
    found = []
    for place, (axis, sign) in PLACES.items():
        reach = sorted((sign * (t.x, t.y)[axis], i) for i, t in enumerate(group))
        if len(group) > 1 and reach[1][0] - reach[0][0] >= MARGIN:
            found.append((place, group[reach[0][1]]))
    return found


def _place_questions(verb: str, phrase: str, thing: Thing) -> list[SceneQuestion]:
    """Left or right, top or bottom, where the object is clearly on one side."""
    found = []
    sides = ((thing.x, "on the left or on the right", ("left", "right")),
             (thing.y, "at the top or at the bottom", ("top", "bottom")))  # fmt: skip
    for place, asked, (low, high) in sides:
        if abs(place - 0.5) >= MARGIN:
            text = f"{verb.capitalize()} the {phrase} {asked}?"
            answer = low if place < 0.5 else high
            found.append(SceneQuestion("place", text, answer, thing.category))
    return found


def _category_questions(clear: Mapping[str, Sequence[Thing]]) -> list[SceneQuestion]:
    """What object of a supercategory is there, where only one category of it is."""
    found = []
    for kind in sorted({SUPERCATEGORIES[name] for name in clear} - {"person"}):
        names = [name for name in clear if SUPERCATEGORIES[name] == kind]
        if len(names) == 1:
            thing = kind if kind in _NOUNS else f"{kind} object"
            text = f"What {thing} is in the image?"
            found.append(SceneQuestion("category", text, names[0]))
    return found


def question_words() -> tuple[str, ...]:
    """Every word of the questions and answers, lower case, sorted."""
    texts = [SHORT_ANSWER, "USER: ASSISTANT:", *PLACE_NAMES, *map(str, range(10)), "yes no"]
    texts += ["What is in the background?", "How many objects are in the image?"]
    for name, (place, _) in product(CATEGORIES, PLACES.items()):
        thing = Thing(name, "red", "small", 0.0, 1.0, 1.0)
        questions = (presence(name, True), *_place_questions("Is", f"{place} {name}", thing))
        texts += [q.text + " " + q.answer for q in questions]
        texts += [f"What color are is small large {plural(name)}", SUPERCATEGORIES[name]]
    texts += [*TINTS, "Are left right top bottom"]
    split = " ".join(texts).lower()
    for mark in "?.:":
        split = split.replace(mark, " ")
    return tuple(sorted(set(split.split())))
