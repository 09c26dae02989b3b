"""A method of your own: in a configuration, on the command line, in the key of a run."""

import sys
from pathlib import Path

import pytest
from planted import PlantedModel, planted_data
from test_pruner_plugins import METHOD as OF_CLS

from litelvlm.analysis.api import SavedRun, run_study
from litelvlm.analysis.runs.engine import code_of, prepare
from litelvlm.analysis.studies import sweep
from litelvlm.pruning import get_pruner, load_plugin, registry
from litelvlm.pruning.outside.plugins import methods_in
from tests.warm import run_python

ROOT = Path(__file__).parents[2]
METHOD = OF_CLS.replace('"cls_attention"', '"patch_embeds"').replace(
    ".cumsum(0)", "[:, 0].cumsum(0)"
)


@pytest.fixture(autouse=True)
def clean_table(monkeypatch):
    """A table without methods of other tests."""
    monkeypatch.setattr(registry, "_REGISTERED", {})


@pytest.fixture
def plugin(tmp_path):
    path = tmp_path / "my_method.py"
    path.write_text(METHOD)
    return path


def key_of(path, text, name):
    """Key of the code of a method whose file holds this text."""
    path = path.with_name(name)
    path.write_text(text)
    (cls,) = methods_in(path)
    return code_of((sweep.STUDY.prepare, cls), ())


def test_a_configuration_takes_objects_beside_names(plugin, tmp_path):
    (cls,) = load_plugin(plugin)
    config = sweep.Config(methods=("uniform", cls(), cls(sign=-1)), budgets=(48,), seeds=1)
    labels = ["uniform", "last_tokens", "last_tokens(sign=-1)"]
    assert [method.label for method in config.methods] == labels
    assert sweep.Config(methods=labels, budgets=(48,), seeds=1) == config
    options = {"methods": ("uniform", cls()), "budgets": (48,), "seeds": 1}
    run = run_study("sweep", PlantedModel(), planted_data(2), tmp_path / "runs", **options)
    assert set(run.rows["method"]) == {"none", "uniform", "last_tokens"}
    assert isinstance(run, SavedRun)


def test_a_changed_plugin_is_another_run_and_the_same_one_goes_on(plugin):
    same = key_of(plugin, METHOD, "a.py")
    assert key_of(plugin, METHOD, "b.py") == same
    assert key_of(plugin, METHOD.replace("sign: int = 1", "sign: int = 2"), "c.py") != same
    assert key_of(plugin, METHOD.replace("cumsum(0)", "cumsum(0) + 1"), "d.py") != same


def test_the_key_of_a_run_holds_the_plugin(plugin):
    (cls,) = load_plugin(plugin)
    model, data = PlantedModel(), planted_data(2)

    def key(*methods):
        config = sweep.Config(methods=methods, budgets=(48,), seeds=1)
        return prepare(sweep.STUDY, model, data, config).key.code

    assert key("uniform", cls()) != key("uniform")
    assert key("uniform", get_pruner("reverse", of="last_tokens")) != key("uniform")


@pytest.mark.parametrize("name", ["my_helper_of_test", "my_folder_of_test.inside"])
def test_a_module_beside_or_below_the_plugin_counts_too(plugin, monkeypatch, name):
    monkeypatch.syspath_prepend(plugin.parent)
    helper = plugin.parent.joinpath(*name.split(".")).with_suffix(".py")
    helper.parent.mkdir(exist_ok=True)
    text = METHOD.replace(
        "from litelvlm.pruning import",
        f"from {name} import STRENGTH\nfrom litelvlm.pruning import",
    )
    keys = []
    for strength in (1, 2):
        helper.write_text(f"STRENGTH = {strength}\n")
        keys.append(key_of(plugin, text, f"with_{strength}.py"))
        monkeypatch.delitem(sys.modules, name)
    assert keys[0] != keys[1]


