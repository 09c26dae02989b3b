"""Rendered scenes with questions, written once in the layouts of GQA, POPE and VQA v2."""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm.auto import tqdm

from litelvlm.arrays import Array
from litelvlm.data.cache import cache_folder
from litelvlm.data.embedded import PICTOGRAMS, SEEDS
from litelvlm.data.files import atomic_folder, remove_debris
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

LAYOUTS = ("gqa", "pope", "vqav2")
"""Tasks that have embedded questions."""
SIDE, GRID = 168, 12
"""Pixels and patches of a side of the square that the miniature's CLIP reads."""
_SPLIT, _LEVEL = "val", "medium"
_PEOPLE = 10  # answers to a question of VQA v2
_ANSWER_TYPES = {"presence": "yes/no", "count": "number"}
_SOURCES = ("understanding/scenes.py", "understanding/rendered.py")


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


def rendered_root() -> Path:
    """The folder with all three layouts, made on first use (some seconds).

    Raises:
        PermissionError: If the cache folder cannot be written.
    """
    cache = cache_folder()
    root = cache / f"questions-{_digest()[:16]}"
    if root.is_dir():
        return root
    try:
        cache.mkdir(parents=True, exist_ok=True)
        remove_debris(cache)
        return atomic_folder(root, _write)
    except PermissionError as error:
        raise PermissionError(
            f"cannot write {cache}; set LITELVLM_CACHE to a writable folder"
        ) from error


def _digest() -> str:
    room = Path(__file__).parents[1]
    parts = [PICTOGRAMS.digest(), *((room / name).read_text() for name in _SOURCES)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _write(root: Path) -> None:
    (root / "images").mkdir()
    (root / "val2014").mkdir()
    scenes: list[tuple[int, list[Thing], str]] = []
    for seed in tqdm(SEEDS[_SPLIT], desc="questions", unit="image"):
        scene = sample_scene(seed, _LEVEL)
        pixels, things = square(scene)
        for path in (root / "images" / f"{seed}.png", root / "val2014" / f"{_coco(seed)}.png"):
            Image.fromarray(pixels).save(path)
        scenes.append((seed, things, scene.place))
    often = Counter(t.category for _, things, _ in scenes for t in things)
    popular = [name for name, _ in sorted(often.items(), key=lambda item: (-item[1], item[0]))]
    _write_gqa(root, scenes)
    _write_pope(root, scenes, popular)
    _write_vqa(root, scenes)


def _coco(image: int) -> str:
    return f"COCO_val2014_{image:012d}"


def _json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content) + "\n", encoding="utf-8")


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


def _write_gqa(root: Path, scenes: Sequence[tuple[int, list[Thing], str]]) -> None:
    table: dict[str, object] = {}
    quota: dict[QuestionKind, int] = {"colour": 2, "category": 2, "place": 2, "ground": 1}
    for seed, things, ground in scenes:
        found = scene_questions(things, ground)
        for number, question in enumerate(_chosen(found, quota, seed)):
            table[f"{seed}{number:02d}"] = {
                "question": question.text,
                "imageId": str(seed),
                "answer": question.answer,
                "fullAnswer": question.answer,
                "isBalanced": True,
                "types": {"structural": question.kind, "semantic": question.about or "global"},
            }
    _json(root / "testdev_balanced_questions.json", table)


def _write_pope(
    root: Path, scenes: Sequence[tuple[int, list[Thing], str]], popular: Sequence[str]
) -> None:
    """As many questions with "no" as with "yes" per image, in each of the three settings."""
    lines: dict[str, list[str]] = {"random": [], "popular": [], "adversarial": []}
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
                for one in (question, presence(name, False)):
                    entry = {
                        "question_id": len(lines[setting]) + 1,
                        "image": f"{_coco(seed)}.png",
                        "text": one.text,
                        "label": one.answer,
                    }
                    lines[setting].append(json.dumps(entry))
    for setting, rows in lines.items():
        (root / f"coco_pope_{setting}.json").write_text("\n".join(rows) + "\n", encoding="utf-8")


def _write_vqa(root: Path, scenes: Sequence[tuple[int, list[Thing], str]]) -> None:
    """Ten equal answers a question, since the truth is known."""
    asked: list[object] = []
    told: list[object] = []
    quota: dict[QuestionKind, int] = {"count": 2, "presence": 1, "colour": 1, "category": 1}
    for seed, things, ground in scenes:
        found = scene_questions(things, ground)
        absent = presence(pick(np.random.default_rng([13, seed]), absent_categories(things)), False)
        for number, question in enumerate([*_chosen(found, quota, seed), absent]):
            key = {"image_id": seed, "question_id": seed * 100 + number}
            answers = [
                {"answer": question.answer, "answer_confidence": "yes", "answer_id": i + 1}
                for i in range(_PEOPLE)
            ]
            asked.append({**key, "question": question.text})
            told.append({
                **key,
                "question_type": question.kind,
                "multiple_choice_answer": question.answer,
                "answers": answers,
                "answer_type": _ANSWER_TYPES.get(question.kind, "other"),
            })  # fmt: skip
    _json(root / "v2_OpenEnded_mscoco_val2014_questions.json", {"questions": asked})
    _json(root / "v2_mscoco_val2014_annotations.json", {"annotations": told})
