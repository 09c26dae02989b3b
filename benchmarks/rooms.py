"""Draw the rooms of the project and the imports between them.

Usage: ``python -m benchmarks.rooms`` draws today's rooms, and ``--commit 1438bd3`` those before the
move, each as a picture in ``docs/pictures/``. A test compares the first with the imports.

An arrow stands for at least one import. One that follows from two others is left out. Reads every
import as text and runs nothing.
"""

import argparse
import ast
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import networkx as nx

ROOT = Path(__file__).parents[1]
PICTURES = ROOT / "docs" / "pictures"
TOPS = ("litelvlm", "analysis", "figures")
ROOF = ("litelvlm", "analysis", "analysis.api", "analysis.__main__")
"""Modules that collect names for users and commands, and belong to no room."""
LARGE = 20
"""Files above which a folder without rooms is a hall."""
_WIDTH, _HEIGHT, _GAP, _RISE = 146, 40, 22, 74  # of a box, between boxes, from floor to floor
_INK, _HALL = "#37474f", "#b3261e"
_FILLS = {"analysis": "#e3edf7", "figures": "#e6f2e4", "litelvlm": "#fbf0d9"}


def sources(commit: str = "") -> dict[str, str]:
    """Text of every module by its dotted name, in the folders that hold it.

    Args:
        commit: Taken from git; today's files if left out.
    """
    if commit:
        listed = _git("ls-tree", "-r", "--name-only", commit, *TOPS).split()
        texts = {path: _git("show", f"{commit}:{path}") for path in listed if path.endswith(".py")}
    else:
        texts = {
            path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
            for top in TOPS
            for path in sorted((ROOT / top).rglob("*.py"))
            if not any(folder.is_symlink() for folder in path.parents)
        }
    return {
        path.removesuffix(".py").removesuffix("/__init__").replace("/", "."): text
        for path, text in texts.items()
    }


def _git(*words: str) -> str:
    done = subprocess.run(["git", *words], cwd=ROOT, check=True, capture_output=True, text=True)  # noqa: S603, S607
    return done.stdout


def imports(modules: Mapping[str, str]) -> nx.DiGraph:
    """Imports between modules, wherever they stand in a file."""
    graph = nx.DiGraph()
    graph.add_nodes_from(modules)
    for module, text in modules.items():
        for node in ast.walk(ast.parse(text)):
            for name in _named(node):
                short = name.removeprefix("litelvlm.")
                goal = short if short.split(".")[0] in TOPS[1:] else name
                while goal not in modules and "." in goal:
                    goal = goal.rpartition(".")[0]
                if goal in modules and goal != module:
                    graph.add_edge(module, goal)
    return graph


