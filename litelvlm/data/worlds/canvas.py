"""What every rendered world does alike: who hides whom, what CLIP's crop shows, which sentences."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TypeVar, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float

from litelvlm.arrays import NDArray
from litelvlm.data.worlds.base import Kind, SceneExpression, WorldLevel
from litelvlm.data.worlds.referring import Meaning, Point

T = TypeVar("T")


MAX_LAYOUTS = 2000


@runtime_checkable
class Outlined(Protocol):
    """Pixels of one object on the part of the canvas it can touch."""

    @property
    def rows(self) -> "slice[int, int, None]":
        """Rows of that part."""

    @property
    def columns(self) -> "slice[int, int, None]":
        """Columns of that part."""

    @property
    def inside(self) -> Bool[NDArray[np.bool_], "h w"]:
        """Its pixels, whatever hides them."""


@runtime_checkable
class Placed(Protocol):
    """An object of a scene."""

    @property
    def depth(self) -> int:
        """0 is nearest to the viewer."""


Item = TypeVar("Item", bound=Placed)
Traced = TypeVar("Traced", bound=Outlined)
Found = Mapping[Kind, Sequence[tuple[Meaning, int]]]


def random_source(seed: int) -> np.random.Generator:
    """The source of every choice in the scene of a seed.

    Raises:
        ValueError: If the seed is negative.
    """
    if seed < 0:
        raise ValueError(f"seed is {seed}, allowed are integers from 0; pass a non-negative seed")
    return np.random.Generator(np.random.PCG64(seed))


def compose(
    seed: int,
    rng: np.random.Generator,
    level: WorldLevel,
    canvas: tuple[int, int],
    lay_out: Callable[[], tuple[Item, ...] | None],
    trace: Callable[[Item, int, int], Traced],
    enumerate_expressions: Callable[[tuple[Item, ...], list[bool]], Found],
) -> tuple[
    tuple[Item, ...],
    list[Traced],
    Bool[NDArray[np.bool_], "n height width"],
    tuple[SceneExpression, ...],
]:
    """Lay objects out anew until occlusion stays within the limit and all expressions occur.

    Args:
        seed: Of the scene, for the error message.
        rng: Source of every choice.
        level: Gives the limits.
        canvas: Height and width.
        lay_out: Draws objects; None if they do not fit.
        trace: The footprint of an object on the canvas.
        enumerate_expressions: Clear expressions of objects, of which some may be a target.

    Returns:
        The objects, their footprints and visible pixels, and the expressions chosen.

    Raises:
        RuntimeError: If no layout fits.
    """
    for _ in range(MAX_LAYOUTS):
        objects = lay_out()
        if objects is None:
            continue
        prints = [trace(item, *canvas) for item in objects]
        masks, visible = visible_masks(objects, prints, *canvas)
        if visible.min() < level.min_visible:
            continue
        allowed = [bool(share >= level.target_in_crop) for share in share_in_crop(masks)]
        expressions = choose_expressions(enumerate_expressions(objects, allowed), level, rng)
        if expressions:
            return objects, prints, masks, expressions
    raise RuntimeError(
        f"no layout of level {level.name!r} found for seed {seed}; its limits and what may occur "
        "contradict each other"
    )


def pick(rng: np.random.Generator, options: Sequence[T]) -> T:
    """Draw one option.

    Only `random()` is used: its stream is the same in all NumPy versions.
    """
    return options[int(rng.random() * len(options))]


def visible_masks(
    objects: Sequence[Placed], prints: Sequence[Outlined], height: int, width: int
) -> tuple[Bool[NDArray[np.bool_], "n height width"], Float[NDArray[np.float64], " n"]]:
    """Visible pixels of each object, and the share of each that nearer ones leave visible."""
    masks = np.zeros((len(objects), height, width), dtype=bool)
    share = np.empty(len(objects))
    taken = np.zeros((height, width), dtype=bool)
    for i in sorted(range(len(objects)), key=lambda i: objects[i].depth):
        rows, columns, inside = prints[i].rows, prints[i].columns, prints[i].inside
        free = inside & ~taken[rows, columns]
        masks[i, rows, columns] = free
        taken[rows, columns] |= inside
        share[i] = np.count_nonzero(free) / np.count_nonzero(inside)
    return masks, share


def share_in_crop(
    masks: Bool[NDArray[np.bool_], "n height width"],
) -> Float[NDArray[np.float64], " n"]:
    """Share of each mask inside the central square."""
    height, width = masks.shape[1:]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    inside = masks[:, top : top + side, left : left + side].sum(axis=(1, 2))
    share: NDArray[np.float64] = inside / masks.sum(axis=(1, 2))
    return share


def canvas_size(rng: np.random.Generator, level: WorldLevel) -> tuple[int, int]:
    """Height and width of a random aspect ratio."""
    across, down = pick(rng, level.aspects)
    unit = level.short_side / min(across, down)
    return round(down * unit), round(across * unit)


def free_place(
    rng: np.random.Generator,
    canvas: tuple[int, int],
    edge: float,
    others: Sequence[tuple[Point, float]],
) -> Point | None:
    """A centre that is far enough from other objects; None if twenty draws find none.

    Args:
        rng: Source of every choice.
        canvas: Height and width.
        edge: Least distance from the border.
        others: Centre of every other object and the least distance from it.
    """
    height, width = canvas
    for _ in range(20):
        x, y = edge + rng.random() * (width - 2 * edge), edge + rng.random() * (height - 2 * edge)
        if all((x - a) ** 2 + (y - b) ** 2 >= least**2 for (a, b), least in others):
            return x, y
    return None


def choose_expressions(
    found: Found,
    level: WorldLevel,
    rng: np.random.Generator,
) -> tuple[SceneExpression, ...]:
    """Draw expressions up to each kind's quota, new targets first.

    Args:
        found: Clear expressions with their targets, by kind.
        level: Gives the quota and the kinds that are required.
        rng: Source of every choice.

    Returns:
        The expressions; none where a required kind does not occur.
    """
    if not all(found[kind] for kind in level.required):
        return ()
    chosen = []
    for kind, most in level.quota.items():
        options = list(found[kind])
        used: set[int] = set()
        for _ in range(most):
            pool = [option for option in options if option[1] not in used] or options
            if not pool:
                break
            meaning, target = pick(rng, pool)
            used.add(target)
            # Another sentence on the same target must say something else than a longer form of this
            # one.
            options = [o for o in options if o[1] != target or o[0].topic != meaning.topic]
            chosen.append(SceneExpression(meaning.sentence, target, kind))
    return tuple(chosen)
