"""NumPy numbers in pickles: stand-ins of ours for the few names that NumPy needs there."""

import struct
from collections.abc import Callable
from typing import NamedTuple

# Kind and size of a NumPy number to the letter of the struct module.
_LETTERS = {
    "b1": "?", "i1": "b", "i2": "h", "i4": "i", "i8": "q",
    "u1": "B", "u2": "H", "u4": "I", "u8": "Q", "f2": "e", "f4": "f", "f8": "d",
}  # fmt: skip


class UnsafePickleError(ValueError):
    """The file holds something other than plain data, or is damaged."""


class Global(NamedTuple):
    """A name that a pickle calls."""

    module: str
    name: str


class Dtype:
    """Stand-in for `numpy.dtype`: remembers kind and size ("i8") and the byte order."""

    def __init__(self, code: object) -> None:
        self.code, self.order = code, "<"

    def set_state(self, state: tuple[object, ...]) -> None:
        """Take the byte order from NumPy's state (version, byte order, ...).

        Raises:
            UnsafePickleError: If the order is none of NumPy's signs; "|" marks one-byte types.
        """
        if len(state) < 2 or state[1] not in ("<", ">", "=", "|"):
            raise UnsafePickleError("a NumPy scalar has an unknown type description")
        self.order = ">" if state[1] == ">" else "<"


def _scalar(arguments: tuple[object, ...]) -> bool | int | float:
    """Turn (type, bytes) into a Python number."""
    dtype, raw = arguments
    data = raw.encode("latin1") if isinstance(raw, str) else raw
    code = dtype.code if isinstance(dtype, Dtype) else None
    if not isinstance(dtype, Dtype) or not isinstance(data, bytes) or code not in _LETTERS:
        raise UnsafePickleError("a NumPy value is not a number scalar")
    try:
        value: bool | int | float
        (value,) = struct.unpack(dtype.order + _LETTERS[str(code)], data)
    except struct.error as error:
        raise UnsafePickleError(f"a NumPy scalar of type {code} has {len(data)} bytes") from error
    return value


def _encode(arguments: tuple[object, ...]) -> bytes:
    """Stand-in for `_codecs.encode`, by which Python 3 writes bytes in protocols 0 to 2."""
    text, encoding = arguments
    if not isinstance(text, str) or encoding != "latin1":
        raise UnsafePickleError("bytes are stored in an unknown way")
    return text.encode("latin1")


CALLS: dict[Global, Callable[[tuple[object, ...]], object]] = {
    Global("numpy.core.multiarray", "scalar"): _scalar,
    Global("numpy._core.multiarray", "scalar"): _scalar,
    Global("numpy", "dtype"): lambda arguments: Dtype(arguments[0]),
    Global("_codecs", "encode"): _encode,
}
"""Every name that a pickle may call."""
