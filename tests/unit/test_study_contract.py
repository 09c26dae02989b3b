"""Every study has the same files with the same functions, and its margins in its configuration."""

import ast
from importlib import import_module
from inspect import Parameter, signature
from pathlib import Path

import pytest

from litelvlm.analysis import studies
from litelvlm.analysis.studies.table import get_study

ROOM = Path(studies.__file__).parent
FUNCTIONS = {
    "prepare": ("prepare", "prepare", ("model", "data", "config")),
    "tables": ("tables", "make_tables", ("rows", "config")),
    "claims": ("claims", "make_claims", ("rows", "config")),
    "interpret": ("claims", "interpret", ("claims", "tables")),
}
"""For each field of a ``Study``: the module that defines it, its name there and its arguments."""
every_study = pytest.mark.parametrize("name", studies.EVERY_STUDY)


@every_study
def test_a_study_is_made_of_the_same_files_and_functions(name):
    study, package = get_study(name), f"{studies.__name__}.{name}"
    for field, (module, function, arguments) in FUNCTIONS.items():
        found = getattr(study, field)
        assert found is getattr(import_module(f"{package}.{module}"), function), field
        assert found.__module__.startswith(f"{package}.{module}"), f"{field} is defined elsewhere"
        parameters = signature(found).parameters
        assert tuple(parameters) == arguments, f"{field}{signature(found)}"
        assert all(one.default is Parameter.empty for one in parameters.values()), field
    assert study.Config is import_module(f"{package}.config").Config
    assert study.Config.__module__ == f"{package}.config"
    assert study.columns is import_module(f"{package}.rows").COLUMNS
    assert study.name == name
    assert study.question.endswith("?")


@every_study
def test_the_object_of_a_study_has_no_adapters(name):
    tree = ast.parse((ROOM / name / "__init__.py").read_text(encoding="utf-8"))
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.Lambda | ast.FunctionDef)]


@every_study
def test_margins_of_claims_stand_in_the_configuration_alone(name):
    found = import_module(f"{studies.__name__}.{name}.claims")
    files = [Path(found.__file__)]
    if files[0].name == "__init__.py":
        files = sorted(files[0].parent.glob("*.py"))
    for file in files:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, float):
                assert node.value in (0.0, 1.0), f"{file.name}, line {node.lineno}: {node.value}"
