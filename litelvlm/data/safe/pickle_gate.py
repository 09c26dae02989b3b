"""The first gate for pickles: which opcodes a file has, and how deep and wide its values are.

Nothing is built. Python's own machines hash keys: hashing a tuple in a tuple in a tuple, a million
times over, ends Python itself, and a tuple that holds the one before twice, sixty times over, never
ends. An opcode of the extension registry may run code without asking for a name.
"""

import io
import pickletools
import sys
from collections.abc import Iterator, Sequence

MAX_DEPTH, MAX_VALUES = 50, 50_000_000
"""Of the data; a value that is used again counts each time."""
MAX_TUPLE = 10_000
"""Values of one tuple, those of tuples inside it too."""
MAX_STEPS = 30_000_000
"""Opcodes of a file; the RefCOCO family's largest table has a third."""
MAX_NUMBER_BITS = 512
_STORE, _FETCH = {"PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"}, {"GET", "BINGET", "LONG_BINGET"}
_GROW = {"APPEND", "APPENDS", "SETITEM", "SETITEMS", "ADDITEMS", "BUILD"}
_GROWING = {"EMPTY_LIST", "EMPTY_DICT", "EMPTY_SET", "LIST", "DICT", "REDUCE", "NEWOBJ"}
_PLAIN = {
    *("PROTO", "FRAME", "MARK", "STOP", *_STORE, *_FETCH, *_GROW, *_GROWING - {"NEWOBJ"}),
    *("EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "FROZENSET"),
    *("NONE", "NEWTRUE", "NEWFALSE", "GLOBAL", "STACK_GLOBAL"),
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
    *("STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "SHORT_BINUNICODE", "BINUNICODE"),
    *("BINUNICODE8", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8"),
}
_TENSORS = {*_PLAIN, "NEWOBJ", "BINPERSID"}
_BY_CODE = {opcode.code: opcode for opcode in pickletools.opcodes}
_TAKEN = {opcode.name: [item.name for item in opcode.stack_before] for opcode in _BY_CODE.values()}


class _Shape:
    """What is known of a value without building it.

    Attributes:
        levels: Containers inside each other in it.
        size: Values in it, itself included.
        hashed: Those that its hash would walk through.
        growing: Whether it is a container or an object that nothing holds yet.
        key: Whether plain data may have it as a key.
        data: Whether it is data, and no name, no number type of NumPy and no tuple of those.
        length: Values of a tuple.
    """

    __slots__ = ("data", "growing", "hashed", "key", "length", "levels", "size")

    def __init__(self, growing: bool = False, key: bool = False, data: bool = True) -> None:
        self.levels, self.size, self.hashed, self.length = 0, 1, 1, 0
        self.growing, self.key, self.data = growing, key, data

    def hold(self, parts: Sequence["_Shape"], hashed: bool) -> None:
        """Count values that it holds from now on."""
        if self in parts:
            raise ValueError("a container holds itself")
        for part in parts:
            part.growing = False
            self.levels = max(self.levels, part.levels + 1)
            self.size += part.size
            self.hashed += part.hashed * hashed
        if self.levels > MAX_DEPTH or self.size > MAX_VALUES or self.hashed > MAX_TUPLE:
            bounds = (
                (self.levels, MAX_DEPTH, "levels"),
                (self.size, MAX_VALUES, "values"),
                (self.hashed, MAX_TUPLE, "values in tuples"),
            )
            found, most, what = next(bound for bound in bounds if bound[0] > bound[1])
            raise ValueError(f"a value has {found:,} {what}; at most {most:,} are read")


_KEY, _NO_KEY, _NAME = _Shape(key=True), _Shape(), _Shape(data=False)


class _Machine:
    """The stack and the memo of a pickle machine, with shapes in the place of values."""

    def __init__(self, plain: bool) -> None:
        self.plain, self.only_data = plain, True
        self.stack: list[_Shape] = []
        self.marks: list[int] = []
        self.memo: dict[int, _Shape] = {}

    def take(self, count: int) -> list[_Shape]:
        """The last values, which must lie above the last mark; those above it for -1."""
        if count < 0 and not self.marks:
            raise ValueError("a mark is missing")
        start = len(self.stack) - count if count >= 0 else self.marks.pop()
        if start < (self.marks[-1] if self.marks else 0):
            raise ValueError("something is taken from an empty stack")
        found = self.stack[start:]
        del self.stack[start:]
        return found

    def step(self, name: str, number: int, steps: int) -> None:
        """What one opcode does to the shapes."""
        if name == "MARK":
            self.marks.append(len(self.stack))
        elif name in _STORE:
            number = len(self.memo) if name == "MEMOIZE" else number
            if not 0 <= number <= steps:  # Python makes room for all places up to it
                raise ValueError(f"{number} is no place in the memo of {steps} steps")
            (self.memo[number],) = (top,) = self.take(1)
            self.stack.append(top)
        elif name in _FETCH:
            if number not in self.memo:
                raise ValueError(f"there is no memo entry {number}")
            self.stack.append(self.memo[number])
        elif name == "STOP":
            self.only_data &= self.take(1)[0].data
        elif name == "GLOBAL":
            self.stack.append(_NAME)
        elif _TAKEN[name] or name in _GROWING:
            self.make(name)
        elif name not in ("PROTO", "FRAME"):
            # Numbers beyond the modulus share hashes, and a dict of them takes the square of
            # their number.
            self.stack.append(_KEY if abs(number) < sys.hash_info.modulus else _NO_KEY)

    def make(self, name: str) -> None:
        """A new container or object, or more in the one on top."""
        taken = _TAKEN[name]
        parts = self.take(-1) if "mark" in taken else []
        parts = self.take(taken.index("mark") if "mark" in taken else len(taken)) + parts
        made = _Shape(name in _GROWING, data=name != "STACK_GLOBAL")
        if name == "REDUCE":  # a type takes three values, what makes a number or bytes takes two
            made.key = made.data = parts[1].length != 3
        elif "TUPLE" in name:
            made.data, made.length = all(part.data for part in parts), len(parts)
        if name in _GROW:
            made, *parts = parts
            if not made.growing:
                raise ValueError(f"{name} has no open container to add to")
        if name != "REDUCE" and "TUPLE" not in name:
            self.only_data &= all(part.data for part in parts)
        keyed = ("DICT", "SETITEM", "SETITEMS")
        keys = parts[::2] if name in keyed else parts if name in ("ADDITEMS", "FROZENSET") else ()
        if self.plain and not all(part.key for part in keys):
            raise ValueError(
                "a key or a member of a set is neither a text nor a number of at most 60 bits"
            )
        made.hold(parts, hashed=name not in _GROW and name not in ("LIST", "DICT"))
        self.stack.append(made)


def check_pickle(content: bytes, plain: bool) -> bool:
    """Refuse a pickle with other opcodes than its kind needs, or one that never ends.

    Lists and dicts may be of any length. An object counts as a tuple of its parts.

    Args:
        content: The file's bytes.
        plain: True for containers, strings and numbers (NumPy's too, which are calls); False for
            the plan of an archive of weights.

    Returns:
        Whether names and number types of NumPy stand in calls alone, so that what is built is data.

    Raises:
        ValueError: If it is no complete pickle, an opcode is not allowed, or a value is nested too
            deeply, too wide, or holds itself; the message names opcode and position.
    """
    machine, allowed = _Machine(plain), _PLAIN if plain else _TENSORS
    for steps, (name, number, position) in enumerate(_opcodes(content)):
        if name not in allowed:
            raise ValueError(f"opcode {name} at byte {position} is not allowed")
        if steps >= MAX_STEPS:
            raise ValueError(f"there are more than {MAX_STEPS:,} opcodes")
        machine.step(name, number, steps)
    return machine.only_data


def _opcodes(content: bytes) -> Iterator[tuple[str, int, int]]:
    """Name, whole number behind it (or 0) and position of each opcode up to the last byte.

    `pickletools.genops` would do, but it rejects the texts of Python 2 that are not ASCII.
    """
    stream, name = io.BytesIO(content), ""
    while name != "STOP":
        position = stream.tell()
        opcode = _BY_CODE.get(stream.read(1).decode("latin1"))
        if opcode is None:
            raise ValueError(f"no opcode at byte {position}")
        name, found = opcode.name, None
        if name == "STRING":
            stream.readline()
        elif opcode.arg is not None:
            found = opcode.arg.reader(stream)
        number = found if isinstance(found, int) else 0
        if number.bit_length() > MAX_NUMBER_BITS:
            raise ValueError(f"the number at byte {position} has more than {MAX_NUMBER_BITS} bits")
        yield name, number, position
    if stream.tell() != len(content):
        raise ValueError(f"{len(content) - stream.tell()} bytes follow the end")
