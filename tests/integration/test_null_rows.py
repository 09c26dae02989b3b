"""What must be nothing is nothing, with trained and with random weights.

Both are the miniature: as trained, and the same model with random weights.
"""

import pytest

from litelvlm import load_model
from litelvlm.analysis.api import complete_run, read_rows, read_summary
from litelvlm.analysis.inputs.subset import EvenSubset
from litelvlm.analysis.studies import reversal, sink


@pytest.fixture(scope="module")
def part(data):
    return EvenSubset(data, images=40, expressions=2)


@pytest.fixture(scope="module", params=["trained", "random"])
def weights(request):
    return request.param


@pytest.fixture(scope="module")
def studied(weights, model):
    return model if weights == "trained" else load_model("embedded", device="cpu", random_init=True)


@pytest.fixture(scope="module")
def claims(weights, studied, part, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs")
    # Random weights need no other random weights beside them.
    config = reversal.Config(
        shifts=60, blobs=5, random_seeds=4 if weights == "trained" else 0, pool=128
    )
    ranked = complete_run(reversal.STUDY, studied, part, config, out)
    read = complete_run(sink.STUDY, studied, part, sink.Config(random_seeds=1), out)
    found = {claim.id: claim for run in (ranked, read) for claim in read_summary(run).claims}
    return found, read_rows(ranked)


def test_places_random_weights_and_word_order_say_nothing(claims, weights):
    found, _ = claims
    assert {found[name].verdict for name in ("N4", "H4.null", "H4.order")} == {"supported"}
    if weights == "trained":
        assert found["N8"].verdict != "not supported"
        assert abs(found["N8"].estimate) < 0.05


def test_random_blobs_have_no_more_than_the_place_gives(claims):
    _, rows = claims
    ri = (
        rows[(rows["labels"] == "primary") & (rows["clip_model"] == "")]
        .groupby("control")["ri"]
        .mean()
    )
    assert abs(ri["random_blobs"]) < 0.1
    assert abs(ri["moved_mask"]) < 0.01


def test_without_training_the_text_changes_nothing(claims, weights):
    found, _ = claims
    if weights == "random":
        assert not {found[name].verdict for name in ("H2", "H3", "H4")} & {"supported"}
        assert abs(found["H2"].estimate) < 0.05
    else:
        assert found["H4"].verdict == "not supported"
