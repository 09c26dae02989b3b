"""A run's key names the code that makes its rows.

No more, so that runs last, and no less, so that none is stale.
"""

import ast
import os
import shutil
from contextlib import contextmanager
from pathlib import Path

import pytest

import litelvlm
from litelvlm.analysis.runs.engine import code_of, with_parts
from litelvlm.analysis.runs.origin.code import CodeTree
from litelvlm.analysis.studies import BENCH, STUDIES
from litelvlm.analysis.studies.table import get_study
from litelvlm.data.refer import ReferDataset
from litelvlm.models.glamm.model import Glamm
from litelvlm.pruning import get_pruner

PACKAGE = Path(litelvlm.__file__).parent
UNRELATED = (
    "litelvlm.analysis.pages.report.page",
    "litelvlm.analysis.runs.claims",
    "litelvlm.analysis.runs.folder",
    "litelvlm.figures.style",
    "litelvlm.pruning.methods.scope",
    "litelvlm.pruning.registry",
)


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """The project's code, to be changed."""
    root = tmp_path_factory.mktemp("code") / "litelvlm"
    shutil.copytree(PACKAGE, root, ignore=shutil.ignore_patterns("weights", "rendered", "*.pyc"))
    return CodeTree(root)


def makers_of(name):
    return (get_study(name).prepare, *map(type, with_parts([get_pruner("litelvlm")])))


def key(tree, name):
    return code_of(makers_of(name), (Glamm, ReferDataset), tree)


def modules_of(tree, name):
    makers, families = makers_of(name), (Glamm, ReferDataset)
    roots = {maker.__module__ for maker in (*makers, *families)}
    return tree.closure(
        roots | {m for family in families for m in tree.neighbours(family.__module__)}
    )


def with_another_constant(source):
    """The source with its first number, word or truth value changed.

    If it has none, one is added.
    """
    tree = ast.parse(source)
    documented = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and id(node) not in documented:
            if isinstance(node.value, bool):
                node.value = not node.value
            elif isinstance(node.value, int | float):
                node.value += 1
            elif isinstance(node.value, str):
                node.value += "?"
            else:
                continue
            return ast.unparse(tree)
    return source + "\nADDED = 1\n"


@pytest.fixture
def change(copy):
    """Write another text into a module's file for the length of a test, or of a "with"."""
    before = {}

    def write(module, text):
        path = copy.file(module)
        before.setdefault(path, (path.read_text(), path.stat()))
        path.write_text(text(before[path][0]))
        copy._read.pop(module, None)

    @contextmanager
    def for_now(module, text):
        read = copy._source(module)
        write(module, text)
        yield
        put_back(copy.file(module))
        copy._read[module] = read

    def put_back(path):
        text, status = before.pop(path)
        path.write_text(text)
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))

    write.for_now = for_now
    yield write
    for path in list(before):
        put_back(path)
    copy._read.clear()


def test_a_changed_constant_anywhere_in_the_closure_changes_the_key(copy, change):
    names = [*STUDIES, BENCH]
    before, closures = ({name: f(copy, name) for name in names} for f in (key, modules_of))
    # A key is one digest over the closure: a module that changes it for one study does for all.
    assert before == {name: copy.digest(closures[name]) for name in names}
    blind = []
    for number, module in enumerate(sorted(frozenset.union(*closures.values()))):
        inside = [name for name in names if module in closures[name]]
        whole = copy.digest([module])
        with change.for_now(module, with_another_constant):
            name = inside[number % len(inside)]
            if copy.digest([module]) == whole or key(copy, name) == before[name]:
                blind.append((name, module))
    assert blind == []
    assert {name: key(copy, name) for name in names} == before


@pytest.mark.parametrize("name", [*STUDIES, BENCH])
def test_comments_docstrings_and_unrelated_modules_leave_the_key_alone(copy, change, name):
    before, closure = key(copy, name), modules_of(copy, name)
    for module in sorted(closure):
        change(module, lambda text: text + "\n# a comment\n")
    for module in set(UNRELATED) - closure:
        change(module, with_another_constant)
    assert key(copy, name) == before


def test_a_new_method_that_no_run_uses_leaves_every_key_alone(copy, change):
    before = {name: key(copy, name) for name in STUDIES}
    new = copy.root / "pruning" / "methods" / "brand_new.py"
    new.write_text("SCORE = 1\n")
    change("litelvlm.pruning.registry", lambda text: text + "\nNEW = 'brand_new'\n")
    assert {name: key(copy, name) for name in STUDIES} == before
    new.unlink()


def test_another_method_is_another_key(copy):
    families, prepare = (Glamm, ReferDataset), get_study("sweep").prepare
    keys = {
        code_of((prepare, *map(type, with_parts([get_pruner(*names)]))), families, copy)
        for names in (("litelvlm",), ("scope",), ("divprune",))
    }
    assert len(keys) == 3


@pytest.mark.parametrize(
    ("name", "module"),
    [
        ("sweep", "litelvlm.analysis.inputs.labels"),
        ("importance", "litelvlm.analysis.inputs.labels"),
        ("faithfulness", "litelvlm.analysis.inputs.labels"),
        ("sweep", "litelvlm.data.annotations"),
        ("sweep", "litelvlm.models.glamm.build"),
        ("sweep", "litelvlm.pruning.methods.litelvlm"),
        ("importance", "litelvlm.analysis.signals.gradients"),
    ],
)
def test_what_can_change_rows_is_in_the_closure(copy, name, module):
    assert module in modules_of(copy, name)


def test_claims_and_tables_are_not_in_the_closure(copy):
    for name in (*STUDIES, BENCH):
        late = [m for m in modules_of(copy, name) if m.endswith((".claims", ".tables"))]
        # Tables of a data set make rows; those of a study are made of rows.
        assert set(late) <= {"litelvlm.data.tables"}, name


def test_a_module_that_is_not_there_is_refused(copy):
    with pytest.raises(ValueError, match="cannot be found"):
        copy.closure(["litelvlm.nothing"])


def test_a_name_that_a_package_passes_on_leads_to_its_home(copy):
    assert copy.home("litelvlm.pruning", "get_pruner") == "litelvlm.pruning.registry"
    assert copy.home("litelvlm.pruning", "Selection") == "litelvlm.pruning.selection"
