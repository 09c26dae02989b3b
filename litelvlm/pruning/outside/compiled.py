"""What a class or function without a source file does, as in a notebook: its code and values."""

from collections.abc import Iterator
from dis import get_instructions
from types import CodeType, FunctionType

import numpy as np
import torch
from torch import Tensor, nn

_Holder = list[object] | tuple[object, ...] | dict[object, object] | nn.Module


def parts_of(maker: object) -> Iterator[bytes]:
    """Parts that say what a class or function does, in an order that is the same in each process.

    Its code counts, with that of its bases, and what this code names of the same module: functions,
    classes, plain values, arrays, tensors, the weights of networks, and lists and dictionaries of
    these. What it names of other modules does not count.

    Args:
        maker: A class or function.
    """
    yield from _Walk(str(getattr(maker, "__module__", ""))).of(maker)


class _Walk:
    """One walk from an object to all that it names; each is visited once."""

    def __init__(self, module: str) -> None:
        self.module = module
        self.seen: set[int] = set()

    def of(self, value: object) -> Iterator[bytes]:
        """Parts of a value that code names; nothing of what is not this module's own."""
        if id(value) in self.seen:
            return
        if isinstance(value, type | FunctionType):
            if value.__module__ == self.module:
                self.seen.add(id(value))
                yield from self._class(value) if isinstance(value, type) else self._function(value)
        elif (words := words_of(value)) is not None:
            yield words
        elif isinstance(value, list | tuple | dict | nn.Module):
            self.seen.add(id(value))
            yield from self._parts(value)

    def _parts(self, value: _Holder) -> Iterator[bytes]:
        """What a container or a network holds."""
        if isinstance(value, nn.Module):
            yield from self.of(type(value))
            held = list[tuple[object, object]](value.state_dict().items())
        else:
            held = list(value.items() if isinstance(value, dict) else enumerate(value))
        for name, part in held:
            yield words_of(name) or b""
            yield from self.of(part)

    def _class(self, cls: type) -> Iterator[bytes]:
        for base in cls.__mro__[1:]:
            yield from self.of(base)
        for name, value in sorted(vars(cls).items()):
            function = _function_in(value)
            if function is not None:
                yield name.encode()
                yield from self._function(function)
            elif name[:2] != "__":
                yield from (name.encode() + b"=" + part for part in self.of(value))

    def _function(self, function: FunctionType) -> Iterator[bytes]:
        yield from _of_code(function.__code__)
        held = [cell.cell_contents for cell in function.__closure__ or () if _is_filled(cell)]
        for value in (function.__defaults__, function.__kwdefaults__, *held):
            yield from self.of(value)
        for name in sorted(_names(function.__code__)):
            if name in function.__globals__:
                yield name.encode()
                yield from self.of(function.__globals__[name])


def _function_in(value: object) -> FunctionType | None:
    """The function behind a method, a property or a cached one."""
    for name in ("fget", "func", "__func__"):
        value = getattr(value, name, None) or value
    return value if isinstance(value, FunctionType) else None


def _is_filled(cell: object) -> bool:
    try:
        cell.cell_contents  # type: ignore[attr-defined]  # noqa: B018 - raises if it is empty
    except ValueError:
        return False
    return True


def _names(code: CodeType) -> set[str]:
    """Names of the module that code reads, and code within it; attributes are none."""
    inner = (_names(value) for value in code.co_consts if isinstance(value, CodeType))
    own = (one.argval for one in get_instructions(code) if one.opname == "LOAD_GLOBAL")
    return set(own).union(*inner)


def _of_code(code: CodeType) -> Iterator[bytes]:
    yield code.co_code
    yield repr(code.co_names).encode()
    for value in code.co_consts:
        if isinstance(value, CodeType):
            yield from _of_code(value)
        else:
            yield words_of(value) or b""


def words_of(value: object) -> bytes | None:
    """A value as words that do not change from process to process; None where it has none.

    Example:
        >>> words_of((1, "a")), words_of(object()), words_of({"b": frozenset({2, 1})})
        (b"(1,'a')", None, b"{'b':{1,2}}")
    """
    if isinstance(value, Tensor):
        flat = value.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
        return f"{value.dtype}{list(value.shape)}".encode() + flat.numpy().tobytes()
    if isinstance(value, np.ndarray | np.generic):
        return f"{value.dtype}{list(value.shape)}".encode() + value.tobytes()
    if isinstance(value, tuple | list | set | frozenset):
        found = [words_of(part) for part in value]
        return _bracketed(type(value), found)
    if isinstance(value, dict):
        pairs = ((words_of(name), words_of(one)) for name, one in value.items())
        found = [
            None if None in pair else b":".join(map(bytes, filter(None, pair))) for pair in pairs
        ]
        return _bracketed(set, found)
    plain = value is None or value is ... or isinstance(value, str | bytes | int | float | complex)
    return repr(value).encode() if plain else None


def _bracketed(kind: type, parts: list[bytes | None]) -> bytes | None:
    known = [part for part in parts if part is not None]
    if len(known) < len(parts):
        return None
    unordered = kind in (set, frozenset)
    first, last = (b"{", b"}") if unordered else (b"(", b")") if kind is tuple else (b"[", b"]")
    return first + b",".join(sorted(known) if unordered else known) + last
