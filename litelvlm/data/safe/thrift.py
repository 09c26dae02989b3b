"""The compact form of Thrift, in which Parquet writes its footer and the header of each page."""

from collections.abc import Mapping, Sequence

MAX_DEPTH = 16
MAX_VALUES = 4_000_000
"""Of one footer or header."""
_TRUE, _FALSE, _BYTE, _I16, _I32, _I64, _DOUBLE, _BINARY, _LIST, _SET, _MAP, _STRUCT = range(1, 13)

Fields = Mapping[int, "int | bytes | Fields | Sequence[object]"]
"""Numbers, truth values, texts, structs and lists of a struct, by the number of their field."""


class CutOffError(ValueError):
    """The bytes end within a value."""


class CompactReader:
    """Reads structs from bytes.

    Args:
        content: The bytes.

    Attributes:
        position: The next byte.
    """

    def __init__(self, content: bytes) -> None:
        self.content, self.position, self.read = content, 0, 0

    def struct(self, depth: int = 0) -> Fields:
        """Read a struct; real numbers and single bytes are passed over.

        Raises:
            CutOffError: If the bytes end within it.
            ValueError: If it is no struct of this form, nested more than 16 levels deep, or has
                more than 4 million values.
        """
        if depth > MAX_DEPTH:
            raise ValueError(f"a header is nested more than {MAX_DEPTH} levels deep")
        found: dict[int, int | bytes | Fields | Sequence[object]] = {}
        number = 0
        while head := self._byte():
            step, kind = head >> 4, head & 15
            number = number + step if step else self._signed()
            value = self._value(kind, depth)
            if value is not None:
                found[number] = value
        return found

    def _value(self, kind: int, depth: int) -> int | bytes | Fields | Sequence[object] | None:
        self.read += 1
        if self.read > MAX_VALUES:
            raise ValueError(f"a header has more than {MAX_VALUES:,} values")
        if kind in (_TRUE, _FALSE):
            return int(kind == _TRUE)
        if kind in (_I16, _I32, _I64):
            return self._signed()
        if kind == _STRUCT:
            return self.struct(depth + 1)
        if kind in (_LIST, _SET):
            return self._list(depth)
        if kind == _BINARY:
            size = self._unsigned()
            self._pass(size)
            return self.content[self.position - size : self.position]
        if kind == _BYTE:
            self._pass(1)
        elif kind == _DOUBLE:
            self._pass(8)
        else:  # no header holds a map
            raise ValueError(f"a header has a field of the unknown kind {kind}")
        return None

    def _list(self, depth: int) -> Sequence[object]:
        head = self._byte()
        size, kind = head >> 4, head & 15
        if size == 15:
            size = self._unsigned()
        if kind in (_TRUE, _FALSE):
            self._pass(size)
            return []
        return [self._value(kind, depth + 1) for _ in range(size)]

    def _byte(self) -> int:
        self._pass(1)
        return self.content[self.position - 1]

    def _pass(self, count: int) -> None:
        self.position += count
        if self.position > len(self.content):
            raise CutOffError("a header is cut off")

    def _unsigned(self) -> int:
        value = shift = 0
        while True:
            byte = self._byte()
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value
            if shift > 63:
                raise ValueError("a header has a number of more than 64 bits")

    def _signed(self) -> int:
        value = self._unsigned()
        return (value >> 1) ^ -(value & 1)
