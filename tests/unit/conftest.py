"""The unit tier holds no model and makes no connection."""

import json
import os

import pytest
import pytest_socket
from filelock import FileLock
from planted import PlantedModel, planted_data
from planted_importance import planted_faithfulness, planted_importance

from litelvlm.analysis.api import complete_run
from litelvlm.analysis.cli.actions.report import write_report
from litelvlm.analysis.studies import ablations, reversal, sink, sweep
from tests.figure_files import coarse, quick

ABLATIONS = ablations.Config(
    requests=("worst_first", "falsify", "protocol"),
    budgets=(48, 8),
    random_seeds=2,
    official_seeds=2,
    pool=16,
)


@pytest.fixture(autouse=True)
def _no_network():
    pytest_socket.disable_socket(allow_unix_socket=True)
    yield
    pytest_socket.enable_socket()


@pytest.fixture
def coarse_figures(monkeypatch):
    """Figures become coarse PNG files alone, for tests that ask which of them can be drawn."""
    coarse(monkeypatch, 20, "png")


def made_once(factory, name, make):
    """A folder that all test processes share, filled by ``make(folder)`` in the first of them."""
    root = factory.getbasetemp()
    folder = (root.parent if "PYTEST_XDIST_WORKER" in os.environ else root) / name
    with FileLock(f"{folder}.lock"):
        if not (folder / "made").exists():
            make(folder)
            (folder / "made").touch()
    return folder


@pytest.fixture(scope="session")
def saved_runs(tmp_path_factory):
    """One small finished run of every study, of a model with a known signal; read-only."""
    folder = made_once(tmp_path_factory, "saved", save_runs)
    return {
        study: folder / name for study, name in json.loads((folder / "names").read_text()).items()
    }


@pytest.fixture(scope="session")
def report(saved_runs, tmp_path_factory):
    """``index.html`` of a report of ``saved_runs``, with figures as by ``quick``; read-only."""
    runs = list(saved_runs.values())

    def make(folder):
        with quick():
            write_report(runs, folder)

    return made_once(tmp_path_factory, "report", make) / "index.html"


def save_runs(out):
    """Make the runs, and write their folders' names by study."""
    model, data = PlantedModel("instance", noise=0.3, pull=0.4), planted_data(8)
    pairs = planted_data(8, categories=2)
    config = reversal.Config(shifts=20, blobs=3, pool=16, donors=3)
    reversed_run = complete_run(reversal.STUDY, model, pairs, config, out)
    reversal.STUDY.pictures(model, pairs, reversed_run, config)
    runs = {
        "reversal": reversed_run,
        "sink": complete_run(sink.STUDY, model, data, sink.Config(random_seeds=0), out),
        "importance": planted_importance(out, n_images=8),
        "faithfulness": planted_faithfulness(out, n_images=8),
        "ablations": complete_run(ablations.STUDY, model, data, ABLATIONS, out),
        "sweep": complete_run(
            sweep.STUDY, model, data, sweep.Config(seeds=2, budgets=(48, 8)), out
        ),
    }
    names = {study: str(run.relative_to(out)) for study, run in runs.items()}
    (out / "names").write_text(json.dumps(names))
