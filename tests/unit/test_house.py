"""The rooms of the house: few files in each, imports one way, no circle, nothing hidden."""

import ast
from collections import defaultdict
from pathlib import Path
from statistics import median

import pytest

from litelvlm.analysis.studies import EVERY_STUDY

ROOT = Path(__file__).parents[2]
TOPS = ("litelvlm", "analysis", "figures")
ROOMS = (
    "stats",
    "runs",
    "inputs",
    "signals",
    "studies",
    "lmms",
    "reproduce",
    "pages",
    "cli",
)
"""Rooms of ``analysis``; each may import from those before it and from itself."""
FLOORS = {
    "litelvlm.arrays": 0, "litelvlm.names": 0, "litelvlm.number_types": 0, "litelvlm.hub_ids": 0,
    "litelvlm.version": 0, "litelvlm.finite": 0, "litelvlm.interrupts": 0, "litelvlm.metrics": 0,
    "litelvlm.__main__": 0, "litelvlm.layout": 0, "litelvlm.keys": 0,
    "litelvlm.clip": 1, "litelvlm.pruning": 1, "litelvlm.data": 1,
    "litelvlm.models": 2,
    "litelvlm.embedded": 3, "litelvlm.training": 4,
}  # fmt: skip
"""Floors of the library; a room may import from its own floor and those below."""
SHARED_BY_FAMILIES = (
    *("attribution", "base", "clip_files", "configs", "costs", "families", "files"),
    *("image_cache", "lora", "lora_files", "options", "requests", "sam2", "segmenting", "studied"),
    *("templates", "timed", "view", "vlm_base", "weight_names", "weights"),
)
TIED_TO_GLAMM = {
    # It asks no grounding model: the small CLIPs that it trains read the questions of LiteLVLM's
    # evaluation, which are GLaMM's.
    "litelvlm.analysis.studies.emergence.scenes",
    # Fewer bits are made for the parts of one network, which are counted one by one.
    "litelvlm.analysis.studies.quantisation.memory",
    "litelvlm.analysis.studies.quantisation.prepare",
    # One family is fine-tuned.
    "litelvlm.analysis.studies.finetuning.prepare",
    "litelvlm.analysis.studies.finetuning.trainings",
}
"""Modules of studies that know GLaMM, and why they must."""
MAX_LINES, MAX_MEDIAN, MAX_FILES = 350, 120, 20
GENERIC = ("stats", "runs", "pages", "cli")
"""Rooms of ``analysis`` that serve every study alike."""
TABLE_OF_METHODS = Path("litelvlm/pruning/methods")


def name_of(file):
    parts = file.relative_to(ROOT).with_suffix("").parts
    name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
    return name if parts[0] == "litelvlm" else f"litelvlm.{name}"


FILES = {
    name_of(file): file
    for top in TOPS
    for file in sorted((ROOT / top).rglob("*.py"))
    if not any(part.is_symlink() for part in file.parents)
}


def targets_of(node, module):
    """Modules of the project that one import statement names."""
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
        places = [f"{node.module}.{alias.name}" for alias in node.names]
        names = [place if place in FILES else node.module for place in places]
    else:
        names = []
    return [name for name in names if name in FILES and name != module]


@pytest.fixture(scope="module")
def imports():
    """Every import between modules as (module, target, whether it stands at the top level)."""
    found = []
    for module, file in FILES.items():
        tree = ast.parse(file.read_text(encoding="utf-8"))
        top = {id(node) for node in tree.body}
        for node in ast.walk(tree):
            found += [(module, goal, id(node) in top) for goal in targets_of(node, module)]
    return found


def room(module):
    """Room of a module of ``analysis``; None elsewhere and for the roof's own files."""
    parts = module.split(".")
    return parts[2] if parts[1:2] == ["analysis"] and len(parts) > 2 and parts[2] in ROOMS else None


def floor(module):
    return next((FLOORS[place] for place in FLOORS if f"{module}.".startswith(f"{place}.")), None)


