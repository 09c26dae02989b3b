"""`litelvlm reproduce` in shares and with workers: the rows of one process, and what is missing."""

import pandas as pd
import pytest

from litelvlm.analysis.api import read_rows
from litelvlm.analysis.cli import main

COMMAND = [
    *(
        "reproduce",
        "refseg",
        "--model",
        "embedded",
        "--data",
        "embedded",
        "--splits",
        "refcoco/val",
    ),
    *("--methods", "litelvlm", "--tokens", "64", "--images", "8", "--draws", "1", "--yes"),
]


def rows(out):
    (run,) = (path for path in (out / "runs").iterdir() if path.is_dir())
    return read_rows(run)


def test_shares_and_workers_give_the_rows_of_one_process(tmp_path, capsys):
    shares, workers = tmp_path / "shares", tmp_path / "workers"
    assert main([*COMMAND, "--out", str(shares), "--shard", "2/2"]) == 0
    said = capsys.readouterr()
    assert "parts of embedded val are missing, 1 of 2 are there" in said.err
    assert "the rest belongs to --shard 1/2" in said.err
    assert not said.out, "no table before every part is there"
    assert main([*COMMAND, "--out", str(shares), "--shard", "1/2"]) == 0
    table = capsys.readouterr().out
    assert "litelvlm (LiteLVLM)" in table
    assert main([*COMMAND, "--out", str(workers), "--workers", "2"]) == 0
    assert capsys.readouterr().out == table
    pd.testing.assert_frame_equal(rows(shares), rows(workers), rtol=1e-6)


@pytest.mark.parametrize("option", [("--workers", "2"), ("--shard", "1/2")])
def test_a_table_of_times_is_measured_by_one_process(option, tmp_path, capsys):
    asked = ["reproduce", "efficiency", "--model", "embedded", "--data", "embedded", "--yes"]
    assert main([*asked, "--out", str(tmp_path / "out"), *option]) == 2
    assert "leave out --workers and --shard" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
