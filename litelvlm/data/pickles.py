"""Read a pickle of plain data without the power to run code.

Two gates. First the bytes are walked without building anything, and only opcodes that make data are
accepted. Then an unpickler builds it with every class lookup replaced: the few names NumPy needs
for a scalar lead to stand-ins of ours that return plain numbers, every other name is refused. The
second gate alone would not do: an extension-registry opcode calls a cached target directly, without
a class lookup.
"""

import io
import pickle
import pickletools
import struct
from collections.abc import Callable, Iterator
from typing import Never

_DATA_OPCODES = """
    PROTO FRAME STOP MARK POP POP_MARK DUP PUT BINPUT LONG_BINPUT GET BINGET LONG_BINGET MEMOIZE
    NONE NEWTRUE NEWFALSE INT BININT BININT1 BININT2 LONG LONG1 LONG4 FLOAT BINFLOAT STRING
    BINSTRING SHORT_BINSTRING UNICODE SHORT_BINUNICODE BINUNICODE BINUNICODE8 BINBYTES
    SHORT_BINBYTES BINBYTES8 EMPTY_LIST LIST APPEND APPENDS EMPTY_TUPLE TUPLE TUPLE1 TUPLE2
    TUPLE3 EMPTY_DICT DICT SETITEM SETITEMS EMPTY_SET ADDITEMS FROZENSET
"""
# Reachable only with a name of the closed table below on the stack, because nothing else puts a
# callable there.
_SCALAR_OPCODES = frozenset({"GLOBAL", "STACK_GLOBAL", "REDUCE", "BUILD"})
_ALLOWED_OPCODES = _SCALAR_OPCODES.union(_DATA_OPCODES.split())
_MEMO_OPCODES = frozenset({"PUT", "BINPUT", "LONG_BINPUT"})


class UnsafePickleError(ValueError):
    """The file holds something other than plain data, or is damaged."""


class _Dtype:
    """Stand-in for `numpy.dtype`: remembers kind and size ("i8") and the byte order."""

    def __init__(self, code: object, *_: object) -> None:
        self.code, self.order = code, "<"

    def __setstate__(self, state: object) -> None:
        # NumPy stores (version, byte order, ...); "|" marks one-byte types.
        if not isinstance(state, tuple) or len(state) < 2 or state[1] not in ("<", ">", "=", "|"):
            raise UnsafePickleError("a NumPy scalar has an unknown type description")
        self.order = ">" if state[1] == ">" else "<"


_STRUCT_CODES = {
    "b1": "?", "i1": "b", "i2": "h", "i4": "i", "i8": "q",
    "u1": "B", "u2": "H", "u4": "I", "u8": "Q", "f2": "e", "f4": "f", "f8": "d",
}  # fmt: skip


def _scalar(dtype: object, raw: object = None, *_: object) -> bool | int | float:
    """Turn the parts of a NumPy scalar into a Python number."""
    data = raw.encode("latin1") if isinstance(raw, str) else raw
    if (
        not isinstance(dtype, _Dtype)
        or not isinstance(data, bytes)
        or dtype.code not in _STRUCT_CODES
    ):
        raise UnsafePickleError(
            f"a NumPy value is not a number scalar: {getattr(dtype, 'code', dtype)!r}"
        )
    try:
        value: bool | int | float
        (value,) = struct.unpack(dtype.order + _STRUCT_CODES[str(dtype.code)], data)
    except struct.error as error:
        raise UnsafePickleError(
            f"a NumPy scalar of type {dtype.code!r} has {len(data)} bytes"
        ) from error
    return value


def _encode(text: object, encoding: object = None, *_: object) -> bytes:
    """Stand-in for `_codecs.encode`, by which Python 3 writes bytes in protocols 0 to 2."""
    if not isinstance(text, str) or encoding != "latin1":
        raise UnsafePickleError("bytes are stored in an unknown way")
    return text.encode("latin1")


# Each of them takes other arguments.
PlainCall = Callable[..., object]  # type: ignore[explicit-any]


