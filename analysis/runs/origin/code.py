"""The code that makes rows: the import closure of modules, and a digest over it for the run's key.

Imports are read from the source, those inside functions included. Three rules keep the closure to
what can change a row. A name that a package only passes on counts as an import of the module that
defines it. A table of like things (``TABLES``) is not followed: the caller names the entries in
use. Comments, docstrings and layout do not count.
"""

import ast
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

TABLES = frozenset({"litelvlm.pruning.registry"})
"""Modules that only list things of one kind by name."""
_BLOCKS = ("body", "orelse", "finalbody", "handlers", "cases")
"""Where a statement holds others."""


@dataclass(frozen=True)
class CodeTree:
    """The source files of this project.

    Attributes:
        root: Folder of the package ``litelvlm``.
    """

    root: Path = Path(__file__).parents[3]
    _read: dict[str, "SourceFile"] = field(default_factory=dict, repr=False)
    _files: dict[str, Path | None] = field(default_factory=dict, repr=False)

    def file(self, module: str) -> Path | None:
        """Source file of a module or package; None if it is none of this project."""
        top, *rest = module.split(".")
        if top != "litelvlm":
            return None
        if module not in self._files:
            place = self.root.joinpath(*rest)
            candidates = (place / "__init__.py", place.with_suffix(".py"))
            self._files[module] = next((path for path in candidates if path.is_file()), None)
        return self._files[module]

    def closure(self, modules: Iterable[str]) -> frozenset[str]:
        """These modules with all that they import, directly or not, except what ``TABLES`` lists.

        Raises:
            ValueError: If a module cannot be found.
        """
        found: set[str] = set()
        waiting = list(modules)
        while waiting:
            module = waiting.pop()
            if module in found or module in TABLES:
                continue
            if self.file(module) is None:
                raise ValueError(
                    f"module {module!r} cannot be found, so its code cannot be part of a run's key"
                )
            found.add(module)
            waiting += self._imports(module)
        return frozenset(found)

    def digest(self, modules: Iterable[str]) -> str:
        """sha256 over the code of some modules (not of what they import)."""
        total = hashlib.sha256()
        for module in sorted(set(modules)):
            total.update(f"{module}:{self._source(module).digest};".encode())
        return total.hexdigest()

    def neighbours(self, module: str) -> list[str]:
        """The modules of the folder that a module lies in."""
        path, (room, _, _) = self.file(module), module.rpartition(".")
        if path is None:
            return []
        return [f"{room}.{file.stem}" for file in sorted(path.parent.glob("[!_]*.py"))]

    def home(self, module: str, name: str) -> str:
        """The module that defines a name which another one offers."""
        if self.file(f"{module}.{name}"):
            return f"{module}.{name}"
        path = self.file(module)
        if path is None or path.name != "__init__.py":
            return module
        source = self._source(module)
        return self.home(*source.passed_on[name]) if name in source.passed_on else module

    def _imports(self, module: str) -> list[str]:
        """Modules of this project that a module imports names from, or imports."""
        found = [(place, name) for place, name in self._source(module).imports if self.file(place)]
        return [self.home(place, name) if name else place for place, name in found]

    def _source(self, module: str) -> "SourceFile":
        path = self.file(module)
        if path is None:
            raise ValueError(f"module {module!r} cannot be found")
        changed = path.stat().st_mtime_ns
        if module not in self._read or self._read[module].changed != changed:
            self._read[module] = SourceFile.read(path, changed)
        return self._read[module]


class SourceFile(NamedTuple):
    """What one file tells.

    Attributes:
        changed: Time of its last change, in nanoseconds.
        digest: sha256 over its code.
        imports: Every import as (module, name), wherever it stands; name "" for a whole module.
        passed_on: Imports at the top level by the name they get here.
    """

    changed: int
    digest: str
    imports: tuple[tuple[str, str], ...]
    passed_on: Mapping[str, tuple[str, str]]

    @classmethod
    def read(cls, path: Path, changed: int) -> "SourceFile":
        """Parse a file."""
        tree = without_docstrings(ast.parse(path.read_text(encoding="utf-8")))
        imports: list[tuple[str, str]] = []
        for node in statements(tree):
            if isinstance(node, ast.Import):
                imports += [(alias.name, "") for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                imports += [(node.module, alias.name) for alias in node.names]
        passed_on = {
            alias.asname or alias.name: (node.module, alias.name)
            for node in tree.body
            if isinstance(node, ast.ImportFrom) and node.module
            for alias in node.names
        }
        digest = hashlib.sha256(ast.unparse(tree).encode()).hexdigest()
        return cls(changed, digest, tuple(imports), passed_on)


def statements(tree: ast.Module) -> Iterator[ast.AST]:
    """The tree and every statement in it; few of the nodes that ``ast.walk`` gives."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        for block in _BLOCKS:
            waiting += getattr(node, block, ())


def without_docstrings(tree: ast.Module) -> ast.Module:
    """The tree without docstrings, so that editing those starts no new run."""
    for node in statements(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = [part for part in node.body if not _is_text(part)] or [ast.Pass()]
    return tree


def _is_text(node: ast.stmt) -> bool:
    value = node.value if isinstance(node, ast.Expr) else None
    return isinstance(value, ast.Constant) and isinstance(value.value, str)
