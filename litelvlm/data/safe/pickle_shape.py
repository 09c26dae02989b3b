"""How deep and wide the values of a pickle are, found without building them.

Python's own machines hash keys. Hashing a tuple in a tuple in a tuple, a million times over, ends
Python itself, and a tuple that holds the one before twice, sixty times over, never ends.
"""

import pickletools
from typing import NamedTuple

from litelvlm.data.safe.pickle_opcodes import Opcode, read_opcodes

MAX_LEVELS = 50
MAX_TUPLE = 10_000
"""Values of one tuple, those of tuples inside it too, each counted as often as it stands there."""
_BEFORE = {code.name: code.stack_before for code in pickletools.opcodes}
_AFTER = {code.name: len(code.stack_after) for code in pickletools.opcodes}
_GROWING = frozenset(
    {"APPEND", "APPENDS", "SETITEM", "SETITEMS", "ADDITEMS", "BUILD"}
)  # what they add to stays on the stack
_STORE = frozenset({"PUT", "BINPUT", "LONG_BINPUT"})
_FETCH = frozenset({"GET", "BINGET", "LONG_BINGET"})


class _Shape(NamedTuple):
    """Levels of containers in a value, and how many values it holds if it is a tuple."""

    levels: int
    size: int


_PLAIN = _Shape(0, 1)


class _Stack:
    """The stack of a pickle machine, with shapes in the place of values."""

    def __init__(self) -> None:
        self.shapes: list[_Shape] = []
        self.marks: list[int] = []
        self.memo: dict[int, _Shape] = {}

    def take(self, count: int) -> list[_Shape]:
        """The last values, which must lie above the last mark."""
        start = len(self.shapes) - count
        if start < (self.marks[-1] if self.marks else 0):
            raise ValueError("something is taken from an empty stack")
        found = self.shapes[start:]
        del self.shapes[start:]
        return found

    def take_marked(self) -> list[_Shape]:
        """All values above the last mark, which goes too."""
        if not self.marks:
            raise ValueError("a mark is missing")
        start = self.marks.pop()
        found = self.shapes[start:]
        del self.shapes[start:]
        return found

    def step(self, opcode: Opcode) -> None:
        """What one opcode does to the shapes."""
        name = opcode.name
        if name == "MARK":
            self.marks.append(len(self.shapes))
        elif name in _STORE or name == "MEMOIZE":
            number = len(self.memo) if name == "MEMOIZE" else int(str(opcode.argument))
            (self.memo[number],) = (top,) = self.take(1)
            self.shapes.append(top)
        elif name in _FETCH:
            self.shapes.append(self.memo.get(int(str(opcode.argument)), _PLAIN))
        elif name == "DUP":
            (top,) = self.take(1)
            self.shapes += [top, top]
        elif name not in ("PROTO", "FRAME", "STOP"):
            self._make(name)

    def _make(self, name: str) -> None:
        before = [item.name for item in _BEFORE[name]]
        if "mark" in before:
            parts = self.take_marked()
            below = self.take(before.index("mark"))
        else:
            parts, below = self.take(len(before)), []
            if name in _GROWING:
                below, parts = parts[:1], parts[1:]
        if name in ("POP", "POP_MARK"):
            self.shapes += below
            return
        levels = max((part.levels + 1 for part in parts), default=0)
        size = 1 + sum(part.size for part in parts)
        if name in _GROWING:  # a list or dict, which no machine hashes
            levels, size = max(levels, below[0].levels), 1
        elif name in ("LIST", "DICT"):
            size = 1
        if levels > MAX_LEVELS or size > MAX_TUPLE:
            raise ValueError(
                f"a value has {levels} levels and {size:,} parts; at most {MAX_LEVELS} and "
                f"{MAX_TUPLE:,} are read"
            )
        self.shapes += [_Shape(levels, size)] * _AFTER[name]


def check_shapes(content: bytes) -> None:
    """Refuse a pickle that some machine would hash or nest without end; nothing is built.

    Lists and dicts may be of any length. An object counts as a tuple of its parts.

    Raises:
        ValueError: If it is no complete pickle, or a value is nested too deeply or too wide.
    """
    stack = _Stack()
    for opcode in read_opcodes(content):
        stack.step(opcode)
