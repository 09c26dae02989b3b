"""A method of your own: in a configuration, on the command line, in the key of a run."""

from pathlib import Path

import pytest
from planted import PlantedModel, planted_data
from test_pruner_plugins import METHOD as OF_CLS

from litelvlm.analysis.api import SavedRun, run_study
from litelvlm.analysis.runs.engine import code_of, prepare
from litelvlm.analysis.studies import sweep
from litelvlm.pruning import get_pruner, load_plugin, registry
from litelvlm.pruning.plugins import methods_in
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


def test_a_module_beside_the_plugin_counts_too(plugin, monkeypatch):
    monkeypatch.syspath_prepend(plugin.parent)
    helper = plugin.with_name("my_helper_of_test.py")
    helper.write_text("STRENGTH = 1\n")
    text = METHOD.replace(
        "from litelvlm.pruning import",
        "from my_helper_of_test import STRENGTH\nfrom litelvlm.pruning import",
    )
    before = key_of(plugin, text, "uses_helper.py")
    helper.write_text("STRENGTH = 2\n")
    assert key_of(plugin, text, "uses_helper.py") != before


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
