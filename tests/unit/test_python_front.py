"""Studies, scores and figures from Python."""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
import torch
from planted import PlantedModel, planted_data

from litelvlm import get_pruner
from litelvlm.analysis.api import SavedRun, evaluate, run_study
from litelvlm.analysis.studies import sweep
from litelvlm.pruning import ScorePruner
from tests.study_inputs import Method
from tests.warm import run_python

FAST = {"budgets": (48, 16), "seeds": 2}


@dataclass(frozen=True, kw_only=True)
class LastTokens(ScorePruner):
    """Keeps the last tokens in raster order."""

    name: ClassVar[str] = "last_tokens_of_test"
    title: ClassVar[str] = "Last tokens"
    summary: ClassVar[str] = "Keeps the last tokens in raster order."

    sign: int = 1

    def score(self, cues):
        return self.sign * torch.arange(144.0)


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    return PlantedModel(), planted_data(8), tmp_path_factory.mktemp("runs")


def test_a_study_runs_by_its_name_and_goes_on_in_its_folder(asked):
    model, data, out = asked
    run = run_study("sink", model, data, out, random_seeds=0)
    assert run.folder.parent == out
    assert run.record.study == "sink"
    assert set(run.claims["id"]) == {claim.id for claim in run.summary.claims}
    assert run.interpretation == run.summary.interpretation
    assert len(run.rows) == run.rows.drop_duplicates().shape[0] > 0
    again = run_study("sink", model, data, out, random_seeds=0)
    assert again.folder == run.folder
    assert again.record.started == run.record.started
    pd.testing.assert_frame_equal(SavedRun(run.folder).rows, run.rows)


def test_a_study_object_runs_like_its_name(asked):
    model, data, out = asked
    options = {"methods": ("uniform",), **FAST}
    by_name = run_study("sweep", model, data, out, **options)
    assert run_study(sweep.STUDY, model, data, out, **options).folder == by_name.folder


def test_an_unknown_study_field_or_value_is_refused_by_name(asked):
    with pytest.raises(ValueError, match="unknown study 'sinks'; did you mean 'sink'"):
        run_study("sinks", *asked)
    with pytest.raises(ValueError, match="unknown field of sink 'limits'; did you mean 'limit'"):
        run_study("sink", *asked, limits=3)
    with pytest.raises(ValueError, match="limit"):
        run_study("sink", *asked, limit=0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m, d, o: evaluate(m, d, "randm", out=o), "did you mean 'random'"),
        (lambda m, d, o: evaluate(m, d, "random", 1.5, out=o), "budgets.0: 1.5 is no budget; give"),
        (lambda m, d, o: run_study("sweep", m, d, o, protocol="offical"), "protocol: Input should"),
        (lambda m, d, o: run_study("sweep", m, d, o, limit="two"), "limit: Input should be"),
    ],
)
def test_a_wrong_argument_is_refused_in_one_line(asked, call, message):
    with pytest.raises(ValueError, match=re.escape(message)) as found:
        call(*asked)
    assert "\n" not in str(found.value)
    assert "pydantic" not in str(found.value)


WRONG_TYPES = """
from planted import PlantedModel, planted_data
from litelvlm import get_pruner
from litelvlm.analysis.api import evaluate, run_study
model, data = PlantedModel(), planted_data(2)
for call in (
    lambda: run_study("sink", "embedded", data),
    lambda: run_study("sink", model, "embedded"),
    lambda: evaluate(model, data, [3]),
    lambda: evaluate(model, data, [type(get_pruner("random"))]),
):
    try:
        call()
    except ValueError as error:
        print(error)
"""


def test_an_argument_of_a_wrong_type_is_refused_with_the_fix(tmp_path):
    # In a process of its own: tests check every annotation, and users do not.
    places = f"{Path(__file__).parents[2]}{os.pathsep}{Path(__file__).parent}"
    done = run_python(["-c", WRONG_TYPES], tmp_path, os.environ | {"PYTHONPATH": places})
    assert done.stdout.splitlines() == [
        "model is 'embedded'; load it first, with litelvlm.load_model(...) or load_vlm(...)",
        "data is 'embedded'; load it first, with litelvlm.load_refer(...)",
        "3 is not a method; give a name or get_pruner(...)",
        "<class 'litelvlm.pruning.methods.random.Random'> is not a method; give a name or "
        "get_pruner(...) (an instance of the class, not the class)",
    ], done.stderr


def test_one_method_and_one_budget_need_no_list(asked):
    model, data, out = asked
    scores = evaluate(model, data, LastTokens(), 48, out, seeds=2)
    assert set(scores["method"]) == {"none", "last_tokens_of_test"}
    assert set(scores["budget"]) == {48, 144}
    for same in (np.int64(48), np.array([48])):
        again = evaluate(model, data, LastTokens(), same, out, seeds=2)
        assert again.attrs == scores.attrs


def test_a_folder_that_is_not_there_is_told_with_those_that_are(asked):
    model, data, out = asked
    run = run_study("sink", model, data, out, random_seeds=0)
    with pytest.raises(FileNotFoundError, match=f"no folder .*typo; runs in .*{run.folder.name}"):
        SavedRun(out / "typo")


def test_a_method_object_of_your_own_is_scored_beside_names(asked):
    model, data, out = asked
    scores = evaluate(model, data, ["uniform", LastTokens(), LastTokens(sign=-1)], out=out, **FAST)
    assert set(scores["method"]) == {
        "none",
        "uniform",
        "last_tokens_of_test",
        "last_tokens_of_test(sign=-1)",
    }
    assert (scores["low"] <= scores["value"]).all()
    assert (scores["value"] <= scores["high"]).all()
    rows = SavedRun(scores.attrs["run"]).rows
    own = rows[(rows["method"] == "last_tokens_of_test") & (rows["budget"] == 48)]
    ciou = scores.set_index(["metric", "method", "budget"])["value"]
    expected = own["inter_px"].sum() / own["union_px"].sum()
    assert ciou["ciou", "last_tokens_of_test", 48] == pytest.approx(expected)
    assert (
        ciou["ciou", "last_tokens_of_test", 48] != ciou["ciou", "last_tokens_of_test(sign=-1)", 48]
    )


@pytest.mark.parametrize(
    ("pruner", "label"),
    [
        (get_pruner("litelvlm"), "litelvlm"),
        (get_pruner("litelvlm", order="raster"), "litelvlm(order=raster)"),
        (get_pruner("reverse", of="value_norm"), "reverse(of=value_norm)"),
    ],
)
def test_a_method_object_and_its_label_build_the_same_method(pruner, label):
    method = Method.of(pruner)
    assert method.label == label
    assert Method.parse(label) == method
    assert method.pruner() == pruner


def test_what_no_label_can_name_is_refused():
    held = get_pruner("reverse", of=get_pruner("low_similarity", similarity="cosine"))
    with pytest.raises(ValueError, match=r"reverse holds low_similarity\(similarity=cosine\)"):
        Method.of(held)
