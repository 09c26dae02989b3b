"""The compact form of Thrift, in which Parquet writes the header of each page."""

from collections.abc import Mapping

MAX_DEPTH = 8
_TRUE, _FALSE, _BYTE, _I16, _I32, _I64, _DOUBLE, _BINARY, _LIST, _SET, _MAP, _STRUCT = range(1, 13)

Fields = Mapping[int, "int | Fields"]
"""Whole numbers, truth values and structs of a struct, by the number of their field."""


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
        self.content, self.position = content, 0

    def struct(self, depth: int = 0) -> Fields:
        """Read a struct; texts, lists, maps and real numbers are passed over.

        Raises:
            CutOffError: If the bytes end within it.
            ValueError: If it is no struct of this form, or nested more than 8 levels deep.
        """
        if depth > MAX_DEPTH:
            raise ValueError(f"a header is nested more than {MAX_DEPTH} levels deep")
        found: dict[int, int | Fields] = {}
        number = 0
        while head := self._byte():
            step, kind = head >> 4, head & 15
            number = number + step if step else self._signed()
            value = self._value(kind, depth)
            if value is not None:
                found[number] = value
        return found

    def _value(self, kind: int, depth: int) -> "int | Fields | None":
        if kind in (_TRUE, _FALSE):
            return int(kind == _TRUE)
        if kind in (_I16, _I32, _I64):
            return self._signed()
        if kind == _STRUCT:
            return self.struct(depth + 1)
        if kind in (_LIST, _SET):
            self._pass_list(depth)
        elif kind == _BYTE:
            self._pass(1)
        elif kind == _DOUBLE:
            self._pass(8)
        elif kind == _BINARY:
            self._pass(self._unsigned())
        else:  # no header holds a map
            raise ValueError(f"a header has a field of the unknown kind {kind}")
        return None

    def _pass_list(self, depth: int) -> None:
        head = self._byte()
        size, kind = head >> 4, head & 15
        if size == 15:
            size = self._unsigned()
        for _ in range(size):
            if kind in (_TRUE, _FALSE):
                self._pass(1)
            else:
                self._value(kind, depth + 1)

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
