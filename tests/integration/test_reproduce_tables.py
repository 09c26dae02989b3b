"""The table of costs, from an empty folder to the printed page and the report."""

import json

import pytest
from loopback_hub import (
    CHECKPOINT,
    COARSE_FIGURES,
    FRESH_CLIENT,
    OLD_DATA,
    SHARD,
    TABLE,
    client_environment,
    make_files,
    serving,
)

from litelvlm.analysis.api import read_rows, read_summary
from tests.warm import run_python

CODE = f"""{FRESH_CLIENT}{COARSE_FIGURES}
from litelvlm.analysis.cli import main
sys.exit(main(sys.argv[1:]))
"""
COMMON = ["--splits", "refcoco/testA", "--tokens", "64", "--device", "cpu", "--yes"]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Repositories of a hub with two pictures; read-only."""
    return make_files(tmp_path_factory.mktemp("hub"), 2)


@pytest.fixture
def reproduce(files, tmp_path):
    """Reproduce a table from an empty folder, then give the same command again.

    The data of the first call, the printed table of the second, the run, and the report.
    """

    def run(table, *more):
        with serving(files) as hub:
            own = client_environment(hub, tmp_path)
            command = ["-c", CODE, "reproduce", table, *COMMON, *more, "--out", "out"]
            first = run_python([*command, "--json"], tmp_path, own)
            assert first.returncode == 0, first.stderr
            fetched = [name for name, _ in hub.asked]
            assert {f"{CHECKPOINT}/{SHARD}", f"{OLD_DATA}/{TABLE}"} <= set(fetched)
            assert len(fetched) == len(set(fetched))
            assert "converting MBZUAI/GLaMM-RefSeg to safetensors" in first.stderr
            hub.asked.clear()
            again = run_python(command, tmp_path, own)
            assert again.returncode == 0, again.stderr
            assert hub.asked == []
            assert "converting" not in again.stderr
        found = json.loads(first.stdout)
        report = (tmp_path / "out" / "report" / "reproduction.html").read_text()
        assert (tmp_path / "out" / "report" / "index.html").is_file()
        return found, again.stdout, tmp_path / found["runs"]["refcoco/testA"], report

    return run


def printed_lines(printed, lines):
    """Whether each line of the data is one of the printed table, with its verdict."""
    rows = [line.split() for line in printed.splitlines()]
    return all(
        any(row[: len(wanted)] == wanted and line["verdict"].split() == row[-n:] for row in rows)
        for line in lines
        for wanted, n in [(line["method"].split(), len(line["verdict"].split()))]
    )


def test_the_table_of_costs(reproduce):
    found, printed, run, report = reproduce("efficiency", "--methods", "litelvlm")
    assert found["title"].startswith("Cost by visual tokens: the unpruned model over the method")
    lines = {line["quantity"]: line for line in found["lines"]}
    assert [*lines] == [
        "multiply-adds (T)",
        "prefill time (ms)",
        "CUDA time (ms)",
        "stored activations (GB)",
    ]
    assert {line["verdict"] for line in lines.values()} == {"not comparable"}
    assert {(line["tokens"], line["budget"]) for line in lines.values()} == {(64, 16)}

    # The counts are those of the run, the times ratios of medians over its rounds.
    rows = read_rows(run)
    assert set(zip(rows["method"], rows["k"], strict=True)) == {
        ("none", 144),
        ("litelvlm", 144),
        ("litelvlm", 16),
    }
    llm = rows[rows["component"] == "llm"].set_index(["metric", "method", "k"])["value"]
    for quantity, metric in (
        ("multiply-adds (T)", "analytic_macs"),
        ("stored activations (GB)", "activation_bytes"),
    ):
        ratio = llm[metric, "none", 144].item() / llm[metric, "litelvlm", 16].item()
        assert lines[quantity]["measured"] == pytest.approx(ratio)
        assert ratio > 2
    ratios = read_summary(run).table("ratios").set_index(["component", "metric", "method", "k"])
    whole = ratios.loc[("end_to_end", "wall_ms", "litelvlm", 16)]
    line = lines["CUDA time (ms)"]
    assert line["measured"] == whole["ratio"]
    assert line["low"] == pytest.approx(whole["low"] - line["published"])
    assert line["n"] == 20

    # The second call timed nothing again, or the numbers would differ.
    assert printed_lines(printed, found["lines"])
    for line in lines.values():
        assert f"{line['measured']:.2f}" in printed
        assert line["quantity"] in report
