"""What the grammar of plain tables accepts, our own machine reads as the same value.

Everything hostile or unusual is left to that machine.
"""

import pickle
import random
import re
import sys

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from litelvlm.data.safe import pickle_grammar, pickles
from litelvlm.data.safe.pickle_grammar import LEVELS, read_plain
from litelvlm.data.safe.pickles import (
    MAX_STEPS,
    UnsafePickleError,
    loads_by_machine,
    loads_plain,
)

TEXTS = st.text(max_size=12) | st.sampled_from(["man's", 'a "b"', "it's \"\\", "(lp1", "g1", "p9"])
ATOMS = (
    TEXTS
    | st.none()
    | st.booleans()
    | st.integers(-(2**80), 2**80)
    | st.integers(-3, 12)
    | st.floats(allow_nan=False)
)


def nested(levels):
    """Plain data of up to so many levels of containers, a container outermost."""
    inner = ATOMS if levels == 1 else ATOMS | nested(levels - 1)
    return st.lists(inner, max_size=4) | st.dictionaries(ATOMS, inner, max_size=4)


DATA = nested(LEVELS)


def as_python_2(data):
    """Protocol 0 as Python 2's cPickle writes it, as far as plain data goes."""
    stored, lines = {}, []

    def store(value):
        stored[value] = len(stored) + 1
        lines.append(b"p%d\n" % stored[value])

    def write(value):
        if isinstance(value, str) and value in stored:
            lines.append(b"g%d\n" % stored[value])
        elif isinstance(value, str) and value.isascii():
            quoted = repr(value).replace("\\x7f", "\x7f").encode()
            lines.append(b"S%s\n" % quoted)
            store(value)
        elif isinstance(value, str):
            plain = value.replace("\\", "\\u005c").replace("\n", "\\u000a")
            lines.append(b"V%s\n" % plain.encode("raw-unicode-escape"))
            store(value)
        elif isinstance(value, bool):
            lines.append(b"I0%d\n" % value)
        elif value is None:
            lines.append(b"N")
        elif isinstance(value, int):
            lines.append(b"I%d\n" % value if abs(value) < 2**62 else b"L%dL\n" % value)
        elif isinstance(value, float):
            lines.append(b"F%r\n" % value)
        else:
            is_list = isinstance(value, list)
            lines.append(b"(l" if is_list else b"(d")
            for item in value if is_list else value.items():
                for part in (item,) if is_list else item:
                    write(part)
                lines.append(b"a" if is_list else b"s")

    write(data)
    return b"".join([*lines, b"."])


FILES = st.builds(
    lambda data, written: written(data),
    DATA,
    st.sampled_from([as_python_2, lambda data: pickle.dumps(data, 0)]),
)


