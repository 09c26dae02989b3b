"""What one benchmark takes from another is there."""

import ast
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "benchmarks"
TREES = {path.stem: ast.parse(path.read_text()) for path in sorted(FOLDER.glob("*.py"))}


def defined(tree):
    """Names that a module has at its top level."""
    names = set()
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names |= {alias.asname or alias.name for alias in node.names}
        else:
            names |= {
                target.id
                for target in ast.walk(node)
                if isinstance(target, ast.Name) and isinstance(target.ctx, ast.Store)
            }
    return names


def taken(tree):
    """Pairs of a benchmark and a name of it that a module reads."""
    modules = {}
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.module:
            home = node.module.removeprefix("benchmarks.")
            yield from ((home, alias.name) for alias in node.names if home in TREES)
        elif isinstance(node, ast.Import):
            modules |= {a.asname or a.name: a.name for a in node.names if a.name in TREES}
    for node in ast.walk(tree):
        owner = node.value if isinstance(node, ast.Attribute) else None
        if isinstance(owner, ast.Name) and owner.id in modules:
            yield modules[owner.id], node.attr


def test_what_a_benchmark_takes_from_another_is_there():
    pairs = {(name, *pair) for name, tree in TREES.items() for pair in taken(tree)}
    assert ("scaling", "sweep", "METHODS") in pairs
    missing = [
        f"{name}.py takes {what} of {home}.py"
        for name, home, what in sorted(pairs)
        if what not in defined(TREES[home])
    ]
    assert missing == []
