"""`litelvlm evaluate` on a model with a known signal."""

import json
from importlib import import_module

import pytest
from planted import PlantedModel, planted_data

from litelvlm.analysis.api import read_rows
from litelvlm.analysis.cli import main
from litelvlm.analysis.cli.actions import evaluate as evaluate_action
from litelvlm.analysis.studies.sweep.evaluate import score_lines

ROWS = import_module("litelvlm.analysis.studies.sweep.prepare")


def split(n):
    data = planted_data(n)
    data.count_note = "planted val has no published size"
    return data


@pytest.fixture(autouse=True)
def planted(monkeypatch):
    monkeypatch.setattr(
        "litelvlm.analysis.runs.origin.determinism.make_deterministic", lambda seed: None
    )
    monkeypatch.setattr(evaluate_action, "model_of", lambda verb: PlantedModel("instance"))
    monkeypatch.setattr(evaluate_action, "data_of", lambda verb: split(4))


def evaluate(capsys, out, *options):
    assert main(["evaluate", "--budgets", "2", "--out", str(out), *options]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize(
    ("protocol", "draws"), [("single", ["0"]), ("official", ["0", "1", "mean"])]
)
def test_scores_of_the_unpruned_model_and_a_method(capsys, tmp_path, protocol, draws):
    found = json.loads(evaluate(capsys, tmp_path, "--protocol", protocol, "--seeds", "2", "--json"))
    assert found["state"] == "done"
    assert found["protocol"] == protocol
    assert [(s["method"], s["budget"], s["draw"]) for s in found["scores"]] == [
        (method, budget, draw)
        for method, budget in (("none", 144), ("litelvlm", 2))
        for draw in draws
    ]
    names = "n ciou giou ciou_exact giou_exact p50 p60 p70 p80 p90"
    assert all(set(names.split()) <= set(score) for score in found["scores"])
    lines = score_lines(read_rows(found["run"]))
    assert [score["ciou"] for score in found["scores"]] == pytest.approx(
        lines["ciou"].tolist(), abs=1e-9
    )
    # The planted model predicts exactly the kept patches of its object; two tokens are fewer than
    # it has.
    assert lines.groupby("method")["ciou_exact"].max()["litelvlm"] < 1.0
    assert lines.groupby("method")["ciou_exact"].min()["none"] == 1.0


def test_what_no_method_can_keep_to_is_named_or_refused(capsys, tmp_path, monkeypatch):
    model = PlantedModel("instance")
    model.n_layers = 4
    monkeypatch.setattr(evaluate_action, "model_of", lambda verb: model)
    asked = ("--methods", "fastv", "litelvlm")
    told = evaluate(capsys, tmp_path, *asked)
    assert "left out: fastv@2: fastv cannot average 2 of 144" in told
    found = json.loads(evaluate(capsys, tmp_path, *asked, "--json"))
    (entry,) = found["left_out"]
    assert (entry["method"], entry["budget"]) == ("fastv", 2)
    assert entry["reason"].startswith("fastv cannot average 2 of 144")
    alone = ["evaluate", "--methods", "fastv", "--budgets", "2", "--out", str(tmp_path / "new")]
    assert main(alone) == 2
    assert "no method can keep to a budget: fastv at 2: fastv cannot" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


def test_a_second_call_computes_only_what_is_missing(capsys, tmp_path, monkeypatch):
    seen, compute = [], ROWS.image_rows
    monkeypatch.setattr(
        ROWS,
        "image_rows",
        lambda context, loaded: seen.append(1) or compute(context, loaded),
    )
    # 20 images are two parts, of 16 and of 4.
    monkeypatch.setattr(evaluate_action, "data_of", lambda verb: split(20))
    assert "parts are missing" in evaluate(capsys, tmp_path, "--shard", "1/2")
    assert len(seen) == 16
    first = evaluate(capsys, tmp_path)
    assert len(seen) == 20
    assert evaluate(capsys, tmp_path) == first
    assert len(seen) == 20


def test_samples_that_fail_are_named_and_counted(capsys, tmp_path, monkeypatch):
    compute = ROWS.image_rows

    def broken(context, loaded):
        if loaded.sample.image_id == data[1].image_id:
            raise ValueError("its picture is cut off")
        return compute(context, loaded)

    data = split(3)
    monkeypatch.setattr(evaluate_action, "data_of", lambda verb: data)
    monkeypatch.setattr(ROWS, "image_rows", broken)
    assert main(["evaluate", "--budgets", "2", "--out", str(tmp_path)]) == 1
    out = capsys.readouterr().out
    assert "4 of 6 expressions done, 2 failed: failed\n" in out
    assert "failed: image 1 (id 2): ValueError: its picture is cut off" in out


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--empty-below", "0"], "--empty-below 0 is below 1"),
        (["--methods", "litelvm"], "did you mean 'litelvlm'"),
        (["--protocol", "official", "--answer-index", "2"], "draws its templates"),
        (["--question-index", "16"], "question_index"),
        (["--budgets", "0"], "budget 0"),
        (["--shard", "3/2"], "3/2"),
    ],
)
def test_what_is_refused(capsys, tmp_path, options, reason):
    assert main(["evaluate", "--out", str(tmp_path), *options]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert reason in captured.err