def same(one, other):
    """Whether values and all their types are equal."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return same(list(one.items()), list(other.items()))
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return repr(one) == repr(other)


def check(content):
    """The fast way declines, or gives what the machine gives; whether it read."""
    found = read_plain(content, MAX_STEPS)
    if found is None:
        return False
    assert same(found, loads_by_machine(content))
    return True


@settings(max_examples=200, deadline=None, derandomize=True)
@given(FILES)
@example(pickle.dumps(["\ud800", "\U0001f600", "\x00\r\x1a\\u0041", 2**40, True, None, 1e16], 0))
@example(as_python_2([{"it's": ["a", "a", 'say "it"', -1, False]}] * 3))
def test_both_readers_agree_about_plain_data(content):
    check(content)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(FILES, st.data())
def test_both_readers_agree_about_changed_files(content, data):
    spot = data.draw(st.integers(0, len(content) - 1))
    kind = data.draw(st.sampled_from(["replace", "insert", "remove"]))
    sign = b"" if kind == "remove" else data.draw(st.sampled_from(SIGNS))
    check(content[:spot] + sign + content[spot + (kind != "insert") :])


SIGNS = [bytes([code]) for code in (*range(256), *b"\n.(ldasgpIVSLFN019-+e_x'\"\\" * 4)]


def table(written=as_python_2, references=40):
    draw = random.Random(0)
    words = ["left", "man's", 'the "big"', "café", "☃", "red"]
    return written(
        [
            {
                "ref_id": number,
                "split": "val",
                "sent_ids": [number, number + 1],
                "sentences": [
                    {"tokens": draw.choices(words, k=3), "sent_id": number, "sent": "a\\b\n"}
                ],
            }
            for number in range(references)
        ]
    )


@pytest.mark.parametrize("written", [as_python_2, lambda data: pickle.dumps(data, 0)])
def test_tables_of_both_writers_are_read_fast(written):
    assert check(table(written))


def test_every_changed_byte_of_a_table_is_judged_alike():
    content = table(references=2)
    draw = random.Random(1)
    read = [
        check(content[:spot] + draw.choice(SIGNS) + content[spot + 1 :])
        for spot in range(len(content))
    ]
    assert sum(read) > 40  # changes inside texts are no harm, others are


HOSTILE = {
    "global": b"(lcposix\nsystem\na.",
    "call": b"(lcposix\nsystem\n(S'true'\ntRa.",
    "instance": b"(l(iposix\nsystem\na.",
    "object": b"(l(cposix\nsystem\noa.",
    "state": b"(lN}ba.",
    "extension": b"(l\x82\xf0a.",
    "persistent": b"(lPid\na.",
    "tuple": b"(l(I1\nta.",
    "60 tuples": b"(l" + b"(" * 60 + b"t" * 60 + b"a.",
    "1000 lists": b"(l" * 1000 + b"a" * 999 + b".",
    "six levels": b"(l" * 6 + b"a" * 5 + b".",
    "shared list": b"(l(lp1\nag1\na.",
    "shared dict": b"(l(dp1\nag1\na.",
    "list that holds itself": b"(lp1\ng1\na.",
    "number stored anew": b"(lV\np1\na(lp1\nag1\na.",
    "list stored, then a text": b"(l(lp1\naV\np1\nag1\na.",
    "nothing stored": b"(lg1\na.",
    "huge number of the store": b"(lV\np99999999\na.",
    "two values": b"(l.(l.",
    "bytes behind the end": b"(l.\n",
    "no end": b"(l",
    "list as a key": b"(d(lI1\ns.",
    "field in a list": b"(lI1\nI2\ns.",
    "value without a key": b"(dI1\na.",
    "octal": b"(lI010\na.",
    "hexadecimal": b"(lI0x1f\na.",
    "plus": b"(lI+1\na.",
    "space": b"(lI 1\na.",
    "minus zero": b"(lI-0\na.",
    "long octal": b"(lL010L\na.",
    "long without its letter": b"(lL5\na.",
    "long number": b"(lL" + b"9" * 61 + b"L\na.",
    "not a number": b"(lFnan\na.",
    "infinity": b"(lFinf\na.",
    "beyond all floats": b"(lF1e999\na.",
    "underscore": b"(lF1_0\na.",
    "no quotes": b"(lSab\na.",
    "open quote": b"(lS'ab\na.",
    "quote inside": b"(lS'a'b'\na.",
    "unknown escape": b"(lS'\\z'\na.",
    "octal escape": b"(lS'\\101'\na.",
    "short escape": b"(lV\\u12\na.",
    "beyond Unicode": b"(lV\\U00110000\na.",
    "binary": pickle.dumps([1], 2),
    "an atom alone": b"I1\n.",
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE.keys())
def test_what_is_hostile_or_unusual_is_left_to_the_machine(content):
    assert read_plain(content, MAX_STEPS) is None


def test_the_unpickler_itself_refuses_names_should_the_grammar_fail(monkeypatch):
    monkeypatch.setattr(pickle_grammar, "_pattern", lambda digits: re.compile(b"(?s).*"))
    for name in ("global", "call", "instance"):
        assert read_plain(HOSTILE[name], MAX_STEPS) is None


def test_a_file_of_too_many_steps_is_left_to_the_machine():
    content = table()
    assert read_plain(content, len(content)) is not None
    assert read_plain(content, 10) is None


def test_large_tables_take_the_fast_way_and_small_ones_do_not(monkeypatch):
    calls = []
    monkeypatch.setattr(pickles, "read_plain", lambda *given: calls.append(given))
    content = table()
    assert loads_plain(content) == loads_by_machine(content)
    assert calls == []
    monkeypatch.setattr(pickles, "LARGE", len(content))
    assert loads_plain(content) == loads_by_machine(content)
    assert calls == [(content, MAX_STEPS)]


def test_the_grammar_takes_no_step_back():
    """Every repetition keeps what it took, so that no file makes the match try many ways."""
    pattern = pickle_grammar._pattern(8).pattern
    plain = re.sub(rb"\\.|\[(?:\\.|[^\]\\])*\]|\(\?:", b"x", pattern)
    repetitions = re.findall(rb"(?:[*+?]|\{[0-9]+,[0-9]*\})\+?", plain)
    assert len(repetitions) > 100
    assert {found[-1:] for found in repetitions} == {b"+"}
    assert all(len(found) > 1 for found in repetitions)


def test_keys_with_one_hash_are_not_read():
    """A dict of whole numbers that share a hash would take the square of their number."""
    number = sys.hash_info.modulus
    content = b"(dL%dL\nI1\ns." % (3 * number)
    assert hash(3 * number) == hash(number)
    assert read_plain(content, 100) is None
    with pytest.raises(UnsafePickleError, match="a number of more than 60 bits"):
        loads_plain(content)
    assert loads_plain(b"(dI%d\nI1\ns." % (number - 1)) == {number - 1: 1}


def test_a_text_full_of_the_sign_of_a_fetch_is_left_to_the_machine():
    text = "g" * 10_000
    content = pickle.dumps([text], 0)
    assert read_plain(content, 10**6) is None
    assert loads_plain(content) == [text]