def test_files_that_a_method_reads_count_and_must_exist(plugin):
    text = METHOD.replace("    sign: int", '    files: ClassVar = ("weights.bin",)\n    sign: int')
    weights = plugin.with_name("weights.bin")
    with pytest.raises(FileNotFoundError, match=r"weights\.bin, named in files of .*Last"):
        key_of(plugin, text, "without.py")
    weights.write_bytes(b"1")
    first = key_of(plugin, text, "first.py")
    weights.write_bytes(b"2")
    assert key_of(plugin, text, "second.py") != first


@pytest.mark.parametrize("changed", ["my_method.py", "weights.bin"])
def test_a_file_that_changed_after_its_method_was_loaded_is_refused(plugin, changed):
    text = METHOD.replace("    sign: int", '    files: ClassVar = ("weights.bin",)\n    sign: int')
    plugin.write_text(text)
    plugin.with_name("weights.bin").write_bytes(b"1")
    (cls,) = methods_in(plugin)
    assert code_of((cls,), ()) == code_of((cls,), ())
    with plugin.with_name(changed).open("a") as stream:
        stream.write("# more\n")
    for asked in (lambda: code_of((cls,), ()), lambda: load_plugin(plugin)):
        with pytest.raises(ValueError, match=f"{changed} changed after Last was loaded.* anew"):
            asked()


WITHOUT_A_FILE = """
import sys
from litelvlm.analysis.runs.engine import code_of
from litelvlm.analysis.studies import sweep
text = sys.argv[1]
exec(compile(text, "<cell>", "exec"))
print(code_of((sweep.STUDY.prepare, Last), ()))
"""


def code_without_a_file(text):
    """The key of a class that was typed into an interactive session."""
    done = run_python(["-c", WITHOUT_A_FILE, text])
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_class_of_a_notebook_counts_by_what_it_does():
    same = code_without_a_file(METHOD)
    assert code_without_a_file(METHOD.replace("Keeps the last", "Keeps the final")) == same
    assert code_without_a_file(METHOD.replace("self.sign *", "2 * self.sign *")) != same
    assert code_without_a_file(METHOD.replace('"patch_embeds"})', '"query"})')) != same


NAMED = {
    "a function": ("def twice(x):\n    return {} * x\n", "2", "3"),
    "a number": ("STRENGTH = {}\ndef twice(x):\n    return STRENGTH * x\n", "2", "3"),
    "a tensor": ("W = torch.tensor([{}])\ndef twice(x):\n    return W * x\n", "2.0", "2.5"),
    "a network": (
        "torch.manual_seed({})\nNET = torch.nn.Linear(1, 1)\ndef twice(x):\n    return NET(x)\n",
        "1",
        "2",
    ),
    "a table": ("T = {{'a': [lambda x: {} * x]}}\ndef twice(x):\n    return T['a'](x)\n", "2", "3"),
    "a default": ("def twice(x, by={}):\n    return by * x\n", "2", "3"),
    "a closure": (
        "def make(by):\n    return lambda x: by * x\ntwice = make({})\n",
        "2",
        "3",
    ),
}


@pytest.mark.parametrize(("cell", "one", "other"), NAMED.values(), ids=NAMED)
def test_what_a_class_of_a_notebook_names_counts_too(cell, one, other):
    text = METHOD.replace("@dataclass", "import torch\nCELL\n@dataclass", 1)
    text = text.replace("self.sign *", "self.sign * twice(1) *")
    first, again, changed = (
        code_without_a_file(text.replace("CELL", cell.format(value))) for value in (one, one, other)
    )
    assert first == again != changed


def test_a_name_of_a_notebook_that_is_an_attribute_in_the_class_does_not_count():
    one, other = (METHOD.replace("@dataclass", f"cumsum = {n}\n\n\n@dataclass", 1) for n in (1, 2))
    assert ".cumsum(" in METHOD
    assert code_without_a_file(one) == code_without_a_file(other)


def test_a_base_class_of_a_notebook_counts_too():
    text = METHOD.replace(
        "@dataclass", "class Base(ScorePruner):\n    strength = 1\n\n\n@dataclass", 1
    ).replace("Last(ScorePruner)", "Last(Base)")
    other = text.replace("strength = 1", "strength = 2")
    assert code_without_a_file(text) != code_without_a_file(other)
