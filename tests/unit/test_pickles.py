"""The restricted reader takes plain data in every protocol.

It refuses everything that could run code.
"""

import copyreg
import os
import pickle
import struct

import numpy as np
import pytest

from litelvlm.data.safe.pickle_gate import MAX_DEPTH
from litelvlm.data.safe.pickles import UnsafePickleError, loads_plain
from tests.hostile import MakesFolder

PROTOCOLS = range(6)
DATA = [
    {
        "ref_id": 1,
        "ann_id": [2, -1],
        "sent": "the réd ☃ circle",
        "big": 2**70,
        "f": 1.5,
        "t": (True, None),
        "b": b"\xff",
    }
]


class Instance:
    def __init__(self):
        self.x = 1


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_plain_data_comes_back(protocol):
    assert loads_plain(pickle.dumps(DATA, protocol)) == DATA


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    "dtype", ["int64", "int32", "uint8", "float32", "float64", "bool", ">i4", ">f8"]
)
def test_numpy_scalars_become_python_numbers(protocol, dtype):
    value = np.array([1], dtype=dtype)[0]
    (back,) = loads_plain(pickle.dumps([value], protocol))
    assert back == 1
    assert type(back) in (int, float, bool)


def test_numpy_scalar_of_an_old_file():
    # What Python 2 with NumPy 1 wrote for numpy.int64(200): strings are byte strings, and the
    # module has its old name.
    raw = (
        b"cnumpy.core.multiarray\nscalar\n(cnumpy\ndtype\n(S'i8'\nI0\nI1\n"
        b"tR(I3\nS'<'\nNNNI-1\nI-1\nI0\ntb"
        b"S'\\xc8\\x00\\x00\\x00\\x00\\x00\\x00\\x00'\ntR."
    )
    assert loads_plain(raw) == 200


def test_python_2_strings_fall_back_to_latin1():
    # SHORT_BINSTRING holding "caf\xe9".
    assert loads_plain(b"\x80\x02U\x04caf\xe9.") == "café"
    assert loads_plain(b"\x80\x02U\x04cafe.") == "cafe"
    assert loads_plain(b"S'caf\\xe9'\np0\n.") == "café"  # its text protocol writes escapes


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_payload_is_refused_and_does_not_run(protocol, tmp_path):
    path = tmp_path / "made"
    with pytest.raises(UnsafePickleError, match=r"mkdir|GLOBAL"):
        loads_plain(pickle.dumps([MakesFolder(path)], protocol))
    assert not path.exists()


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_instances_are_refused(protocol):
    with pytest.raises(UnsafePickleError):
        loads_plain(pickle.dumps(Instance(), protocol))


def test_extension_opcode_is_refused_although_its_cache_is_warm(tmp_path):
    path = tmp_path / "made"
    copyreg.add_extension("posix", "mkdir", 240)
    try:
        payload = pickle.dumps(MakesFolder(path), 2)
        assert b"\x82\xf0" in payload  # EXT1 240
        copyreg._extension_cache[240] = os.mkdir  # as after one earlier, legitimate use
        with pytest.raises(UnsafePickleError, match="opcode EXT1"):
            loads_plain(payload)
    finally:
        copyreg._extension_cache.pop(240, None)
        copyreg.remove_extension("posix", "mkdir", 240)
    assert not path.exists()


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        (b"Pid\n.", "PERSID"),
        (b"(iposix\nsystem\n.", "INST"),
        (b"\x80\x02]\x81.", "NEWOBJ"),
        (b"\x80\x05\x97.", "NEXT_BUFFER"),
        (b"cposix\nsystem\n.", r"'posix\.system'"),
        (b"\x80\x04\x8c\x05posix\x8c\x06system\x93.", r"'posix\.system'"),
        (b"cnumpy\nload\n.", r"'numpy\.load'"),
        (b"c_codecs\ndecode\n.", r"'_codecs\.decode'"),
    ],
)
def test_the_error_names_the_opcode_or_global(raw, name):
    with pytest.raises(UnsafePickleError, match=name):
        loads_plain(raw)


