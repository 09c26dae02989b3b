"""The unit tier holds no model and makes no connection."""

import pytest
import pytest_socket
from planted import PlantedModel, planted_data
from planted_importance import planted_faithfulness, planted_importance

from litelvlm.analysis.api import complete_run
from litelvlm.analysis.studies import ablations, reversal, sink, sweep

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


@pytest.fixture(scope="session")
def saved_runs(tmp_path_factory):
    """One small finished run of every study, of a model with a known signal; read-only."""
    out, model, data = (
        tmp_path_factory.mktemp("runs"),
        PlantedModel("instance", noise=0.3, pull=0.4),
        planted_data(8),
    )
    pairs = planted_data(8, categories=2)
    config = reversal.Config(shifts=20, blobs=3, pool=16, donors=3)
    reversed_run = complete_run(reversal.STUDY, model, pairs, config, out)
    reversal.STUDY.pictures(model, pairs, reversed_run, config)
    return {
        "reversal": reversed_run,
        "sink": complete_run(sink.STUDY, model, data, sink.Config(random_seeds=0), out),
        "importance": planted_importance(out, n_images=8),
        "faithfulness": planted_faithfulness(out, n_images=8),
        "ablations": complete_run(ablations.STUDY, model, data, ABLATIONS, out),
        "sweep": complete_run(
            sweep.STUDY, model, data, sweep.Config(seeds=2, budgets=(48, 8)), out
        ),
    }
