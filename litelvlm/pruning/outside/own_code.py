"""The code of classes and functions outside this project, such as a user's own method."""

import ast
import hashlib
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from types import ModuleType
from weakref import WeakKeyDictionary

from litelvlm.pruning.base import Pruner
from litelvlm.pruning.outside.compiled import parts_of


def with_parts(methods: Sequence[Pruner]) -> list[Pruner]:
    """Methods and the methods that they hold."""
    held = [getattr(method, entry.name) for method in methods for entry in fields(method)]
    inner = [value for value in held if isinstance(value, Pruner)]
    return [*methods, *(with_parts(inner) if inner else [])]


def method_digests(methods: Sequence[Pruner]) -> list[str]:
    """Digests of the code of methods, and of those that they hold, from outside this project."""
    classes = [type(method) for method in with_parts(methods)]
    return foreign_digests(cls for cls in classes if cls.__module__.partition(".")[0] != "litelvlm")


def foreign_digests(makers: Iterable[object]) -> list[str]:
    """One sha256 per module outside this project, over all of its own code.

    A module counts by the bytes of its file, of the files below its folder or in its package that
    it imports, and of those that its classes name in ``files``. Where there is no file, as in a
    notebook or an interactive session, what the classes and functions do counts (``parts_of``).

    Args:
        makers: Classes and functions.

    Raises:
        ValueError: If one of these files changed after the class was loaded: Python would compute
            with the former code.
    """
    by_module: dict[str, list[object]] = {}
    for maker in makers:
        by_module.setdefault(maker.__module__, []).append(maker)
    found = []
    for name, own in sorted(by_module.items()):
        module, total = sys.modules[name], hashlib.sha256()
        own = sorted(own, key=lambda one: str(getattr(one, "__qualname__", "")))
        if _file(module) is None:
            for maker in own:
                for part in parts_of(maker):
                    total.update(part)
        paths = sorted(_files(module)) + [path for one in own for path in read_files(one)]
        for path in paths:
            content = path.read_bytes()
            total.update(content)
            for maker in own if _file(module) else ():
                _check_unchanged(maker, path, hashlib.sha256(content).digest())
        found.append(total.hexdigest())
    return found


def note_code(cls: type) -> None:
    """Remember the files of a class from outside, so that a later change of them is noticed."""
    if cls.__module__.partition(".")[0] != "litelvlm":
        foreign_digests([cls])


_LOADED: WeakKeyDictionary[object, dict[Path, bytes]] = WeakKeyDictionary()
"""Digests of the files of a class at their first reading; a reloaded class is another one."""


def _check_unchanged(maker: object, path: Path, digest: bytes) -> None:
    if _LOADED.setdefault(maker, {}).setdefault(path, digest) != digest:
        raise ValueError(
            f"{path.name} changed after {getattr(maker, '__qualname__', maker)} was loaded, and "
            "Python computes with what it was; start Python anew"
        )


def read_files(maker: object) -> list[Path]:
    """Files that a class says it reads, from the folder of its own file, or the current one.

    Raises:
        FileNotFoundError: Naming one that does not exist.
    """
    file = _file(sys.modules[maker.__module__])
    home = file.parent if file else Path.cwd()
    found = [home / name for name in getattr(maker, "files", ())]
    for path in found:
        if not path.is_file():
            raise FileNotFoundError(f"{path}, named in files of {maker!r}, does not exist")
    return found


def _file(module: ModuleType) -> Path | None:
    """The source file of a module; None in a notebook or an interactive session."""
    named = getattr(module, "__file__", None)
    path = Path(named) if isinstance(named, str) else None
    return path if path is not None and path.suffix == ".py" and path.is_file() else None


def _files(module: ModuleType) -> set[Path]:
    """The file of a module and those of its own that it imports, directly or not."""
    first = _file(module)
    if first is None:
        return set()
    home, package = first.parent, module.__name__.partition(".")[0]
    found: set[Path] = set()
    waiting = [(first, module.__name__)]
    while waiting:
        path, name = waiting.pop()
        if path in found:
            continue
        found.add(path)
        for imported in _imported(path, name):
            other = _found(imported, home)
            if other is not None and _belongs(imported, other, home, package):
                waiting.append((other, imported))
    return found


def _found(name: str, home: Path) -> Path | None:
    """The source file of a module, loaded or below ``home``; None if there is none."""
    if name in sys.modules:
        return _file(sys.modules[name])
    place = home.joinpath(*name.split("."))
    return next(filter(Path.is_file, (place.with_suffix(".py"), place / "__init__.py")), None)


def _belongs(name: str, path: Path, home: Path, package: str) -> bool:
    """Whether an imported module is part of the user's own code, and of no installed library."""
    top = name.partition(".")[0]
    if top == package:
        return True
    if top == "litelvlm" or home not in path.parents:
        return False
    below = path.relative_to(home).parts
    return not _INSTALLED & set(below) and _STANDARD not in path.parents


_INSTALLED = {"site-packages", "dist-packages"}
_STANDARD = Path(sysconfig.get_paths()["stdlib"])


def _imported(path: Path, name: str) -> Iterator[str]:
    """Names of modules that a file imports, with their packages, and names that may be modules."""
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _with_packages(alias.name)
        elif isinstance(node, ast.ImportFrom):
            inside = path.name == "__init__.py"
            parts = name.split(".")
            above = parts[: len(parts) - node.level + inside] if node.level else []
            base = ".".join([*above, *filter(None, [node.module])])
            yield from _with_packages(base)
            yield from (f"{base}.{alias.name}" for alias in node.names)


def _with_packages(name: str) -> Iterator[str]:
    """A module and the packages that hold it: "a.b" gives "a" and "a.b"."""
    parts = name.split(".")
    yield from (".".join(parts[:count]) for count in range(1, len(parts) + 1))