def _named(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
        yield from (f"{node.module}.{alias.name}" for alias in node.names)


def room_of(module: str, modules: Mapping[str, str]) -> str | None:
    """Folder of a module, two levels deep; None for the library's few single files."""
    parts = module.split(".")
    inside = len(parts) > 2 or any(name.startswith(f"{module}.") for name in modules)
    if parts[0] == "litelvlm":
        return "/".join(parts[:2]) if inside and len(parts) > 1 else None
    if parts[0] == "analysis" and len(parts) > 1 and inside:
        return "/".join(parts[:2])
    return parts[0]


def rooms(modules: Mapping[str, str]) -> nx.DiGraph:
    """Arrows between folders, without those that follow from others.

    A room knows its number of files, and the size of the largest import circle among them.

    Raises:
        ValueError: If rooms import each other in a circle.
    """
    graph, arrows = imports(modules), nx.DiGraph()
    homes = {module: room_of(module, modules) for module in modules}
    for module, goal in graph.edges:
        ours, theirs = homes[module], homes[goal]
        if ours and theirs and ours != theirs and module not in ROOF:
            arrows.add_edge(ours, theirs)
    for circle in nx.strongly_connected_components(arrows):
        if len(circle) > 1:
            raise ValueError(f"rooms import each other: {', '.join(sorted(circle))}")
    reduced = nx.transitive_reduction(arrows)
    for home in reduced:
        files = [module for module in modules if homes[module] == home]
        circles = nx.strongly_connected_components(graph.subgraph(files))
        reduced.nodes[home].update(files=len(files), circle=max(map(len, circles)))
    return reduced


def arrows_of(picture: str) -> set[tuple[str, str]]:
    """The arrows that a picture shows, by the titles of its lines."""
    titles = [part.partition("</title>")[0] for part in picture.split("<title>")[1:]]
    return {(start, goal) for start, _, goal in (title.partition(" imports ") for title in titles)}


Place = tuple[float, float]


def placed(arrows: nx.DiGraph) -> tuple[dict[str, Place], dict[tuple[str, str], list[Place]]]:
    """Middle of each box, and the corners of each arrow, which passes floors between boxes."""
    height: dict[str, int] = {}
    for home in reversed(list(nx.lexicographical_topological_sort(arrows))):
        height[home] = 1 + max((height[goal] for goal in arrows[home]), default=-1)
    floors: list[list[tuple[str, str]]] = [[] for _ in range(max(height.values()) + 1)]
    for home, floor in sorted(height.items()):
        floors[floor].append((home, home))
    for start, goal in sorted(arrows.edges):  # a line takes a place on every floor that it passes
        for floor in range(height[goal] + 1, height[start]):
            floors[floor].append((start, goal))
    where: dict[tuple[int, str, str], float] = {}

    def above(floor: int, start: str, goal: str) -> float:
        """Mean of the places on the floor above that lead here."""
        if start != goal:
            return where[floor + 1, start, start if height[start] == floor + 1 else goal]
        leading = [
            where[floor + 1, one, one if height[one] == floor + 1 else start]
            for one in arrows.predecessors(start)
        ]
        return sum(leading) / len(leading) if leading else 0.0

    for floor in reversed(range(len(floors))):
        order = sorted(floors[floor], key=lambda one: (above(floor, *one), one))
        for place, (start, goal) in enumerate(order):
            where[floor, start, goal] = (place - (len(order) - 1) / 2) * (_WIDTH + _GAP)
    left = min(where.values()) - _WIDTH / 2 - _GAP

    def spot(floor: int, start: str, goal: str) -> Place:
        return (
            where[floor, start, goal] - left,
            (len(floors) - 1 - floor) * _RISE + _GAP + _HEIGHT / 2,
        )

    boxes = {home: spot(floor, home, home) for home, floor in height.items()}
    lines = {
        (start, goal): [
            boxes[start],
            *(spot(floor, start, goal) for floor in range(height[start] - 1, height[goal], -1)),
            boxes[goal],
        ]
        for start, goal in sorted(arrows.edges)
    }
    return boxes, lines


def picture_of(arrows: nx.DiGraph, counts: bool) -> str:
    """The rooms as an SVG picture.

    Args:
        arrows: What ``rooms`` returns.
        counts: Write how many files each has, halls and circles in red.
    """
    boxes, lines = placed(arrows)
    width = max(x for x, _ in boxes.values()) + _WIDTH / 2 + _GAP
    height = max(y for _, y in boxes.values()) + _HEIGHT / 2 + _GAP
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" '
        f'width="{width:g}" font-family="sans-serif" font-size="13" text-anchor="middle">',
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" '
        f'markerHeight="8" orient="auto"><path d="M0 0L8 4L0 8z" fill="{_INK}"/></marker></defs>',
        f'<rect width="{width:g}" height="{height:g}" fill="#ffffff"/>',
    ]
    for (start, goal), corners in lines.items():
        (x, y), (last_x, last_y) = corners[0], corners[-1]
        middle = "".join(f" L{a:g} {b - 20:g} L{a:g} {b + 20:g}" for a, b in corners[1:-1])
        path = f"M{x:g} {y + _HEIGHT / 2:g}{middle} L{last_x:g} {last_y - _HEIGHT / 2 - 1:g}"
        parts.append(
            f'<path d="{path}" fill="none" stroke="{_INK}" marker-end="url(#tip)">'
            f"<title>{start} imports {goal}</title></path>"
        )
    for home, (x, y) in boxes.items():
        about = arrows.nodes[home]
        large = counts and about["files"] > LARGE
        parts.append(
            f'<rect x="{x - _WIDTH / 2:g}" y="{y - _HEIGHT / 2:g}" width="{_WIDTH}" '
            f'height="{_HEIGHT}" rx="5" fill="{_FILLS[home.split("/")[0]]}" '
            f'stroke="{_HALL if large else _INK}"/>'
        )
        parts.append(f'<text x="{x:g}" y="{y - 3 if counts else y + 4:g}">{home}/</text>')
        if counts:
            circle = f", a circle of {about['circle']}" if about["circle"] > 1 else ""
            parts.append(
                f'<text x="{x:g}" y="{y + 13:g}" font-size="11" '
                f'fill="{_HALL if large else _INK}">{about["files"]} files{circle}</text>'
            )
    return "\n".join([*parts, "</svg>", ""])


def main() -> None:
    """Draw the rooms of today, or of a commit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--commit", default="", help="draw this commit instead of today's files")
    given = parser.parse_args()
    path = PICTURES / ("rooms-before.svg" if given.commit else "rooms.svg")
    path.write_text(picture_of(rooms(sources(given.commit)), bool(given.commit)), encoding="utf-8")
    sys.stdout.write(f"{path.relative_to(ROOT)}\n")


if __name__ == "__main__":
    main()
