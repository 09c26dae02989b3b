"""Read a pickle of plain data without running it: a small machine of our own, not Python's.

It knows the opcodes that make lists, dicts, tuples, sets, strings and numbers, and four names that
NumPy needs for a number. It has no other calls, no classes and no extension registry, so that no
code of the file can run. Keys and members of sets are strings and numbers only, because hashing
nested containers can take forever. Depth and the number of values are bounded, and no container may
hold itself.
"""

import codecs
import sys
from collections.abc import Callable, Sequence

from litelvlm.data.safe.pickle_numpy import CALLS, Dtype, Global, UnsafePickleError
from litelvlm.data.safe.pickle_opcodes import Opcode, read_opcodes
from litelvlm.data.safe.shown import shown

__all__ = [
    "MAX_DEPTH",
    "MAX_STEPS",
    "MAX_VALUES",
    "UnsafePickleError",
    "loads_plain",
]

MAX_DEPTH, MAX_VALUES = 50, 50_000_000
"""Of the data; a value that is used again counts each time."""
MAX_STEPS = 30_000_000
"""Opcodes of a file; each takes at most 300 bytes. The family's largest table has a third."""
_SCALARS = (str, int, float, bool, bytes, type(None))


class _Container:
    """A list, dict, tuple or set on the machine's stack.

    Attributes:
        value: The container itself.
        depth: Levels of containers inside it.
        size: Values inside it, itself included.
        open: It may still grow; nothing holds it yet.
        plain: It holds data only, no stand-in of NumPy.
    """

    __slots__ = ("depth", "open", "plain", "size", "value")

    def __init__(self, value: object) -> None:
        self.value, self.depth, self.size, self.open, self.plain = value, 1, 1, True, True

    def hold(self, item: object) -> object:
        """Count an item of this container and return it as it will stand there."""
        if not isinstance(item, _Container):
            self.plain &= isinstance(item, _SCALARS)
            self.size += 1
            return item
        if item is self:
            raise UnsafePickleError("a container holds itself")
        item.open = False
        self.plain &= item.plain
        self.depth = max(self.depth, item.depth + 1)
        self.size += item.size
        if self.depth > MAX_DEPTH:
            raise UnsafePickleError(f"the data is nested more than {MAX_DEPTH} levels deep")
        if self.size > MAX_VALUES:
            raise UnsafePickleError(f"the data has more than {MAX_VALUES:,} values")
        return item.value


class _Machine:
    """Stack and memo; a method per kind of opcode."""

    def __init__(self) -> None:
        self.stack: list[object] = []
        self.marks: list[int] = []
        self.memo: dict[int, object] = {}

    def pop(self) -> object:
        if len(self.stack) <= (self.marks[-1] if self.marks else 0):
            raise UnsafePickleError("the data is damaged: something is taken from an empty stack")
        return self.stack.pop()

    def items(self) -> list[object]:
        """Everything since the last mark."""
        if not self.marks:
            raise UnsafePickleError("the data is damaged: a mark is missing")
        start = self.marks.pop()
        found = self.stack[start:]
        del self.stack[start:]
        return found

    def target(self, kind: type) -> _Container:
        """The open container on top of the stack."""
        found = self.stack[-1] if len(self.stack) > (self.marks[-1] if self.marks else 0) else None
        if not isinstance(found, _Container) or type(found.value) is not kind or not found.open:
            raise UnsafePickleError(f"the data is damaged: no open {kind.__name__} to add to")
        return found

    def push(self, kind: type, items: Sequence[object]) -> None:
        """A new container with these items."""
        made = _Container(kind())
        self.stack.append(made)
        if kind is list:
            self.extend(items)
        elif kind is dict:
            self.update(items)
        elif kind is tuple:
            made.value = tuple(map(made.hold, items))
        else:
            made.value = kind(map(_key, items))
            made.size += len(items)

    def extend(self, items: Sequence[object]) -> None:
        """Add items to a list."""
        target = self.target(list)
        target.value += map(_data, map(target.hold, items))  # type: ignore[operator]

    def update(self, items: Sequence[object]) -> None:
        """Add keys and values, in turn, to a dict."""
        if len(items) % 2:
            raise UnsafePickleError("the data is damaged: a key is without a value")
        target = self.target(dict)
        keys, values = map(_key, items[::2]), map(_data, map(target.hold, items[1::2]))
        target.value.update(zip(keys, values, strict=True))  # type: ignore[attr-defined]
        target.size += len(items) // 2

    def add(self, items: Sequence[object]) -> None:
        """Add members to a set."""
        target = self.target(set)
        target.value.update(map(_key, items))  # type: ignore[attr-defined]
        target.size += len(items)

    def store(self, index: int) -> None:
        """Keep what is on top of the stack."""
        if not self.stack:
            raise UnsafePickleError("the data is damaged: nothing to keep")
        self.memo[index] = self.stack[-1]

    def recall(self, index: int) -> None:
        """Use again what was kept."""
        if index not in self.memo:
            raise UnsafePickleError(f"the data is damaged: no memo entry {index}")
        self.stack.append(self.memo[index])

    def call(self) -> None:
        """Turn a name and its arguments into the number or text that it stands for."""
        arguments, name = self.pop(), self.pop()
        if not (isinstance(name, Global) and isinstance(arguments, _Container)):
            raise UnsafePickleError("the pickle calls something that is not a name")
        if not isinstance(arguments.value, tuple):
            raise UnsafePickleError(f"{'.'.join(name)} is called without a tuple of arguments")
        arguments.open = False
        self.stack.append(CALLS[name](arguments.value))

    def build(self) -> None:
        """Give a NumPy type its state."""
        state = self.pop()
        target = self.stack[-1] if self.stack else None
        if not isinstance(target, Dtype):
            raise UnsafePickleError("the pickle tries to change a function or an object")
        if not (isinstance(state, _Container) and isinstance(state.value, tuple)):
            raise UnsafePickleError("a NumPy scalar has an unknown type description")
        target.set_state(state.value)

    def name(self, module: object, attribute: object, opcode: Opcode) -> None:
        """Put a name of the closed table on the stack."""
        wanted = Global(str(module), str(attribute))
        if wanted not in CALLS:
            raise UnsafePickleError(
                f"opcode {opcode.name} {shown('.'.join(wanted))} at byte {opcode.position} is not "
                "allowed"
            )
        self.stack.append(wanted)


