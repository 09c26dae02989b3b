"""Tables of references and objects: pickles and JSON, whole, mutated and of noise."""

import json
import pickle
import string
import tempfile
from functools import cache
from pathlib import Path

from hypothesis import strategies as st
from refer_tree import make_tree, ref

from litelvlm.data.annotations import RefDataError, read_instances
from litelvlm.data.refs import read_refs
from litelvlm.data.safe.pickles import UnsafePickleError, loads_plain

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**200), 2**200)
    | st.floats(allow_nan=False)
    | st.text(max_size=20)
    | st.binary(max_size=20)
)
KEYS = st.text(max_size=8) | st.integers(-(2**60), 2**60) | st.booleans() | st.none()
DATA = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(KEYS, inner, max_size=4)
        | st.tuples(inner, inner)
        | st.sets(KEYS, max_size=3)
        | st.frozensets(KEYS, max_size=3)
    ),
    max_leaves=20,
)
PLAIN = st.builds(lambda data, protocol: pickle.dumps(data, protocol).hex(), DATA,
                  st.integers(4, 5))  # fmt: skip  # sets of earlier protocols are calls


def mutated(raw: bytes, moves: list[tuple[int, int, int]]) -> bytes:
    """Bytes with some replaced, cut out or doubled.

    Args:
        raw: The bytes.
        moves: Kind of change (0 replaces, 1 cuts, 2 doubles), place and new value.
    """
    content = bytearray(raw)
    for kind, place, value in moves:
        spot = place % max(1, len(content))
        if kind == 0 and content:
            content[spot] = value
        elif kind == 1:
            del content[spot : spot + value]
        else:
            content[spot:spot] = content[spot : spot + value]
    return bytes(content)


MOVES = st.lists(
    st.tuples(st.sampled_from([0, 0, 0, 1, 2]), st.integers(0, 10**6), st.integers(0, 255)),
    min_size=1,
    max_size=6,
)
MUTATED = st.builds(
    lambda data, protocol, moves: mutated(pickle.dumps(data, protocol), moves).hex(),
    DATA,
    st.integers(0, 5),
    MOVES,
)
OPCODES = st.lists(
    st.sampled_from([bytes([code]) for code in range(256)])
    | st.sampled_from([b"(", b"t", b"\x85", b"\x86", b"2", b"0", b"}", b"]", b"s", b"a", b"K\x01"])
    | st.binary(max_size=4),
    max_size=60,
)
NOISE = st.binary(max_size=200).map(bytes.hex) | OPCODES.map(lambda parts: b"".join(parts).hex())


def check_plain_pickle(case: str) -> None:
    """Plain data come back as they were."""
    raw = bytes.fromhex(case)
    assert loads_plain(raw) == pickle.loads(raw)  # noqa: S301 - made here, of plain data


def check_any_pickle(case: str) -> str:
    """Any bytes are data or one short refusal."""
    return check_refusal(UnsafePickleError, loads_plain, bytes.fromhex(case))


def check_refusal(errors, read, *given, most=400) -> str:
    """The reader gives data ("read"), or one error of these types in few words ("refused")."""
    try:
        read(*given)
    except errors as error:
        assert len(str(error)) < most, f"a message of {len(str(error))} characters"
        return "refused"
    return "read"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(string.printable, max_size=6), inner, max_size=3)
    ),
    max_leaves=8,
)
PLACES = (
    *(f"images.0.{name}" for name in ("height", "width", "id", "file_name")),
    *(f"annotations.0.{name}" for name in ("id", "image_id", "category_id", "segmentation")),
    *("images", "annotations", "categories", "images.0", "categories.0.name"),
)
INSTANCES = st.tuples(st.sampled_from(PLACES), JSON).map(list)
REFERENCES = st.tuples(st.sampled_from(sorted(ref())), JSON).map(list)


@cache
def tree() -> Path:
    """A small data set that is well formed."""
    folder = Path(tempfile.mkdtemp(prefix="litelvlm-fuzz-"))
    return make_tree(folder, [ref()]) / "Refer_Segm" / "refcoco"


def check_instances(case: list[object]) -> str:
    """Any value in any field of the objects is read or refused."""
    place, value = case
    path = tree() / "instances.json"
    content = json.loads(path.read_text())
    inner = content
    *parts, last = [int(part) if part.isdecimal() else part for part in str(place).split(".")]
    for part in parts:
        inner = inner[part]
    inner[last] = value
    return check_refusal(RefDataError, read_instances, json.dumps(content).encode(), path, most=700)


def check_references(case: list[object]) -> None:
    """Any value in any field of a reference is read or refused, from both forms."""
    field, value = case
    record = ref() | {str(field): value}
    for name, raw in (
        ("refs.p", pickle.dumps([record], 2)),
        ("refs.json", json.dumps([record]).encode()),
    ):
        errors = (RefDataError, UnsafePickleError)
        check_refusal(errors, read_refs, raw, tree() / name, most=700)
