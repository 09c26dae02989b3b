"""The GPU programme runs whole at miniature size on a processor, and goes on where it stopped."""

import json
import sys

import numpy as np
import pytest

from benchmarks.gpu import runner
from benchmarks.gpu.__main__ import main
from benchmarks.gpu.checks import judged
from benchmarks.gpu.parts import PARTS, Part
from benchmarks.gpu.runner import run_part
from tests.warm import Command


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.name)
def test_each_part_runs_at_miniature_size(part, tmp_path, monkeypatch):
    if part.name != "checks":  # one in a process that begins from nothing is enough
        monkeypatch.setattr(runner, "Popen", Command)
    state = run_part(part, tmp_path, tiny=True)
    record = json.loads((tmp_path / part.name / "part.json").read_text())
    assert state == "done", record["tail"]
    assert record["exit"] == 0
    assert str(tmp_path) not in " ".join(record["command"])
    assert run_part(part, tmp_path, tiny=True) == "kept"


def part_of(command, **options):
    return Part("small", "Does it run?", command, command, **options)


def test_a_failed_part_says_why_and_runs_again(tmp_path):
    fails = part_of("-c 'raise SystemExit(\"no such weights\")'")
    assert run_part(fails, tmp_path) == "failed"
    record = json.loads((tmp_path / "small" / "part.json").read_text())
    assert record["exit"] == 1
    assert "no such weights" in record["tail"]
    assert run_part(fails, tmp_path) == "failed"


def test_a_part_ends_at_its_time_limit(tmp_path):
    slow = part_of("-c 'import time; print(\"begun\", flush=True); time.sleep(600)'", minutes=0.05)
    assert run_part(slow, tmp_path) == "stopped"
    record = json.loads((tmp_path / "small" / "part.json").read_text())
    assert record["state"] == "stopped"
    assert "begun" in record["tail"]


def test_another_command_is_no_stored_answer(tmp_path):
    assert run_part(part_of("-c 'print(1)'"), tmp_path) == "done"
    assert run_part(part_of("-c 'print(1)'"), tmp_path) == "kept"
    assert run_part(part_of("-c 'print(2)'"), tmp_path) == "done"
    assert run_part(part_of("-c 'print(2)'"), tmp_path, again=True) == "done"


def test_without_a_gpu_the_full_size_is_refused(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr("benchmarks.gpu.__main__.clocks", list)
    monkeypatch.setattr(sys, "argv", ["gpu", "--out", str(tmp_path)])
    with pytest.raises(SystemExit):
        main()
    assert "--tiny" in capsys.readouterr().err


def test_the_check_of_methods_fails_where_a_device_is_wrong():
    def judge(cpu, first, second):
        return judged([[(kept, np.array(logits)) for kept, logits in (cpu, first, second)]])

    plain = ([[1, 2]], [0.5, -1.0])
    assert judge(plain, plain, plain) == {
        "images": 1,
        "same_tokens": 1,
        "same_twice": 1,
        "largest_logit_difference": 0.0,
    }
    assert judge(plain, plain, ([[1, 3]], [0.5, -1.0]))["failed"] == "two runs differ"
    assert judge(plain, plain, ([[1, 2]], [0.5, -1.1]))["failed"] == "two runs differ"
    far = ([[1, 2]], [0.5, -1.5])
    assert judge(plain, far, far)["failed"] == "logits differ by 0.5"
    lost = ([[1, 2]], [0.5, float("nan")])
    assert "logits differ by nan" in judge(plain, lost, lost)["failed"]
    other = ([[1, 3]], [0.5, -9.0])
    found = judge(plain, other, other)
    assert (found["same_tokens"], found["largest_logit_difference"]) == (0, None)
    assert "failed" not in found
