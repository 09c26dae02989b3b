"""The guides to a new method and to a new study, followed word by word in a copy of the project."""

import os
import re
import shutil
from pathlib import Path

import pytest

from tests.warm import run_python

ROOT = Path(__file__).parents[2]
COPIED = ("litelvlm", "analysis", "figures", "tests", "docs")
PYTEST = (
    *("-m", "pytest", "-q", "-n0", "-p", "no:cacheprovider"),
    *("-W", "ignore:Module already imported"),
)
"""A new process has some libraries already, whose asserts pytest would else rewrite."""
METHOD_CHECKS = (
    "tests/unit/test_pruner_conformance.py",
    "tests/unit/test_ls.py",
    "tests/unit/test_figures_listed.py",
)
OTHER_METHODS_LEFT_OUT = ("-k", "surprise or test_every_method_has_a_case or not conformance")
"""The suite itself asks the other methods what conforms."""
STUDY_CHECKS = (
    "tests/unit/test_mask_size.py",
    "tests/unit/test_house.py",
    "tests/unit/test_study_options.py",
    "tests/unit/test_study_contract.py",
    "tests/unit/test_run_keys.py::test_claims_and_tables_are_not_in_the_closure",
    "tests/unit/test_figures_listed.py",
)
"""Those that the guide names; of the keys of runs, what the guide says about imports."""
TYPED = ("--jaxtyping-packages=litelvlm.analysis.studies.mask_size,beartype.beartype",)
"""Annotations of the new study are checked while it runs."""
COMMANDS = """
import sys
from pathlib import Path
from litelvlm.analysis.cli import main

for line in sys.argv[1:]:
    words = [str(*Path().glob(w)) if w.startswith("runs/") else w for w in line.split()]
    assert main(words) == 0, line
"""


@pytest.fixture
def project(tmp_path):
    """A copy of the project, to be added to."""
    ignored = shutil.ignore_patterns("*.pyc.*")  # another process is just writing these
    for folder in COPIED:
        shutil.copytree(ROOT / folder, tmp_path / folder, symlinks=True, ignore=ignored)
    for file in ("pyproject.toml", "README.md", "CHANGELOG.md"):
        shutil.copy(ROOT / file, tmp_path / file)
    return tmp_path


def blocks(guide, language):
    """The blocks of a guide in one language, without their indentation."""
    found = re.findall(rf"^( *)```{language}\n(.*?)^\1```", guide, re.DOTALL | re.MULTILINE)
    return [re.sub(f"^{indent}", "", text, flags=re.MULTILINE) for indent, text in found]


def insert(path, after, line):
    """Add a line behind one that stands there once."""
    text = path.read_text()
    assert text.count(after) == 1, (path.name, after)
    path.write_text(text.replace(after, f"{after}{line}\n"))


def python(project, *arguments):
    """What Python prints that runs in the copy; it must end well."""
    done = run_python(list(arguments), project, os.environ | {"PYTHONPATH": str(project)})
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def test_a_method_added_by_the_guide_passes_every_test(project):
    guide = (ROOT / "docs" / "adding-a-method.md").read_text()
    method, _, case = blocks(guide, "python")[:3]
    assert "class Surprise(ScorePruner)" in method
    (project / "litelvlm/pruning/methods/surprise.py").write_text(method)
    (entry,) = re.findall(r'`("surprise": "surprise:Surprise",)`', guide)
    table = "METHODS: Mapping[str, str] = MappingProxyType(\n    {\n"
    insert(project / "litelvlm/pruning/registry.py", table, f"        {entry}")
    cases = project / "tests" / "method_cases.py"
    (start,) = re.findall(r"^METHODS.*\{\n", cases.read_text(), re.MULTILINE)
    insert(cases, start, f"    {case.strip()}")
    python(project, *PYTEST, *OTHER_METHODS_LEFT_OUT, *METHOD_CHECKS)
    listed = python(project, "-m", "litelvlm", "ls", "methods")
    assert re.search(r"^surprise .*patches unlike the mean patch$", listed, re.MULTILINE)


def test_a_study_added_by_the_guide_runs_and_passes_its_tests(project):
    guide = (ROOT / "docs" / "adding-a-study.md").read_text()
    folder = project / "analysis" / "studies" / "mask_size"
    folder.mkdir()
    names = ("__init__", "config", "rows", "prepare", "tables", "claims")
    places = [
        *(folder / f"{name}.py" for name in names),
        project / "figures" / "mask_size.py",
        project / "tests" / "unit" / "test_mask_size.py",
    ]
    code = [block for block in blocks(guide, "python") if block.startswith('"""')]
    for place, block in zip(places, code, strict=True):
        place.write_text(block)
    (entry,) = re.findall(r'here\s+`("mask_size": "[^"]+",)`\s+at the end', guide)
    table = project / "analysis/studies/__init__.py"
    (last,) = re.findall(r'^ +"quantisation": ".*",\n', table.read_text(), re.MULTILINE)
    insert(table, last, f"        {entry}")
    imported, drawn, behind = re.findall(r"`(\*?\w+(?:\.DRAWINGS)?,)`", guide)
    drawings = project / "figures" / "__init__.py"
    insert(drawings, "    importance,\n", f"    {imported}")
    insert(drawings, f"    {behind}\n", f"    {drawn}")
    line, picture = blocks(guide, "markdown")[0].splitlines()
    page = project / "docs" / "figures.md"
    (last,) = re.findall(r"^\| `examples` .*\n", page.read_text(), re.MULTILINE)
    insert(page, last, line)
    insert(page, "![examples](../figures/rendered/examples.png)\n", picture)

    (draw,) = re.findall(r"`litelvlm (figure mask_size --from RUN --out figures/rendered)`", guide)
    lines = [
        "study mask_size --limit 2",
        "ls columns mask_size",
        draw.replace("RUN", "runs/mask_size-* --partial"),
    ]
    told = python(project, "-c", COMMANDS, *lines)
    assert "mask_size  Open: predicted masks are larger than the objects" in told
    assert "Predicted minus true share" in told
    assert "figures/rendered/mask_size.png" in told
    (named,) = re.findall(r"^ *`pytest ([^`]*)`", guide, re.MULTILINE)
    assert named.replace("<name>", "mask_size").split() == list(
        dict.fromkeys(check.partition("::")[0] for check in STUDY_CHECKS)
    )
    python(project, *PYTEST, *TYPED, *STUDY_CHECKS)
