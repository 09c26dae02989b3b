"""A file or folder is whole or absent, whatever interrupts the writer."""

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from litelvlm.data.files import atomic_folder, atomic_write, remove_debris


def entries(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


@pytest.mark.parametrize("content", [b"new", "new", lambda stream: stream.write(b"new")])
def test_writes_bytes_text_and_callables(tmp_path, content):
    path = tmp_path / "sub" / "a.bin"
    assert atomic_write(path, content) == path
    assert path.read_bytes() == b"new"
    assert entries(path.parent) == ["a.bin"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_exception_midway_keeps_the_old_file_and_leaves_no_debris(tmp_path, error):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def fail(stream):
        stream.write(b"half")
        raise error

    with pytest.raises(error):
        atomic_write(path, fail)
    assert path.read_text() == "old"
    assert entries(tmp_path) == ["a.txt"]


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_full_disk_leaves_nothing(tmp_path, monkeypatch, call):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, call, full)
    with pytest.raises(OSError, match="No space left"):
        atomic_write(tmp_path / "a.txt", "new")
    assert entries(tmp_path) == []


def test_existing_mode_is_kept_and_new_files_follow_the_umask(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    path.chmod(0o640)
    atomic_write(path, "new")
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    before = os.umask(0o027)
    try:
        atomic_write(tmp_path / "b.txt", "new")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "b.txt").stat().st_mode) == 0o640  # 0o666 & ~0o027


def test_symbolic_link_is_written_through(tmp_path):
    real, link = tmp_path / "real.txt", tmp_path / "link.txt"
    real.write_text("old")
    link.symlink_to(real)
    atomic_write(link, "new")
    assert link.is_symlink()
    assert real.read_text() == "new"


def test_kill_before_the_rename_leaves_the_old_file_and_debris_is_removable(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    child = (
        "import os, signal, sys\n"
        "from litelvlm.data.files import atomic_write\n"
        "os.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        "atomic_write(sys.argv[1], 'new')\n"
    )
    done = subprocess.run([sys.executable, "-c", child, str(path)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert path.read_text() == "old"
    assert len(entries(tmp_path)) == 2
    assert remove_debris(tmp_path) == []  # too young: it could belong to a running process
    assert len(remove_debris(tmp_path, older_than=0.0)) == 1
    assert entries(tmp_path) == ["a.txt"]


def test_folder_appears_whole(tmp_path):
    def fill(folder):
        (folder / "sub").mkdir()
        (folder / "sub" / "x").write_text("1")

    target = atomic_folder(tmp_path / "tree", fill)
    assert (target / "sub" / "x").read_text() == "1"
    assert entries(tmp_path) == ["tree"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_interrupted_folder_is_absent(tmp_path, error):
    def fill(folder):
        (folder / "x").write_text("1")
        raise error

    with pytest.raises(error):
        atomic_folder(tmp_path / "tree", fill)
    assert entries(tmp_path) == []


def test_folder_of_a_faster_process_stays(tmp_path):
    target = tmp_path / "tree"

    def fill(folder):
        target.mkdir()
        (target / "x").write_text("theirs")
        (folder / "x").write_text("ours")

    atomic_folder(target, fill)
    assert (target / "x").read_text() == "theirs"
    assert entries(tmp_path) == ["tree"]
