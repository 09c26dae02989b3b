"""Read a pickle of plain data without running code of it: two gates, one after the other.

The first one (`pickle_gate`) walks through the bytes and builds nothing. The second one is Python's
own unpickler, which gets stand-ins of ours for the four names that NumPy needs for a number, and no
other name. Keys and members of sets are strings and numbers only, because hashing nested containers
can take forever.
"""

import io
import pickle
import struct

from litelvlm.data.safe.pickle_gate import check_pickle
from litelvlm.data.safe.shown import shown

# Kind and size of a NumPy number to the letter of the struct module.
_LETTERS = {
    "b1": "?", "i1": "b", "i2": "h", "i4": "i", "i8": "q",
    "u1": "B", "u2": "H", "u4": "I", "u8": "Q", "f2": "e", "f4": "f", "f8": "d",
}  # fmt: skip


class UnsafePickleError(ValueError):
    """The file holds something other than plain data, or is damaged."""


class _Dtype:
    """Stand-in for `numpy.dtype`: remembers kind and size ("i8") and the byte order."""

    def __init__(self, code: str, _align: object, _copy: object) -> None:
        self.letter, self.order = _LETTERS[code], "<"

    def __setstate__(self, state: tuple[object, ...]) -> None:
        """Take the byte order from NumPy's state (version, byte order, ...)."""
        self.order = {"<": "<", "=": "<", "|": "<", ">": ">"}[str(state[1])]


def _scalar(dtype: _Dtype, raw: str | bytes) -> bool | int | float:
    """Turn type and bytes into a Python number."""
    data = raw.encode("latin1") if isinstance(raw, str) else raw
    value: bool | int | float
    (value,) = struct.unpack(dtype.order + dtype.letter, data)
    return value


def _encode(text: str, encoding: str) -> bytes:
    """Stand-in for `_codecs.encode`, by which Python 3 writes bytes in protocols 0 to 2."""
    if encoding != "latin1":
        raise ValueError("bytes are stored in an unknown way")
    return text.encode("latin1")


_NAMES = {
    ("numpy.core.multiarray", "scalar"): _scalar,
    ("numpy._core.multiarray", "scalar"): _scalar,
    ("numpy", "dtype"): _Dtype,
    ("_codecs", "encode"): _encode,
}


class _Unpickler(pickle.Unpickler):
    """Python's unpickler with a closed table of names, and no values outside the file."""

    def find_class(self, module: str, name: str) -> object:
        """The stand-in for a name of the table."""
        if (module, name) not in _NAMES:
            raise ValueError(f"the name {shown(f'{module}.{name}')} is not allowed")
        return _NAMES[module, name]


def loads_plain(data: bytes) -> object:
    r"""Build the plain data (containers, strings, numbers) of a pickle.

    NumPy scalars come back as Python numbers, and the byte strings of Python 2 as latin1 text.

    Raises:
        UnsafePickleError: If the pickle holds anything else, is damaged, or is nested or repeated
            beyond all use; the message names opcode or name.

    Example:
        >>> loads_plain(b"(lp0\nI7\na.")
        [7]
    """
    try:
        only_data = check_pickle(data, plain=True)
        found: object = _Unpickler(io.BytesIO(data), encoding="latin1").load()
    except Exception as error:  # both gates and the stand-ins raise several types
        raise UnsafePickleError(f"no plain data ({str(error)[:200]})") from error
    if not only_data:
        raise UnsafePickleError("a NumPy name stands where data should")
    return found