class _StandIn:
    """A callable that pickle data can call but not change."""

    def __init__(self, call: PlainCall) -> None:
        self._call = call

    def __call__(self, *args: object) -> object:
        return self._call(*args)

    def __setstate__(self, state: object) -> Never:
        raise UnsafePickleError("the pickle tries to change a function")


_ALLOWED_GLOBALS: dict[tuple[str, str], PlainCall] = {
    ("numpy.core.multiarray", "scalar"): _scalar,
    ("numpy._core.multiarray", "scalar"): _scalar,
    ("numpy", "dtype"): _Dtype,
    ("_codecs", "encode"): _encode,
}


class _DataUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> _StandIn:
        if (module, name) not in _ALLOWED_GLOBALS:
            raise UnsafePickleError(f"global '{module}.{name}' is not allowed")
        return _StandIn(_ALLOWED_GLOBALS[module, name])

    def persistent_load(self, pid: object) -> Never:
        raise UnsafePickleError("persistent ids are not allowed")


_OPCODES = {opcode.code: opcode for opcode in pickletools.opcodes}


def _walk(data: bytes) -> Iterator[tuple[str, object, int]]:
    """Name, argument and position of each opcode up to STOP.

    `pickletools.genops` would do but for one thing: it rejects the non-ASCII text strings of Python
    2.
    """
    stream = io.BytesIO(data)
    name = ""
    while name != "STOP":
        position = stream.tell()
        opcode = _OPCODES.get(stream.read(1).decode("latin1"))
        if opcode is None:
            raise ValueError(f"no opcode at byte {position}")
        name = opcode.name
        if name == "STRING":
            argument: object = pickletools.read_stringnl(stream, decode=False, stripquotes=False)
        else:
            argument = opcode.arg.reader(stream) if opcode.arg is not None else None
        yield name, argument, position
    if stream.tell() != len(data):
        raise ValueError(f"{len(data) - stream.tell()} bytes follow the end")


def check_opcodes(data: bytes) -> None:
    """Accept bytes only if they are one complete pickle of data opcodes; nothing is built.

    Raises:
        UnsafePickleError: Naming the opcode or global and its position.
    """
    try:
        for name, argument, position in _walk(data):
            if name == "GLOBAL":
                module, _, attribute = str(argument).partition(" ")
                if (module, attribute) not in _ALLOWED_GLOBALS:
                    dotted = str(argument).replace(" ", ".")
                    raise UnsafePickleError(
                        f"opcode GLOBAL '{dotted}' at byte {position} is not allowed"
                    )
            elif name not in _ALLOWED_OPCODES:
                raise UnsafePickleError(f"opcode {name} at byte {position} is not allowed")
            elif name in _MEMO_OPCODES and not 0 <= int(str(argument)) <= len(data):
                # The memo is an array: one huge index would claim gigabytes.
                raise UnsafePickleError(
                    f"opcode {name} at byte {position} has the memo index {argument}"
                )
    except UnsafePickleError:
        raise
    except Exception as error:  # the argument readers raise several types for damaged input
        raise UnsafePickleError(f"the data is truncated or damaged: {error}") from error


def loads_plain(data: bytes) -> object:
    r"""Build the plain data (containers, strings, numbers) of a pickle.

    NumPy scalars come back as Python numbers. Strings written by Python 2 are read as ASCII, or as
    latin1 when they hold other bytes.

    Raises:
        UnsafePickleError: If the pickle holds anything else or is damaged; nothing of it has been
            run.

    Example:
        >>> loads_plain(b"(lp0\nI7\na.")
        [7]
    """
    check_opcodes(data)
    try:
        try:
            loaded: object = _DataUnpickler(io.BytesIO(data)).load()
        except UnicodeDecodeError:
            loaded = _DataUnpickler(io.BytesIO(data), encoding="latin1").load()
    except UnsafePickleError:
        raise
    except Exception as error:  # senseless orders of well-formed opcodes raise many types
        raise UnsafePickleError(f"the data is damaged: {error}") from error
    return loaded
