"""The GPU programme runs on a processor at miniature size, part by part."""

import json
import sys

import pytest
from safetensors.torch import save_file
from torch import ones

from benchmarks import gpu

RIGHT = {
    "parity": lambda found: found["differences"]["glamm: pred_masks"]["largest"] < 1e-4,
    "full-size": lambda found: [b["seconds"]["llm"]["runs"] for b in found["budgets"]] == [1, 1],
    "official-order": lambda found: (
        max(found["largest_difference_of_mask_logits"].values()) < 1e-3
        and all(times["runs"] == 1 for times in found["milliseconds"].values())
    ),
    "selectors": lambda found: (
        set(found["milliseconds"]["cpu"]["selectors"]) == {"litelvlm", "divprune"}
    ),
    "sweep": lambda found: found["pixel_counts_that_differ"] == 0 < found["pixel_counts"],
}


@pytest.mark.parametrize("name", gpu.PARTS)
def test_a_part_stores_its_numbers_with_their_origin(name, tmp_path):
    gpu.run_part(name, True, tmp_path)
    found = json.loads((tmp_path / f"{name}.json").read_text())
    assert {"command", "commit", "machine", "question"} < set(found)
    assert found["tiny"]
    assert RIGHT[name](found)


def test_other_answers_than_the_official_code_gave_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(gpu, "differences", lambda ours, recorded: {"pred_masks": 1.0})
    with pytest.raises(ValueError, match="not what the official code was recorded to answer"):
        gpu.run_part("parity", True, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_tensor_is_infinitely_far(tmp_path):
    save_file({"a.pred_masks": ones(2), "a.other": ones(2)}, tmp_path / "recorded")
    save_file({"a.pred_masks": ones(3)}, tmp_path / "ours")
    assert gpu.differences(tmp_path / "ours", tmp_path / "recorded") == {"pred_masks": float("inf")}
    save_file({"a.pred_masks": ones(2) * 1.5}, tmp_path / "ours")
    assert gpu.differences(tmp_path / "ours", tmp_path / "recorded") == {"pred_masks": 0.5}


def commanded(monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", ["gpu.py", *words])
    return gpu.main()


def test_the_programme_goes_on_behind_what_is_there_and_says_what_failed(
    tmp_path, monkeypatch, capsys
):
    (tmp_path / "sweep.json").write_text("{}")
    monkeypatch.setattr(gpu, "MINUTES", 0.0)
    words = ["--tiny", "--out", str(tmp_path), "--parts", "sweep", "parity"]
    assert commanded(monkeypatch, *words) == 1
    said = capsys.readouterr().out
    assert "sweep: there already" in said
    assert "parity: failed: not done after 0 minutes" in said
    assert (tmp_path / "sweep.json").read_text() == "{}"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--tiny"], "--out FOLDER"),
        ([], "torch finds no GPU"),
        (["--parts", "nothing"], "invalid choice: 'nothing'"),
    ],
)
def test_what_cannot_run_is_refused(words, message, monkeypatch, capsys):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(SystemExit, match="2"):
        commanded(monkeypatch, *words)
    assert message in capsys.readouterr().err
