"""A run's key names the code that makes its rows.

No more, so that runs last, and no less, so that none is stale.
"""

import ast
import os
import shutil
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
from planted import PlantedData, PlantedModel

import litelvlm
from litelvlm.analysis.runs.engine import code_of
from litelvlm.analysis.runs.origin.code import CodeTree
from litelvlm.analysis.studies import ANSWERS, BENCH, STUDIES
from litelvlm.analysis.studies.table import get_study
from litelvlm.data.refer import ReferDataset
from litelvlm.data.understanding.question import QuestionSet
from litelvlm.models.glamm.model import Glamm
from litelvlm.models.vlm.model import ClipVlm, QueriedVlm, Vlm
from litelvlm.pruning import get_pruner
from litelvlm.pruning.outside.own_code import foreign_digests, with_parts

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


class Case(NamedTuple):
    """A study with a model family and a kind of data."""

    study: str
    families: tuple[type, ...]

    def __str__(self):
        return "-".join([self.study, *(family.__name__ for family in self.families)])


def studies_of(model):
    """Studies that a model family has enough for."""
    return [name for name in (*STUDIES, BENCH) if issubclass(model, get_study(name).reads)]


GLAMM = [Case(name, (Glamm, ReferDataset)) for name in (*STUDIES, BENCH)]
"""Every study of the table."""
CASES = [
    *GLAMM,
    *(
        Case(name, (kind, ReferDataset))
        for kind in (QueriedVlm, ClipVlm)
        for name in studies_of(kind)
    ),
    *(Case(name, (PlantedModel, PlantedData)) for name in studies_of(PlantedModel)),
    Case(ANSWERS, (Vlm, QuestionSet)),
]


def makers_of(case):
    return (get_study(case.study).prepare, *map(type, with_parts([get_pruner("litelvlm")])))


def key(tree, case):
    return code_of(makers_of(case), case.families, tree)


def modules_of(tree, case):
    makers = [*makers_of(case), *case.families]
    makers = [maker for maker in makers if tree.file(maker.__module__)]
    families = [family for family in case.families if family in makers]
    roots = {maker.__module__ for maker in makers}
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
    before, closures = ({case: f(copy, case) for case in CASES} for f in (key, modules_of))
    # A key is one digest over the closure: a module that changes it for one case does for all.
    ours = {case: digest.split(";")[0] for case, digest in before.items()}
    assert ours == {case: copy.digest(closures[case]) for case in CASES}
    blind = []
    for number, module in enumerate(sorted(frozenset.union(*closures.values()))):
        inside = [case for case in CASES if module in closures[case]]
        whole = copy.digest([module])
        with change.for_now(module, with_another_constant):
            case = inside[number % len(inside)]
            if copy.digest([module]) == whole or key(copy, case) == before[case]:
                blind.append((str(case), module))
    assert blind == []
    assert {case: key(copy, case) for case in CASES} == before


def test_comments_docstrings_and_unrelated_modules_leave_every_key_alone(copy, change):
    before = {case: key(copy, case) for case in CASES}
    closures = {case: modules_of(copy, case) for case in CASES}
    for module in sorted(frozenset.union(*closures.values())):
        change(module, lambda text: text + "\n# a comment\n")
    assert {case: key(copy, case) for case in CASES} == before
    for module in UNRELATED:
        for case in CASES:
            assert module not in closures[case], case
        change(module, with_another_constant)
    assert {case: key(copy, case) for case in CASES} == before


def test_a_new_method_that_no_run_uses_leaves_every_key_alone(copy, change):
    before = {case: key(copy, case) for case in CASES}
    new = copy.root / "pruning" / "methods" / "brand_new.py"
    new.write_text("SCORE = 1\n")
    change("litelvlm.pruning.registry", lambda text: text + "\nNEW = 'brand_new'\n")
    assert {case: key(copy, case) for case in CASES} == before
    new.unlink()


def test_every_family_has_a_key_of_its_own(copy):
    for name in ("reversal", "sweep", "importance", BENCH):
        same = [case for case in CASES if case.study == name]
        homes = {case.families[0].__module__ for case in same}
        assert len({key(copy, case) for case in same}) == len(homes) > 1


def test_a_model_outside_the_project_counts_by_its_own_file(copy):
    (case,) = [one for one in CASES if one.study == "sink" and PlantedModel in one.families]
    ours, *foreign = key(copy, case).split(";")
    assert foreign == foreign_digests(case.families) != []
    assert ours == copy.digest(modules_of(copy, case))


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
        ("understanding", "litelvlm.analysis.studies.understanding.rows"),
        ("understanding", "litelvlm.data.understanding.question"),
        ("understanding", "litelvlm.metrics.answers"),
        ("understanding", "litelvlm.models.vlm.prompts"),
        ("understanding", "litelvlm.models.vlm.shorten"),
    ],
)
def test_what_can_change_rows_is_in_the_closure(copy, name, module):
    known = {one.study: one for one in reversed(CASES)}  # that of GLaMM, if there are several
    assert module in modules_of(copy, known[name])


def test_claims_and_tables_are_not_in_the_closure(copy):
    for case in CASES:
        late = [m for m in modules_of(copy, case) if m.endswith((".claims", ".tables"))]
        # Tables of a data set make rows; those of a study are made of rows.
        assert set(late) <= {"litelvlm.data.tables"}, case
        assert "litelvlm.analysis.studies.understanding.scores" not in modules_of(copy, case)


def test_a_module_that_is_not_there_is_refused(copy):
    with pytest.raises(ValueError, match="cannot be found"):
        copy.closure(["litelvlm.nothing"])


def test_a_name_that_a_package_passes_on_leads_to_its_home(copy):
    assert copy.home("litelvlm.pruning", "get_pruner") == "litelvlm.pruning.registry"
    assert copy.home("litelvlm.pruning", "Selection") == "litelvlm.pruning.selection"
