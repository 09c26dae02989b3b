"""The reader of the output goes away: no message, and the code that shells know."""

import os
import subprocess
import sys

import pytest

from litelvlm.analysis.cli import VERBS, guarded, main
from litelvlm.analysis.cli.terminal import READER_GONE, reader_gone


@pytest.mark.parametrize("arguments", [["audit"], ["ls", "methods"], ["audit", "--help"]])
def test_a_reader_that_goes_away_hears_nothing(arguments):
    reading, writing = os.pipe()
    os.close(reading)
    started = subprocess.run(
        [sys.executable, "-m", "litelvlm", *arguments],
        stdout=writing,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(writing)
    assert (started.returncode, started.stderr) == (READER_GONE, b"")


def test_a_broken_pipe_elsewhere_is_told(capsys, monkeypatch):
    def run(verb):
        raise BrokenPipeError(32, "a worker went away")

    monkeypatch.setattr(VERBS["audit"], "run", run)
    assert guarded(VERBS["audit"]()) == 1
    assert "a worker went away" in capsys.readouterr().err


def test_a_reader_that_is_there_is_seen():
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as stream:
        assert not reader_gone(stream)
        os.close(reading)
        assert reader_gone(stream)
    assert main(["--version"]) == 0