def _key(item: object) -> object:
    if not isinstance(item, _SCALARS):
        raise UnsafePickleError("a key or a member of a set is neither a text nor a number")
    # Numbers beyond the modulus share hashes, and a dict of them takes the square of their number.
    if isinstance(item, int) and abs(item) >= sys.hash_info.modulus:
        raise UnsafePickleError("a key or a member of a set is a number of more than 60 bits")
    return item


def _data(item: object) -> object:
    if isinstance(item, Global | Dtype):
        raise UnsafePickleError("a NumPy name stands where data should")
    return item


_PUSHED = {
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
    *("BINSTRING", "SHORT_BINSTRING", "UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"),
    *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8"),
}
_STEPS: dict[str, Callable[[_Machine], object]] = {
    "PROTO": lambda m: None,
    "FRAME": lambda m: None,
    "MARK": lambda m: m.marks.append(len(m.stack)),
    "NONE": lambda m: m.stack.append(None),
    "NEWTRUE": lambda m: m.stack.append(True),
    "NEWFALSE": lambda m: m.stack.append(False),
    "EMPTY_LIST": lambda m: m.push(list, ()),
    "EMPTY_DICT": lambda m: m.push(dict, ()),
    "EMPTY_SET": lambda m: m.push(set, ()),
    "EMPTY_TUPLE": lambda m: m.push(tuple, ()),
    "LIST": lambda m: m.push(list, m.items()),
    "DICT": lambda m: m.push(dict, m.items()),
    "TUPLE": lambda m: m.push(tuple, m.items()),
    "FROZENSET": lambda m: m.push(frozenset, m.items()),
    "TUPLE1": lambda m: m.push(tuple, (m.pop(),)),
    "TUPLE2": lambda m: m.push(tuple, (m.pop(), m.pop())[::-1]),
    "TUPLE3": lambda m: m.push(tuple, (m.pop(), m.pop(), m.pop())[::-1]),
    "APPEND": lambda m: m.extend((m.pop(),)),
    "APPENDS": lambda m: m.extend(m.items()),
    "SETITEM": lambda m: m.update((m.pop(), m.pop())[::-1]),
    "SETITEMS": lambda m: m.update(m.items()),
    "ADDITEMS": lambda m: m.add(m.items()),
    "MEMOIZE": lambda m: m.store(len(m.memo)),
    "REDUCE": lambda m: m.call(),
    "BUILD": lambda m: m.build(),
}
_MEMO: dict[str, Callable[[_Machine, int], None]] = {
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT"), _Machine.store),
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), _Machine.recall),
}


def loads_plain(data: bytes) -> object:
    r"""Build the plain data (containers, strings, numbers) of a pickle.

    NumPy scalars come back as Python numbers, and the byte strings of Python 2 as latin1 text.

    Raises:
        UnsafePickleError: If the pickle holds anything else, is damaged, or is nested or repeated
            beyond all use; the message names opcode or name and its position.

    Example:
        >>> loads_plain(b"(lp0\nI7\na.")
        [7]
    """
    machine = _Machine()
    try:
        for step, opcode in enumerate(read_opcodes(data)):
            name, argument, position = opcode
            if step >= MAX_STEPS:
                raise UnsafePickleError(f"the data takes more than {MAX_STEPS:,} steps to build")
            if name in _PUSHED:
                machine.stack.append(argument)
            elif name in _MEMO:
                _MEMO[name](machine, int(str(argument)))
            elif name in _STEPS:
                _STEPS[name](machine)
            elif name == "STRING":
                machine.stack.append(_unquoted(argument))
            elif name == "GLOBAL":
                module, _, attribute = str(argument).partition(" ")
                machine.name(module, attribute, opcode)
            elif name == "STACK_GLOBAL":
                last, first = machine.pop(), machine.pop()
                machine.name(first, last, opcode)
            elif name != "STOP":
                raise UnsafePickleError(f"opcode {name} at byte {position} is not allowed")
    except UnsafePickleError:
        raise
    except Exception as error:  # readers and stand-ins raise several types for damaged input
        raise UnsafePickleError(f"the data is truncated or damaged: {str(error)[:200]}") from error
    return _result(machine)


def _unquoted(argument: object) -> str:
    """A text string of protocol 0, with its quotes and escapes."""
    raw = argument if isinstance(argument, bytes) else str(argument).encode("latin1")
    if len(raw) < 2 or raw[:1] not in b"'\"" or raw[:1] != raw[-1:]:
        raise UnsafePickleError("the data is damaged: a string is without quotes")
    return codecs.escape_decode(raw[1:-1])[0].decode("latin1")


def _result(machine: _Machine) -> object:
    if len(machine.stack) != 1 or machine.marks:
        raise UnsafePickleError("the data is damaged: it is not one value")
    holder = _Container(())
    found = holder.hold(machine.stack[0])
    if not holder.plain:
        raise UnsafePickleError("a NumPy name stands where data should")
    return found
