"""Every command of the pages that loads a model or reads a run ends well, line after line.

The lines of a page run in one folder, in the order of the page, so that a line finds what the line
before it wrote. What a reader supplies (a checkpoint, a data set, a picture) lies there under the
name that the page gives it. Rules in ``tests/docs_commands.py`` make the work small; beyond these,
the embedded worlds have 12 images in each split, and figures are coarse and not written as PDF. On
the README they are drawn. On other pages what they show is drawn and an empty file is written.
Pages share their run folders: a line that asks for the same run as a page before finds its parts.

A line that downloads must be refused in one line without a network. A line with workers finds all
parts computed and starts no worker.
"""

import fnmatch
import os
import re
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from litelvlm.analysis.cli import main
from tests.docs_commands import (
    LIGHT,
    PAGES,
    commands_of,
    in_one_process,
    reduced,
    words_of,
)
from tests.docs_supplies import (
    remembering_families,
    use_families,
    use_small_worlds,
    write_supplies,
)
from tests.figure_files import coarse, style

BEFORE = {"own-hypotheses": [["study", "reversal", "--limit", "12", "--set", "reversal.pool=12"]]}
"""What a page takes as done: its example needs images with small and with large objects."""


@pytest.fixture(scope="module")
def supplied(tmp_path_factory):
    """What a reader supplies, by the name that a page gives it."""
    return write_supplies(tmp_path_factory.mktemp("supplied"))


@pytest.fixture(scope="module")
def computed(tmp_path_factory):
    """The run folders of all pages."""
    return tmp_path_factory.mktemp("runs")


@pytest.fixture
def place(supplied, computed, loaded, tmp_path, monkeypatch):
    """A working folder that holds what a reader supplies."""
    (tmp_path / "runs").symlink_to(computed)
    for name, source in supplied.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).symlink_to(source)
    monkeypatch.chdir(tmp_path)
    use_small_worlds(monkeypatch)
    use_families(monkeypatch, loaded)
    coarse(monkeypatch, 40, "png", "svg")
    return tmp_path


@pytest.fixture(scope="module")
def empty_file():
    """A figure that shows nothing, in each format."""
    return style.encode(Figure(figsize=(1, 1)), "png", "svg")


@pytest.fixture(scope="module")
def loaded():
    """The model families; a model that a line before has loaded is taken again."""
    return remembering_families()


def runs_of(word, named):
    """The run folder that a line names, or all of them, of those that the page has named so far."""
    if not word.startswith("runs/"):
        return [word]
    found = fnmatch.filter(named, re.sub(r"-0123abcd$", "-*", word))
    assert found, f"no line before this one made {word}"
    return dict.fromkeys(found) if word.endswith("*") else found[-1:]


def run(words, named, capsys):
    """Run one command, and add the run folders that it prints to those of its page.

    Returns:
        What it said, of a line that downloads the reason why it is refused.
    """
    words = [found for word in words for found in runs_of(word, named)]
    if "--workers" in words:  # all parts are there, so that no worker is started
        assert main(in_one_process(words)) == 0
    code, said = main(words), capsys.readouterr()
    named += filter(os.path.isdir, re.findall(r"\bruns/[\w-]+", said.out))
    assert "Traceback" not in said.err
    if words[:2] == ["reproduce", "refseg"] and "--model" not in words:
        assert code == 1
        (reason,) = said.err.splitlines()
        assert reason.startswith("litelvlm: Cannot reach https://huggingface.co/")
        assert reason.endswith("please unset the `HF_HUB_OFFLINE` environment variable.")
        return reason
    assert code == 0, (words, said.err, *traces())
    return said.out


def traces():
    """What the suite kept of unexpected errors."""
    return [path.read_text() for path in Path(os.environ["LITELVLM_CACHE"]).glob("errors/*.log")]


HEAVY = {
    page.stem: lines
    for page in PAGES
    if (lines := [line for line in commands_of(page) if words_of(line)[0] not in LIGHT])
}


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize("page", HEAVY)
def test_the_commands_of_a_page_run_in_its_order(page, capsys, monkeypatch, empty_file):
    if page != "README":
        monkeypatch.setattr(style, "encode", lambda figure, *kinds: empty_file)
    named = []
    for words in (*BEFORE.get(page, ()), *map(reduced, HEAVY[page])):
        assert run(words, named, capsys), words
