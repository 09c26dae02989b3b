"""Archives of data: what lies in them is written as it is, and what must not be written is not."""

import os
import stat
import zipfile
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

import pytest

from litelvlm.data.safe.unpack import unpack

PICTURE = os.urandom(4000)


def packed(path, entries, how=ZIP_STORED):
    with ZipFile(path, "w", how) as archive:
        archive.writestr("valid/JPEGImages/bear/00000.jpg", PICTURE)
        for name, content in entries:
            archive.writestr(name, content)
    return path


def linked(name, target):
    """An entry that says it is a symbolic link."""
    entry = ZipInfo(name)
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    return entry, target


def test_files_are_written_below_the_folder_once(tmp_path):
    archive = packed(tmp_path / "a.zip", [("valid/table.json", b"{}" * 500), ("empty/", b"")])
    target = unpack(archive, tmp_path / "data" / "davis")
    found = sorted(p.relative_to(target).as_posix() for p in target.rglob("*"))
    assert found == [
        *("empty", "valid", "valid/JPEGImages", "valid/JPEGImages/bear"),
        *("valid/JPEGImages/bear/00000.jpg", "valid/table.json"),
    ]
    assert (target / "valid/JPEGImages/bear/00000.jpg").read_bytes() == PICTURE
    (target / "valid/table.json").unlink()
    assert unpack(archive, target) == target  # a finished folder stays as it is
    assert not (target / "valid/table.json").exists()


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ([("../outside.txt", b"x")], "lies outside the folder"),
        ([("/outside.txt", b"x")], "lies outside the folder"),
        ([("valid/../../outside.txt", b"x")], "lies outside the folder"),
        ([("..\\outside.txt", b"x")], "a sign that no file name here may have"),
        ([("C:/outside.txt", b"x")], "a sign that no file name here may have"),
        ([linked("valid/link", "/etc")], "is a link or a device"),
        ([("valid", b"a file")], "which lies below a file"),
        ([("Valid/Table.json", b"x"), ("valid/table.json", b"y")], "or one of them twice"),
    ],
)
def test_what_lies_outside_or_links_is_refused_before_anything_is_written(tmp_path, entries, words):
    place = tmp_path / "inside"
    place.mkdir()
    archive = packed(place / "a.zip", entries)
    with pytest.raises(ValueError, match=words):
        unpack(archive, place / "data")
    assert [p.name for p in place.iterdir()] == ["a.zip"]
    assert [p.name for p in tmp_path.iterdir()] == ["inside"]


def test_an_archive_that_grows_without_measure_is_refused(tmp_path):
    archive = packed(tmp_path / "a.zip", [("zeros", bytes(2_000_000))], ZIP_DEFLATED)
    with pytest.raises(ValueError, match=r"unpacks to 2,004,000 bytes, more than 20 times"):
        unpack(archive, tmp_path / "data")


def test_overlapping_and_damaged_archives_are_refused_and_leave_nothing(tmp_path, monkeypatch):
    archive = packed(tmp_path / "a.zip", [("b", b"second"), ("c", b"third")])
    content = archive.read_bytes()
    archive.write_bytes(content.replace(PICTURE, PICTURE[:-1] + bytes([PICTURE[-1] ^ 1])))
    with pytest.raises(ValueError, match=r"is damaged \(Bad CRC"):
        unpack(archive, tmp_path / "data")
    archive.write_bytes(content[:-30])
    with pytest.raises(ValueError, match="is damaged"):
        unpack(archive, tmp_path / "data")
    archive.write_bytes(content)
    real = zipfile.ZipFile.infolist
    monkeypatch.setattr(zipfile.ZipFile, "infolist", lambda one: [*real(one), ghost(real(one)[0])])
    with pytest.raises(ValueError, match="overlap"):
        unpack(archive, tmp_path / "data")
    assert [p.name for p in tmp_path.iterdir()] == ["a.zip"]
    with pytest.raises(FileNotFoundError):
        unpack(tmp_path / "none.zip", tmp_path / "data")


def ghost(entry):
    """The same bytes under another name."""
    other = ZipInfo("ghost")
    other.compress_size, other.file_size = entry.compress_size, entry.file_size
    return other


def test_encrypted_entries_are_refused(tmp_path):
    archive = packed(tmp_path / "a.zip", [("secret", b"x")])
    content = bytearray(archive.read_bytes())
    place = content.rindex(b"PK\x01\x02")  # the directory's entry of the last file
    content[place + 8] |= 1
    archive.write_bytes(bytes(content))
    with pytest.raises(ValueError, match="is encrypted"):
        unpack(archive, tmp_path / "data")
