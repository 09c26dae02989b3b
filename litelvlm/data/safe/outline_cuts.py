r"""Outlines cut out of a large `instances.json` as they stand, so that their numbers are not built.

Three quarters of such a file are corners of polygons. A reader of JSON makes a float of each, only
to be asked for their text again. Here a hole takes the place of each outline, and the file with
holes is read in its stead (``Cut.rest``). The tables that come out are the same:

- *Text.* What is cut out fits one grammar: a list of lists of numbers, each in the one spelling
  that orjson gives the number back in. Whole numbers have at most 18 digits. Real ones have at most
  15: so few digits survive as a float, and the shortest text of that float is the same number.
  White space is one space before the outline or after a comma, and is dropped.
- *Rest.* A hole is a list of a list of a number as well. So the rest is JSON if and only if the
  file is. It has the same keys, at the same depth, and its other values are those of the file. An
  outline has no quote, colon or number of 19 digits, so what is counted and sought in the rest is
  what the file has of them.
- *Place.* A hole holds a number that stands nowhere else in the rest, is written in one way only,
  and equals no float. Whoever reads the rest must find each hole as the outline of a record of its
  own. So no cut lay in a text or deeper, and none was lost with one of two equal keys. Holes and
  outlines have one order, the file's.

An outline that does not fit the grammar stays where it is. A file whose holes are not all found
must be read whole.
"""

from itertools import compress
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from litelvlm.data.safe.columns import joined_texts, texts
from litelvlm.data.safe.json_data import LARGE

_NUMBER = 10**17 + 1
HOLE = [[_NUMBER]]
"""What the rest says instead of an outline that was cut out."""
_KEY, _END = b'"segmentation":', b"]]"
_FILLED = b"%b[[%d]]" % (_KEY, _NUMBER)
_BYTES_PER_RECORD = 40
"""Fewer hold no record with its ids; keys beyond that are left where they are."""
_AT_ONCE = 4096
_WHOLE = "0|-?[1-9][0-9]{0,17}"
# Where an exponent begins is a matter of the writer; 0.0001 and 99999 are far from it.
_REAL = "-?(?:[1-9][0-9]{0,4}[.](?:0|[0-9]{0,9}[1-9])|0[.](?:0|0{0,3}[1-9](?:[0-9]{0,9}[1-9])?))"
_LIST = rf"\[(?:{_WHOLE}|{_REAL})(?:, ?(?:{_WHOLE}|{_REAL}))*\]"
_OUTLINE = rf"\A ?\[{_LIST}(?:, ?{_LIST})*\]\z"


class Cut(NamedTuple):
    """A file in two parts.

    Attributes:
        rest: The file with ``HOLE`` as the value of each "segmentation" that was cut out.
        outlines: The values, in file order, as orjson would write them.
    """

    rest: bytes
    outlines: pa.ChunkedArray


def cut_outlines(content: bytes) -> Cut | None:
    """Cut the outlines out of a file; None where nothing is gained or it must be read whole.

    Args:
        content: A file as it came; it need not be JSON.
    """
    if len(content) < LARGE:
        return None
    start, *pieces = content.split(_KEY, len(content) // _BYTES_PER_RECORD)
    rest, outlines = [start], []
    for first in range(0, len(pieces), _AT_ONCE):
        some = pieces[first : first + _AT_ONCE]
        # The first bracket is found much faster than a pair, and is where most pairs are.
        ends = [piece.find(_END, piece.find(b"]")) + len(_END) for piece in some]
        values = [piece[:end] for piece, end in zip(some, ends, strict=True)]
        found = texts(values).view(pa.large_binary())  # they may be anything yet
        fits = pc.match_substring_regex(found, _OUTLINE).to_pylist()
        outlines.append(_texts(b"".join(compress(values, fits))))
        rest += [
            _FILLED + piece[end:] if fit else _KEY + piece
            for piece, end, fit in zip(some, ends, fits, strict=True)
        ]
    cut = Cut(b"".join(rest), pa.chunked_array(outlines, pa.large_string()))
    alone = cut.rest.count(b"%d" % _NUMBER) == len(cut.outlines)
    return cut if alone and len(cut.outlines) else None


def _texts(outlines: bytes) -> pa.Array:
    """Outlines of the grammar, one behind another: they are ASCII, and "]]" ends each."""
    dense = outlines.translate(None, b" ")
    closing = np.frombuffer(dense, dtype=np.uint8) == ord("]")
    return joined_texts(dense, np.flatnonzero(closing[1:] & closing[:-1]) + 2)
