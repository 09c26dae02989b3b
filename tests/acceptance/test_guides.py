"""The guide to a new method, followed word by word in a copy of the project."""

import os
import re
import shutil
from pathlib import Path

from tests.warm import run_python

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "adding-a-method.md").read_text()
COPIED = ("litelvlm", "analysis", "figures", "tests", "docs")
CHECKS = (
    "tests/unit/test_pruner_conformance.py",
    "tests/unit/test_ls.py",
    "tests/unit/test_figures_listed.py",
    "tests/unit/test_methods_page.py::test_the_rows_are_methods_of_the_table_and_nearly_all_of_them",
)


def blocks(language):
    """The blocks of the guide in one language, without their indentation."""
    found = re.findall(rf"^( *)```{language}\n(.*?)^\1```", GUIDE, re.DOTALL | re.MULTILINE)
    return [re.sub(f"^{indent}", "", text, flags=re.MULTILINE) for indent, text in found]


def insert(path, after, line):
    """Add a line behind the one that begins a table."""
    text = path.read_text()
    assert text.count(after) == 1, (path.name, after)
    path.write_text(text.replace(after, f"{after}{line}\n"))


def test_a_method_added_by_the_guide_passes_every_test(tmp_path):
    ignored = shutil.ignore_patterns("__pycache__", "*.pyc")
    for folder in COPIED:
        shutil.copytree(ROOT / folder, tmp_path / folder, symlinks=True, ignore=ignored)
    for file in ("pyproject.toml", "README.md", "CHANGELOG.md"):
        shutil.copy(ROOT / file, tmp_path / file)
    method, _, case = blocks("python")[:3]
    assert "class Surprise(ScorePruner)" in method
    (tmp_path / "litelvlm/pruning/methods/surprise.py").write_text(method)
    (entry,) = re.findall(r'`("surprise": "surprise:Surprise",)`', GUIDE)
    table = "METHODS: Mapping[str, str] = MappingProxyType(\n    {\n"
    insert(tmp_path / "litelvlm/pruning/registry.py", table, f"        {entry}")
    cases = tmp_path / "tests" / "method_cases.py"
    (start,) = re.findall(r"^METHODS.*\{\n", cases.read_text(), re.MULTILINE)
    insert(cases, start, f"    {case.strip()}")
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    # The new process has some libraries already, whose asserts pytest would else rewrite.
    options = ["-q", "-n0", "-p", "no:cacheprovider", "-W", "ignore:Module already imported"]
    done = run_python(["-m", "pytest", *options, *CHECKS], tmp_path, environment)
    assert done.returncode == 0, done.stdout[-3000:]
    listed = run_python(["-m", "litelvlm", "ls", "methods"], tmp_path, environment)
    assert re.search(r"^surprise .*patches unlike the mean patch$", listed.stdout, re.MULTILINE)
