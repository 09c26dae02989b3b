"""Text from strangers never breaks a terminal, a message or an SVG."""

import errno
import subprocess
import sys
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path

import matplotlib.pyplot as plt
import pytest

from litelvlm.analysis import cli
from litelvlm.analysis.cli.options import Common
from litelvlm.data.files import atomic_write
from litelvlm.data.safe.shown import shown
from litelvlm.names import printable
from tests.figure_files import style

ODD = "a\x07b\x1b[31m\ud800c\ufffe\x00"


def test_only_signs_that_nothing_can_show_are_replaced():
    assert printable("naïve 象 🐘\u00a0\u200d\n\t") == "naïve 象 🐘\u00a0\u200d\n\t"
    assert set(printable(ODD)) - set("ab[31mc") == {"\N{REPLACEMENT CHARACTER}"}


def test_svg_with_odd_text_is_xml():
    figure, ax = plt.subplots()
    ax.set_title(ODD)
    svg = style.encode(figure, "svg")["svg"]
    plt.close(figure)
    root = ET.fromstring(svg.decode())  # noqa: S314
    assert root.tag.endswith("svg")
    assert not set(ODD) & set("\x00\x07\x1b\ud800\ufffe") & set(svg.decode())


@pytest.mark.parametrize("value", ["x" * 10**6, list(range(10**6)), {"k" * 10**5: [[[[1]]]]}])
def test_values_in_messages_are_short(value):
    assert len(shown(value)) <= 120


@dataclass(frozen=True, kw_only=True)
class Broken(Common):
    """A verb with a defect."""

    def run(self):
        """Fail as no caller expects."""
        raise KeyError(ODD)


def test_a_defect_is_told_with_its_trace(capsys):
    assert cli.guarded(Broken()) == 1
    told = capsys.readouterr().err
    assert told.startswith("Traceback")
    assert told.splitlines()[-1].startswith("litelvlm: unexpected KeyError: ")
    assert "\x1b" not in told


def test_a_full_disk_names_the_file_and_what_is_kept(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left") as found:
        atomic_write(tmp_path / "part.parquet", b"rows")
    told = cli.one_line(found.value)
    assert str(tmp_path / "part.parquet") in told
    assert "what was finished is kept; make room and run the same command again" in told
    assert list(tmp_path.iterdir()) == []


def test_a_terminal_of_few_letters_ends_in_no_error():
    code = (
        "import sys; from litelvlm.analysis import cli; cli.main(['--version']); "
        "sys.stdout.write('\\ud800 é')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        check=False,
        env={"PYTHONIOENCODING": "ascii", "PATH": "", "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert done.returncode == 0, done.stderr
    assert b"\\ud800 \\xe9" in done.stdout
