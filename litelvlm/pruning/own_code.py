"""The code of classes and functions outside this project, such as a user's own method."""

import ast
import hashlib
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from types import CodeType, ModuleType

from litelvlm.pruning.base import Pruner


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

    A module counts by the bytes of its file and of the files that it imports from its own folder or
    package. Where there is no file, as in a notebook or an interactive session, the compiled code
    of the classes and functions themselves counts.

    Args:
        makers: Classes and functions.
    """
    by_module: dict[str, list[object]] = {}
    for maker in makers:
        by_module.setdefault(maker.__module__, []).append(maker)
    found = []
    for name, own in sorted(by_module.items()):
        module, total = sys.modules[name], hashlib.sha256()
        if _file(module) is None:
            for maker in sorted(own, key=lambda one: str(getattr(one, "__qualname__", ""))):
                for part in _compiled(maker):
                    total.update(part)
        for path in sorted(_files(module)):
            total.update(path.read_bytes())
        found.append(total.hexdigest())
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
    waiting = [first]
    while waiting:
        path = waiting.pop()
        if path in found:
            continue
        found.add(path)
        for name in _imported(path, module.__name__):
            other = _file(sys.modules[name]) if name in sys.modules else None
            if other is not None and (other.parent == home or name.partition(".")[0] == package):
                waiting.append(other)
    return found


def _imported(path: Path, name: str) -> Iterator[str]:
    """Names of modules that a file imports, and names that may be modules."""
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = name.split(".")[: -node.level] if node.level else []
            base = ".".join([*above, *filter(None, [node.module])])
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def _compiled(maker: object) -> Iterator[bytes]:
    """Parts of what a class or function does: its code and the values that it holds."""
    if isinstance(maker, type):
        for name, value in sorted(vars(maker).items()):
            code = getattr(getattr(value, "fget", None) or value, "__code__", None)
            if isinstance(code, CodeType):
                yield name.encode()
                yield from _of_code(code)
            elif isinstance(value, str | int | float | bool | frozenset | tuple | None):
                yield f"{name}={_settled(value)}".encode() if name[:2] != "__" else b""
    code = getattr(maker, "__code__", None)
    if isinstance(code, CodeType):
        yield from _of_code(code)


def _of_code(code: CodeType) -> Iterator[bytes]:
    yield code.co_code
    yield repr(code.co_names).encode()
    for value in code.co_consts:
        if isinstance(value, CodeType):
            yield from _of_code(value)
        else:
            yield _settled(value).encode()


def _settled(value: object) -> str:
    """A value as text that does not change from process to process, as the order of sets does."""
    return repr(sorted(map(repr, value))) if isinstance(value, frozenset) else repr(value)