def test_rooms_are_known():
    folders = {path.parent.name for path in (ROOT / "analysis").glob("*/__init__.py")}
    assert folders == set(ROOMS)
    library = {
        name.split(".")[1]
        for name in FILES
        if name != "litelvlm" and name.split(".")[1] not in ("analysis", "figures")
    }
    assert library == {place.split(".")[1] for place in FLOORS}


def test_arrows_point_one_way(imports):
    wrong = []
    for module, goal, _ in imports:
        ours, theirs = room(module), room(goal)
        if ours and theirs and ROOMS.index(theirs) > ROOMS.index(ours):
            wrong.append((module, goal))
        if goal.startswith("litelvlm.figures") and ours and ours != "cli":
            wrong.append((module, goal))
        if module.startswith("litelvlm.figures") and theirs in ("pages", "cli"):
            wrong.append((module, goal))
        if floor(module) is not None and (floor(goal) is None or floor(goal) > floor(module)):
            wrong.append((module, goal))
    assert wrong == []


def test_no_family_imports_another(imports):
    wrong = []
    for module, goal, _ in imports:
        ours, theirs = module.split("."), goal.split(".")
        families = ours[1:2] == theirs[1:2] == ["models"] and len(ours) > 3 and len(theirs) > 2
        if families and theirs[2] not in (ours[2], *SHARED_BY_FAMILIES):
            wrong.append((module, goal))
    assert wrong == []


def test_studies_ask_models_through_their_seams(imports):
    """What a study asks, what it asks about and what it reads are the same for every family."""
    found = {
        module
        for module, goal, _ in imports
        if room(module) in ("studies", "inputs", "signals")
        and f"{goal}.".startswith("litelvlm.models.glamm.")
    }
    assert found == TIED_TO_GLAMM


def test_training_is_out_of_the_way_of_users(imports):
    """The package and its models load no training code; one command and two studies do."""
    users = {
        module
        for module, goal, _ in imports
        if f"{goal}.".startswith("litelvlm.training.")
        and not f"{module}.".startswith("litelvlm.training.")
    }
    studies = tuple(f"litelvlm.analysis.studies.{name}." for name in ("emergence", "finetuning"))
    assert users
    others = {module for module in users if not f"{module}.".startswith(studies)}
    assert others == {"litelvlm.analysis.cli.actions.finetune"}
    asks = {module for module, goal, _ in imports if f"{goal}.".startswith((*studies, *others))}
    assert [module for module in asks if not f"{module}.".startswith(studies)] == []


def test_no_import_is_hidden(imports):
    """Commands and the package's face import late, so that they start fast; nobody else does."""
    late = {(module, goal) for module, goal, top in imports if not top}
    assert {pair for pair in late if pair[0] != "litelvlm" and room(pair[0]) != "cli"} == set()


def test_generic_rooms_decide_nothing_by_the_name_of_a_study():
    """What differs between studies is a field of the study, its story or its figures."""
    found = [
        (module, node.lineno, name.value)
        for module, file in FILES.items()
        if room(module) in GENERIC
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Compare | ast.match_case)
        for name in ast.walk(node)
        if isinstance(name, ast.Constant) and name.value in EVERY_STUDY
    ]
    assert found == []


def test_there_is_no_circle(imports):
    arrows = defaultdict(set)
    for module, goal, _ in imports:
        arrows[module].add(goal)
    done, path = set(), []

    def visit(module):
        if module in path:
            return path[path.index(module) :]
        if module in done:
            return []
        path.append(module)
        for goal in sorted(arrows[module]):
            if circle := visit(goal):
                return circle
        path.pop()
        done.add(module)
        return []

    assert [circle for module in sorted(FILES) if (circle := visit(module))] == []


def test_files_are_short_and_folders_small():
    lengths = {name: len(file.read_text().splitlines()) for name, file in FILES.items()}
    assert {name: n for name, n in lengths.items() if n > MAX_LINES} == {}
    assert median(lengths.values()) <= MAX_MEDIAN
    folders = defaultdict(int)
    for file in FILES.values():
        folders[file.parent.relative_to(ROOT)] += 1
    folders.pop(TABLE_OF_METHODS)
    assert {str(folder): n for folder, n in folders.items() if n > MAX_FILES} == {}
