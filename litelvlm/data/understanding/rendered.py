"""Rendered scenes with questions in the forms of GQA, POPE and VQA v2, made once and kept."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image
from tqdm.auto import tqdm

from litelvlm.arrays import Array
from litelvlm.data.cache import kept_folder
from litelvlm.data.embedded import PICTOGRAMS, SEEDS
from litelvlm.data.safe.shown import shown
from litelvlm.data.understanding.question import TASKS, Question, QuestionSet
from litelvlm.data.understanding.scenes import (
    QuestionKind,
    SceneQuestion,
    Thing,
    absent_categories,
    presence,
    scene_questions,
    things_in,
)
from litelvlm.data.worlds.canvas import pick
from litelvlm.data.worlds.pictograms.categories import SUPERCATEGORIES
from litelvlm.data.worlds.pictograms.scenes import PictogramScene, sample_scene
from litelvlm.names import check_name

SIDE, GRID = 168, 12
"""Pixels and patches of a side of the square that the miniature's CLIP reads."""
_SPLIT, _LEVEL = "val", "medium"
_ANSWER_TYPES = {"presence": "yes/no", "count": "number"}
_SOURCES = tuple(f"understanding/{name}.py" for name in ("scenes", "rendered", "question"))


class _Scene(NamedTuple):
    seed: int
    things: list[Thing]
    ground: str


def load_questions(task: str) -> QuestionSet:
    """The questions of a task about rendered scenes.

    Args:
        task: A name in ``TASKS``.

    Raises:
        ValueError: If the name is unknown, or a file that is kept was changed.
        PermissionError: If the cache folder cannot be written.
    """
    check_name(task, TASKS, "task")
    root = kept_folder(f"questions-{_digest()[:16]}", _write)
    path = root / f"{task}.json"
    try:
        rows = json.loads(path.read_text())
        questions = [Question(**{**row, "image": root / "images" / row["image"]}) for row in rows]
        return QuestionSet(task, tuple(questions), _SPLIT)
    except (ValueError, TypeError, KeyError, OSError, RecursionError) as error:
        raise ValueError(
            f"{path} was changed or damaged ({shown(str(error))}); delete {root}, and it is made "
            "again"
        ) from error


def square(scene: PictogramScene) -> tuple[Array, list[Thing]]:
    """What CLIP's square shows of a scene: its pixels [168, 168, 3] and the objects in it."""
    height, width = scene.image.shape[:2]
    top, left = (height - SIDE) // 2, (width - SIDE) // 2
    window = np.s_[top : top + SIDE, left : left + SIDE]
    step = SIDE // GRID
    cells = scene.masks[(slice(None), *window)].reshape(-1, GRID, step, GRID, step)
    # As training stores it: in 255 steps.
    coverage = np.round(255 * cells.mean((2, 4))).reshape(len(cells), -1).T / 255
    objects = [[item.category, item.tint, item.size] for item in scene.objects]
    return np.ascontiguousarray(scene.image[window]), things_in(objects, coverage)


def _digest() -> str:
    room = Path(__file__).parents[1]
    parts = [PICTOGRAMS.digest(), *((room / name).read_text() for name in _SOURCES)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _write(root: Path) -> None:
    (root / "images").mkdir()
    scenes = []
    for seed in tqdm(SEEDS[_SPLIT], desc="questions", unit="image"):
        scene = sample_scene(seed, _LEVEL)
        pixels, things = square(scene)
        Image.fromarray(pixels).save(root / "images" / f"{seed}.png")
        scenes.append(_Scene(seed, things, scene.place))
    makers = {"gqa": _gqa, "pope": _pope, "vqav2": _vqav2}
    for task, make in makers.items():
        rows = [{**asdict(question), "image": question.image.name} for question in make(scenes)]
        (root / f"{task}.json").write_text(json.dumps(rows) + "\n", encoding="utf-8")


def _chosen(
    found: Mapping[QuestionKind, Sequence[SceneQuestion]],
    quota: Mapping[QuestionKind, int],
    seed: int,
) -> list[SceneQuestion]:
    """Up to so many questions of each kind, drawn for one scene."""
    rng = np.random.default_rng([7, seed])
    chosen: list[SceneQuestion] = []
    for kind, most in quota.items():
        left = list(found[kind])
        for _ in range(min(most, len(left))):
            chosen.append(left.pop(int(rng.random() * len(left))))
    return chosen


def _gqa(scenes: Sequence[_Scene]) -> Iterator[Question]:
    """Colour, category, place and ground, grouped by this kind."""
    quota: dict[QuestionKind, int] = {"colour": 2, "category": 2, "place": 2, "ground": 1}
    for seed, things, ground in scenes:
        chosen = _chosen(scene_questions(things, ground), quota, seed)
        for number, one in enumerate(chosen):
            yield _question(f"{seed}{number:02d}", str(seed), seed, one, one.kind)


def _pope(scenes: Sequence[_Scene]) -> Iterator[Question]:
    """As many questions with "no" as with "yes" per image, in each of the three settings."""
    often = Counter(thing.category for scene in scenes for thing in scene.things)
    popular = [name for name, _ in sorted(often.items(), key=lambda item: (-item[1], item[0]))]
    asked: dict[str, list[tuple[int, SceneQuestion]]] = {
        "random": [], "popular": [], "adversarial": []
    }  # fmt: skip
    for seed, things, ground in scenes:
        rng = np.random.default_rng([11, seed])
        there = scene_questions(things, ground)["presence"]
        absent = absent_categories(things)
        kinds = {SUPERCATEGORIES[q.about] for q in there}
        near = [name for name in absent if SUPERCATEGORIES[name] in kinds]
        most = [name for name in popular if name in absent]
        for setting, pool in (("random", absent), ("popular", most[:6]), ("adversarial", near)):
            for question in there:
                name = pick(rng, pool or absent)
                asked[setting] += [(seed, question), (seed, presence(name, False))]
    for setting, pairs in asked.items():
        for number, (seed, one) in enumerate(pairs, 1):
            image = f"COCO_val2014_{seed:012d}"
            yield _question(f"{setting}-{number}", image, seed, one, setting)


def _vqav2(scenes: Sequence[_Scene]) -> Iterator[Question]:
    """Counts, presence and others, grouped by VQA v2's types of answers."""
    quota: dict[QuestionKind, int] = {"count": 2, "presence": 1, "colour": 1, "category": 1}
    for seed, things, ground in scenes:
        chosen = _chosen(scene_questions(things, ground), quota, seed)
        absent = pick(np.random.default_rng([13, seed]), absent_categories(things))
        for number, one in enumerate([*chosen, presence(absent, False)]):
            group = _ANSWER_TYPES.get(one.kind, "other")
            yield _question(str(seed * 100 + number), str(seed), seed, one, group)


def _question(
    question_id: str, image_id: str, seed: int, asked: SceneQuestion, group: str
) -> Question:
    return Question(question_id, image_id, asked.text, asked.answer, Path(f"{seed}.png"), group)
