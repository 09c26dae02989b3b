"""Everyday comfort: JSON from every verb that prints, checks, completion, log levels, tables."""

import json
import logging
import shutil
import subprocess
from dataclasses import fields
from importlib.metadata import version

import pytest

from litelvlm.analysis import cli
from litelvlm.analysis.cli import main
from litelvlm.analysis.cli.actions import check
from litelvlm.analysis.cli.actions.check import installed, packages
from litelvlm.analysis.cli.terminal import print_json
from litelvlm.pruning import list_pruners

SILENT = {"demo"}
"""Verbs whose output is no result: a page that is served."""


def test_every_verb_that_prints_takes_json():
    able = {name for name, verb in cli.VERBS.items() if "json" in {f.name for f in fields(verb)}}
    assert able == set(cli.VERBS) - SILENT


def found(capsys, *arguments):
    assert main(list(map(str, arguments))) == 0
    return json.loads(capsys.readouterr().out)


def test_listings_as_json(capsys):
    methods = found(capsys, "ls", "methods", "--json")
    assert [line["name"] for line in methods] == list(list_pruners())
    everything = found(capsys, "ls", "--json")
    assert set(everything) == {"methods", "studies", "figures", "splits", "models", "families"}
    assert {"column", "type", "meaning"} == set(found(capsys, "ls", "columns", "sink", "--json")[0])


def test_a_missing_or_old_package_is_found(monkeypatch):
    assert f"torch {version('torch')}" in packages()
    versions = {"torch": "1.0", "tyro": None, "transformers": "99999"}
    known = installed
    monkeypatch.setattr(check, "installed", lambda name: versions.get(name, known(name)))
    with pytest.raises(RuntimeError) as caught:
        packages()
    told = [part.partition(" (needed")[0] for part in str(caught.value).split("; ")[:-1]]
    assert sorted(told) == ["torch 1.0", "transformers 99999", "tyro is missing"]


def test_bash_completes_verbs_and_options(capsys, tmp_path):
    with pytest.raises(SystemExit) as stopped:
        main(["--tyro-print-completion", "bash"])
    assert not stopped.value.code
    path = tmp_path / "litelvlm.bash"
    path.write_text(capsys.readouterr().out)

    def complete(*words):
        asked = f"COMP_WORDS=({' '.join(words)}); COMP_CWORD={len(words) - 1}"
        code = f'source {path}; {asked}; _tyro_litelvlm; echo "${{COMPREPLY[@]}}"'
        shell = shutil.which("bash")
        return subprocess.run(
            [shell, "-c", code], capture_output=True, text=True, check=True
        ).stdout

    assert set(cli.VERBS) <= set(complete("litelvlm", "").split())
    assert complete("litelvlm", "eva") == "evaluate\n"
    assert complete("litelvlm", "study", "--prot") == "--protocol\n"


def test_the_log_has_levels_and_other_libraries_stay_quiet(capsys):
    log = logging.getLogger("litelvlm")
    before = log.level
    try:
        for words, level in (([], "WARNING"), (["--log", "info"], "INFO"), (["-v"], "DEBUG")):
            assert main(["ls", "studies", *words]) == 0
            assert logging.getLevelName(log.level) == level
            assert logging.getLogger("matplotlib").getEffectiveLevel() >= logging.WARNING
    finally:
        log.setLevel(before)


def test_json_is_json():
    with pytest.raises(ValueError, match="not JSON compliant"):
        print_json({"value": float("nan")})