@pytest.mark.parametrize(
    "raw",
    [
        b"]R.",  # REDUCE of a list
        b"cnumpy\ndtype\n}S'x'\nI1\nsb.",  # BUILD on the stand-in of numpy.dtype
        b"cnumpy\ndtype\n(S'O'\ntR(I3\nS'<'\ntb.",  # a type object without a value
        # An object scalar.
        b"cnumpy.core.multiarray\nscalar\n(cnumpy\ndtype\n(S'O8'\ntRS'12345678'\ntR.",
        # Three bytes for eight.
        b"cnumpy.core.multiarray\nscalar\n(cnumpy\ndtype\n(S'i8'\ntRS'123'\ntR.",
        b"c_codecs\nencode\n(S'a'\nS'utf_7'\ntR.",
        b"0.",  # POP from nothing
        b"cnumpy\ndtype\n(N}S'__init__'\nI1\nstb.",  # BUILD would change our class
        b"g7\n.",  # unknown memo entry
    ],
)
def test_senseless_use_of_allowed_opcodes_is_refused(raw):
    with pytest.raises(UnsafePickleError):
        loads_plain(raw)


TYPE, SCALAR = np.dtype("i8"), np.int64(1).__reduce__()[0]


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    "found", [TYPE, [TYPE], {TYPE: 1}, {"a": (1, TYPE)}, [SCALAR], [((SCALAR,),)]], ids=str
)
def test_what_stands_for_a_name_of_numpy_is_no_data(found, protocol):
    with pytest.raises(UnsafePickleError, match=r"a NumPy name stands where|a key or a member"):
        loads_plain(pickle.dumps(found, protocol))


HANGING = {
    "hash recursion": b"(" * 100_000 + b"t" * 100_000 + b"(K\x01d.",
    "tuple as a key": b"}K\x01\x85K\x02s.",
    "frozenset as a key": b"\x80\x04}(K\x01\x91K\x02s.",
    "frozenset in a set": b"\x80\x04\x8f((K\x01\x91\x90.",
    "tuple in a frozenset": b"\x80\x04((K\x01t\x91.",
    "list that holds itself": b"]q\x00h\x00a.",
    "dict that holds itself": b"}q\x00K\x01h\x00s.",
    "list grown after it was used": b"]q\x00]h\x00ah\x00K\x01aa.",
    "deep list": b"]" * 200 + b"a" * 199 + b".",
    "long whole number": b"I" + b"9" * 100_000 + b"\n.",
    "long number of bytes": b"\x80\x02\x8b" + struct.pack("<I", 10**6) + b"\x01" * 10**6 + b".",
    "dict with an odd item": b"(K\x01K\x02K\x03d.",
    "duplicate of the top": b"]2a.",
    "text without quotes": b"Sabc\n.",
    "memo of 32 GB": b"\x80\x02]r" + struct.pack("<I", 2**31 - 1) + b"K\x07a.",
    "numbers of one hash": b"}(" + b"L%dL\nNu." % (2**61 - 1),
}


@pytest.mark.timeout(20)
@pytest.mark.parametrize("raw", HANGING.values(), ids=HANGING.keys())
def test_what_hangs_or_crashes_python_is_refused_in_a_short_message(raw):
    with pytest.raises(UnsafePickleError) as found:
        loads_plain(raw)
    assert len(str(found.value)) < 400


@pytest.mark.timeout(20)
def test_a_container_used_again_counts_each_time():
    def twice(levels):
        steps = b"".join(b"(h%ch%clq%c" % (i, i, i + 1) for i in range(1, levels + 1))
        return b"(]q\x01" + steps + b"l."

    with pytest.raises(UnsafePickleError, match=r"has [\d,]+ values; at most 50,000,000 are read"):
        loads_plain(twice(40))
    shared = ["text", 1]
    assert loads_plain(pickle.dumps([shared, shared, {"a": shared}], 2)) == (
        [shared, shared, {"a": shared}]
    )


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_depth_up_to_the_bound_is_read(protocol):
    data = []
    for _ in range(MAX_DEPTH - 2):
        data = [data]
    assert loads_plain(pickle.dumps(data, protocol)) == data


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_every_truncation_is_refused(protocol):
    data = pickle.dumps(DATA, protocol)
    for length in range(len(data)):
        with pytest.raises(UnsafePickleError):
            loads_plain(data[:length])


def test_trailing_bytes_are_refused():
    with pytest.raises(UnsafePickleError, match="3 bytes follow"):
        loads_plain(pickle.dumps([1]) + b"abc")
