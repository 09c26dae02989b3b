"""What the README files say of GPU figures follows from the files of the GPU programme."""

import json
import re
from pathlib import Path

import pytest

from benchmarks.gpu import blocks, page
from benchmarks.gpu.parts import PARTS

ROOT = Path(__file__).parents[2]
NAMES = [part.name for part in PARTS]


@pytest.fixture
def checkout(tmp_path):
    """Copies of both files, and no result."""
    for place in (blocks.README, blocks.OWN):
        (tmp_path / place).parent.mkdir(exist_ok=True)
        (tmp_path / place).write_text((ROOT / place).read_text())
    return tmp_path


def block(root, place):
    """The text between the marks, in one line."""
    text = (root / place).read_text()
    return " ".join(text.split(blocks.BEGIN)[1].split(blocks.END)[0].split())


def plant(out, name, tiny=False, state="done", **result):
    folder = out / name
    folder.mkdir(parents=True)
    record = {"state": state, "tiny": tiny, "clocks_before": ["NVIDIA X, 1, 2"]}
    (folder / "part.json").write_text(json.dumps(record))
    (folder / "result.json").write_text(json.dumps(result))


def planted_prefill():
    """A bench at 192 of 576 tokens."""
    arms = [("none", 576, 41.23), ("litelvlm", 192, 16.0)]
    times = [
        {"method": method, "k": k, "component": "llm", "metric": "cuda_ms"}
        | {"value": ms, "q25": ms - 1, "q75": ms + 1, "n_runs": 100}
        for method, k, ms in arms
    ]
    return {"192": {"times": times}}


def test_both_files_say_what_the_stored_results_say(checkout):
    blocks.rewrite(root=checkout)
    for place in (blocks.README, blocks.OWN):
        assert (checkout / place).read_text() == (ROOT / place).read_text()


def test_without_a_gpu_the_readme_says_so_once(checkout):
    plant(checkout / "gpu", "prefill-sdpa", tiny=True, budgets=planted_prefill())
    plant(checkout / "gpu", "parity", state="stopped")
    blocks.rewrite(checkout / "gpu", checkout)
    assert block(checkout, blocks.README).startswith("Not measured on a GPU.")
    assert (checkout / blocks.README).read_text().count("ot measured on a GPU") == 1
    assert "none of the parts is done" in block(checkout, blocks.OWN)


def test_planted_results_stand_in_both_files(checkout):
    out = checkout / "gpu"
    plant(out, "parity")
    blocks.rewrite(out, checkout)
    said = block(checkout, blocks.README)
    assert said == (
        f"1 of {len(PARTS)} parts of `python -m benchmarks.gpu` are done on NVIDIA X "
        "([all tables](benchmarks/results/gpu/page.md))."
    )
    plant(out, "prefill-sdpa", budgets=planted_prefill())
    blocks.rewrite(out, checkout)
    said = block(checkout, blocks.README)
    assert said.startswith(f"2 of {len(PARTS)} parts")
    assert "41.2 ms [40.2, 42.2] with 576 visual tokens, 16 ms [15, 17] with 192" in said
    assert "Not measured" not in (checkout / blocks.README).read_text()
    own = block(checkout, blocks.OWN)
    assert "([all tables](results/gpu/page.md))" in own
    others = [name for name in NAMES if name not in ("parity", "prefill-sdpa")]
    assert own.endswith(f"Not done: {', '.join(others)}.")
    lines = (checkout / blocks.README).read_text().splitlines()
    assert max(len(line) for line in lines[lines.index(blocks.BEGIN) :][:6]) <= 100


def test_the_command_rewrites_both_files_and_writes_the_page(checkout, monkeypatch, capsys):
    plant(checkout / "gpu", "prefill-sdpa", budgets=planted_prefill())
    done = []
    monkeypatch.setattr(page, "OUT", checkout / "gpu")
    monkeypatch.setattr(page, "write_page", lambda out: done.append(out) or out / "page.md")
    monkeypatch.setattr(page, "rewrite", lambda: blocks.rewrite(checkout / "gpu", checkout))
    monkeypatch.setattr("sys.argv", ["page"])
    assert page.main() == 0
    assert done == [checkout / "gpu"]
    assert "16 ms" in block(checkout, blocks.README)


def test_a_file_without_its_marks_is_named(checkout):
    with pytest.raises(ValueError, match="0 blocks between"):
        blocks.rewritten("no marks", "said")


def test_the_sessions_of_the_page_are_all_parts_once():
    text = (ROOT / blocks.OWN).read_text()
    rows = re.findall(r"^\| \d: [^|]+\| `([^`]+)` \| \d+ MB \|$", text, flags=re.MULTILINE)
    assert sorted(" ".join(rows).split()) == sorted(NAMES)
    assert f"in {len(PARTS)} parts" in text


def test_the_stored_dry_run_is_of_all_parts():
    stored = json.loads((ROOT / "benchmarks" / "results" / "gpu_dry_run.json").read_text())
    assert stored["command"] == "python -m benchmarks.gpu --tiny"
    assert set(stored["parts"]) == set(NAMES)
    for entry in stored["parts"].values():
        assert set(entry) == {"state", "asks", "seconds", "commit", "clean", "gpu"}
        assert (entry["state"], entry["gpu"]) == ("done", "no GPU")
        assert (entry["commit"], entry["clean"]) == (stored["commit"], True)
    assert {"torch", "transformers", "numpy"} <= stored["packages"].keys()
