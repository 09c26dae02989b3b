"""The code that makes rows: the import closure of modules, and a digest over it for the run's key.

Imports are read from the source, those inside functions included. Three rules keep the closure to
what can change a row. A name that a package only passes on counts as an import of the module that
defines it. A table of like things (``TABLES``) is not followed: which of its entries are in use is
said by whoever asks. Comments, docstrings and layout do not count.
"""

import ast
import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import litelvlm

TABLES = frozenset({"litelvlm.pruning.registry"})
"""Modules that only list things of one kind by name."""


@dataclass(frozen=True)
class CodeTree:
    """The source files of this project.

    Attributes:
        root: Folder of the package ``litelvlm``.
    """

    root: Path = Path(litelvlm.__file__).parent
    _parsed: dict[str, tuple[int, ast.Module, str]] = field(default_factory=dict, repr=False)

    def file(self, module: str) -> Path | None:
        """Source file of a module or package; None if it is none of this project."""
        top, *rest = module.split(".")
        if top != "litelvlm":
            return None
        place = self.root.joinpath(*rest)
        candidates = (place / "__init__.py", place.with_suffix(".py"))
        return next((path for path in candidates if path.is_file()), None)

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
            total.update(f"{module}:{self._parse(module)[2]};".encode())
        return total.hexdigest()

    def neighbours(self, module: str) -> list[str]:
        """The modules of the folder that a module lies in."""
        path, (room, _, _) = self.file(module), module.rpartition(".")
        if path is None:
            return []
        return [f"{room}.{file.stem}" for file in sorted(path.parent.glob("[!_]*.py"))]

    def _parse(self, module: str) -> tuple[int, ast.Module, str]:
        """Time of the file's last change, its tree, and the digest of its code."""
        path = self.file(module)
        if path is None:
            raise ValueError(f"module {module!r} cannot be found")
        changed = path.stat().st_mtime_ns
        if module not in self._parsed or self._parsed[module][0] != changed:
            tree = without_docstrings(ast.parse(path.read_text(encoding="utf-8")))
            digest = hashlib.sha256(ast.unparse(tree).encode()).hexdigest()
            self._parsed[module] = changed, tree, digest
        return self._parsed[module]

    def _imports(self, module: str) -> Iterator[str]:
        for node in ast.walk(self._parse(module)[1]):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names if self.file(alias.name))
            elif isinstance(node, ast.ImportFrom) and node.module and self.file(node.module):
                for alias in node.names:
                    yield self.home(node.module, alias.name)

    def home(self, module: str, name: str) -> str:
        """The module that defines a name which another one offers."""
        if self.file(f"{module}.{name}"):
            return f"{module}.{name}"
        path = self.file(module)
        if path is None or path.name != "__init__.py":
            return module
        for node in self._parse(module)[1].body:
            if isinstance(node, ast.ImportFrom) and node.module and self.file(node.module):
                for alias in node.names:
                    if name == (alias.asname or alias.name):
                        return self.home(node.module, alias.name)
        return module


def without_docstrings(tree: ast.Module) -> ast.Module:
    """The tree without docstrings, so that editing those starts no new run."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = [part for part in node.body if not _is_text(part)] or [ast.Pass()]
    return tree


def _is_text(node: ast.stmt) -> bool:
    value = node.value if isinstance(node, ast.Expr) else None
    return isinstance(value, ast.Constant) and isinstance(value.value, str)


def foreign_digest(file: Path) -> str:
    """sha256 over the bytes of a source file outside this project, such as a user's own method."""
    return hashlib.sha256(file.read_bytes()).hexdigest()
