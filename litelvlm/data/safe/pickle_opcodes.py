"""The bytes of a pickle as a sequence of opcodes; nothing is built."""

import io
import pickletools
from collections.abc import Iterator
from typing import NamedTuple

MAX_NUMBER_BYTES = 64
_NUMBERS = frozenset({"INT", "LONG", "LONG1", "LONG4", "FLOAT"})
_BY_CODE = {opcode.code: opcode for opcode in pickletools.opcodes}


class Opcode(NamedTuple):
    """One step of a pickle.

    Attributes:
        name: Name in `pickletools`.
        argument: What stands behind it; None where nothing does.
        position: Its byte in the file.
    """

    name: str
    argument: object
    position: int


def read_opcodes(data: bytes) -> Iterator[Opcode]:
    """Yield the opcodes up to STOP, which must be the last byte.

    `pickletools.genops` would do but for two things: it rejects the text strings of Python 2 that
    are not ASCII, and it reads whole numbers of any length.

    Raises:
        ValueError: If the bytes are no complete pickle, or a number has more than 64 bytes.
    """
    stream = io.BytesIO(data)
    name = ""
    while name != "STOP":
        position = stream.tell()
        opcode = _BY_CODE.get(stream.read(1).decode("latin1"))
        if opcode is None:
            raise ValueError(f"no opcode at byte {position}")
        name = opcode.name
        argument: object = None
        if name == "STRING":
            argument = pickletools.read_stringnl(stream, decode=False, stripquotes=False)
        elif opcode.arg is not None:
            if name in _NUMBERS:
                _check_length(name, stream, position)
            argument = opcode.arg.reader(stream)
        yield Opcode(name, argument, position)
    if stream.tell() != len(data):
        raise ValueError(f"{len(data) - stream.tell()} bytes follow the end")


def _check_length(name: str, stream: io.BytesIO, position: int) -> None:
    """Refuse a number that is longer than any this project reads, before it is converted."""
    start = stream.tell()
    ahead = stream.read(MAX_NUMBER_BYTES + 4)
    stream.seek(start)
    if name == "LONG1":
        length = ahead[0] if ahead else 0
    elif name == "LONG4":
        length = int.from_bytes(ahead[:4], "little")
    else:
        end = ahead.find(b"\n")
        length = end if end >= 0 else len(ahead)
    if length > MAX_NUMBER_BYTES:
        raise ValueError(f"the number at byte {position} has more than {MAX_NUMBER_BYTES} bytes")
