"""Studies, scores and figures from Python."""

from dataclasses import dataclass
from typing import ClassVar

import pandas as pd
import pytest
import torch
from matplotlib.figure import Figure
from planted import PlantedModel, planted_data

from litelvlm import get_pruner
from litelvlm.analysis.api import SavedRun, evaluate, run_study
from litelvlm.analysis.inputs.methods import Method
from litelvlm.analysis.studies import sweep
from litelvlm.figures.files import draw_figure
from litelvlm.pruning import ScorePruner

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


def test_figures_are_drawn_from_a_run_or_its_folder(saved_runs):
    figure = draw_figure("reversal_index", SavedRun(saved_runs["reversal"]))
    assert isinstance(figure, Figure)
    assert "referent" in figure.axes[0].get_title("left")
    assert isinstance(draw_figure("reversal_index", saved_runs["reversal"]), Figure)
    with pytest.raises(ValueError, match=r"its figures: .*sink"):
        draw_figure("reversal_index", saved_runs["sink"])
    with pytest.raises(ValueError, match="unknown figure"):
        draw_figure("reversal", saved_runs["sink"])
