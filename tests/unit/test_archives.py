"""Archives of weights that torch would misread, unpack without end or crash on are refused."""

import zipfile

import pytest
import torch

from litelvlm.clip.load import load_tower
from litelvlm.data.safe.archives import check_archive, check_archives
from litelvlm.data.safe.pickle_gate import check_pickle
from litelvlm.data.safe.weight_files import check_shard, read_shard
from litelvlm.models.clip_files import read_clip
from litelvlm.models.files import EMBEDDED
from tests.warm import run_python

WEIGHTS = {"a.weight": torch.arange(3.0), "b.bias": torch.ones(2, 2).t()}


def weights(path, replace=None, kind=zipfile.ZIP_STORED, also=()):
    """An archive that torch wrote, with some entries replaced."""
    plain = path.with_suffix(".plain")
    torch.save(WEIGHTS, plain)
    with zipfile.ZipFile(plain) as old, zipfile.ZipFile(path, "w", kind) as new:
        for name in old.namelist():
            new.writestr(name, (replace or {}).get(name.split("/", 1)[1], old.read(name)))
        for name, content in also:
            new.writestr(name, content)
    plain.unlink()
    return path


def test_what_torch_writes_is_read(tmp_path):
    path = tmp_path / "pytorch_model.bin"
    torch.save({name: torch.nn.Parameter(tensor) for name, tensor in WEIGHTS.items()}, path)
    check_archives(tmp_path)
    check_shard(path)
    found = dict(read_shard(path))
    assert all(torch.equal(found[name], tensor) for name, tensor in WEIGHTS.items())


def test_packed_entries_would_be_read_as_other_numbers(tmp_path):
    path = weights(tmp_path / "pytorch_model.bin", kind=zipfile.ZIP_DEFLATED)
    wrong = torch.load(path, weights_only=True, mmap=True)
    assert not torch.equal(wrong["a.weight"], WEIGHTS["a.weight"])
    for read in (check_archive, check_shard, lambda path: dict(read_shard(path))):
        with pytest.raises(ValueError, match=r"has packed entries .*fetch it again"):
            read(path)


@pytest.mark.parametrize("read", [read_clip, load_tower])
def test_every_way_to_a_clip_checks_its_archives(tmp_path, read):
    (tmp_path / "config.json").write_bytes(
        (EMBEDDED["embedded"] / "clip" / "config.json").read_bytes()
    )
    weights(tmp_path / "pytorch_model.bin", kind=zipfile.ZIP_DEFLATED)
    given = (tmp_path, torch.float32, "sdpa") if read is read_clip else (tmp_path,)
    with pytest.raises(ValueError, match="has packed entries"):
        read(*given)


NESTED = b"\x80\x02}K\x00" + b"\x85" * 1_000_000 + b"K\x01s."
"""A key of a million tuples, one in the other."""
DOUBLED = b"\x80\x02}K\x00" + b"q\x01h\x01\x86" * 60 + b"K\x01s."
"""A key that holds the one before twice, 60 times over."""
WIDE = b"\x80\x02(" + b"N" * 20_000 + b"t."


@pytest.mark.parametrize(
    ("plan", "bound"),
    [
        (NESTED, "51 levels; at most 50"),
        (DOUBLED, "16,383 values in tuples; at most 10,000"),
        (WIDE, "20,001 values in tuples; at most 10,000"),
    ],
)
def test_plans_that_never_end_are_refused(tmp_path, plan, bound):
    path = weights(tmp_path / "pytorch_model.bin", {"data.pkl": plan})
    with pytest.raises(ValueError, match=f"a value has {bound} are read"):
        check_shard(path)


def test_torch_itself_crashes_on_a_nested_key(tmp_path):
    """What the check is for; a torch that survives it makes the check needless."""
    path = weights(tmp_path / "pytorch_model.bin", {"data.pkl": NESTED})
    script = f"import torch\ntorch.load({str(path)!r}, weights_only=True)"
    assert run_python(["-c", script]).returncode < 0


def test_plans_are_bounded_and_single(tmp_path):
    big = weights(tmp_path / "big.bin", {"data.pkl": b"\x80\x02N" + b"0N" * 2**25 + b"."})
    for path, match in (
        (big, r"data\.pkl\), several, or one above 67,108,864"),
        (weights(tmp_path / "two.bin", also=[("x/data.pkl", b"N.")]), "several"),
        (weights(tmp_path / "none.bin", {"data.pkl": b""}), "damaged or hostile"),
    ):
        with pytest.raises(ValueError, match=match):
            check_archive(path)
    with pytest.warns(UserWarning, match="Duplicate name"):
        twice = weights(tmp_path / "twice.bin", also=[("twice/data/0", b"x")] * 2)
    with pytest.raises(ValueError, match="one of them twice"):
        check_archive(twice)


def test_overlapping_entries_are_refused(tmp_path):
    path = weights(tmp_path / "over.bin", also=[("over/data/7", b"y" * 9000)])
    raw = bytearray(path.read_bytes())
    # Every entry of the table of contents claims the 9,000 bytes of the last one.
    place = raw.find(b"PK\x01\x02")
    while place >= 0:
        raw[place + 20 : place + 28] = (9000).to_bytes(4, "little") * 2
        place = raw.find(b"PK\x01\x02", place + 4)
    path.write_bytes(bytes(raw))
    with pytest.raises(ValueError, match="entries that overlap"):
        check_archive(path)


@pytest.mark.parametrize(
    "content", [b"", b"noise", b"PK\x03\x04" + b"\0" * 40, b"PK\x05\x06" + b"\0" * 18]
)
def test_other_files_are_refused(tmp_path, content):
    (tmp_path / "pytorch_model.bin").write_bytes(content)
    with pytest.raises(ValueError, match="fetch it again"):
        check_archives(tmp_path)


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"\x80\x02u.", "a mark is missing"),
        (b"\x80\x02t.", "a mark is missing"),
        (b"\x80\x02N", "no opcode at byte 3"),
        (b"\x80\x02\x85.", "taken from an empty stack"),
    ],
)
def test_broken_plans_are_refused(content, match):
    with pytest.raises(ValueError, match=match):
        check_pickle(content, plain=False)
