"""The fine-tuning study on the bundled miniature: trained once, then read."""

import pandas as pd
import pytest

from litelvlm import load_model, load_refer
from litelvlm.analysis.api import complete_run, read_record, read_rows
from litelvlm.analysis.inputs.subset import EvenSubset
from litelvlm.analysis.studies import finetuning, sweep
from litelvlm.training.finetune import train
from tests.small_studies import SMALL


@pytest.fixture(scope="module")
def model():
    return load_model("embedded", device="cpu")


@pytest.fixture(scope="module")
def data():
    return load_refer("embedded", split="val")


def test_every_model_is_trained_once_and_evaluated_as_a_sweep(model, data, tmp_path, monkeypatch):
    given = SMALL["finetuning"] | {"trainings": tmp_path / "tuned", "trained_seeds": 1}
    config = finetuning.Config(**given)
    run = complete_run(finetuning.STUDY, model, data, config, tmp_path / "runs")
    assert read_record(run).counts.failed == 0
    rows = read_rows(run)
    assert list(rows["tuned_with"].unique()) == ["untuned", "none", "litelvlm", "uniform"]
    assert (rows.groupby(["tuned_with", "sent_id"]).size() == 1 + 2 * 2).all()
    swept = sweep.Config(methods=config.methods, budgets=config.budgets, seeds=config.draws)
    same = EvenSubset(data, config.images, config.expressions)
    plain = read_rows(complete_run(sweep.STUDY, model, same, swept, tmp_path))
    keys = ["sent_id", "method", "budget"]
    before = rows[rows["tuned_with"] == "untuned"].sort_values(keys, ignore_index=True)
    plain = plain.sort_values(keys, ignore_index=True)
    pd.testing.assert_frame_equal(before[plain.columns], plain)

    def refuse(*_, **__):
        raise AssertionError("a finished training was trained again")

    monkeypatch.setattr(train, "run_stage", refuse)
    changed = config.model_copy(update={"images": 1})
    assert read_record(
        complete_run(finetuning.STUDY, model, data, changed, tmp_path / "runs")
    ).complete
    other = config.model_copy(update={"lr": 1e-3})
    with pytest.raises(ValueError, match="another recipe"):
        complete_run(finetuning.STUDY, model, data, other, tmp_path / "runs")
