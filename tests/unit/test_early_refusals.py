"""What a verb cannot use or write is refused before any model is loaded and before any work."""

import re
from dataclasses import replace

import pytest
from PIL import Image

from litelvlm.analysis.cli import main
from litelvlm.models import families

CARD = "reproduce refseg --model embedded --data embedded --splits refcoco/val --yes"
PLAN = f"{CARD} --plan"
TIMED = "reproduce efficiency --model embedded --data embedded --plan"
REFUSED = {
    f"{CARD} --card c.json --by {'x' * 301}": "--by 'xxx.*at most 300",
    f"{PLAN} --card c.json --by {'x' * 301}": "--by 'xxx.*at most 300",
    f"{CARD} --card folder": "folder is a folder|cannot write folder.*--card",
    f"{CARD} --card file/c.json": "cannot write file/c.json.*with --card",
    f"{CARD} --card c.json --draws 1001": "--card: .*less than or equal to 1000.*leave --card out",
    f"{CARD} --card c.json --tokens {' '.join(map(str, range(1, 577)))}": "--card: .*at most 3000",
    f"{PLAN} --cache file": "cannot write file.*with --cache",
    f"{PLAN} --tokens 64 64": "a budget stands twice: 64, 64",
    PLAN.replace("--data embedded", "--data nowhere"): "no REFER data at nowhere",
    PLAN.replace("--data embedded", "--data folder"): "folder",
    PLAN.replace("--model embedded", "--model nowhere"): "nowhere is not complete: files: unknown",
    PLAN.replace("--model embedded", "--model folder"): "is not complete: .*config.json",
    f"{PLAN} --clip nowhere": "is not complete: CLIP",
    f"{TIMED} --images 5": "--images 5: efficiency times one image",
    f"{TIMED} --draws 2": "--draws 2: efficiency times one image",
    "evaluate --cache file": "cannot write file.*with --cache",
    "evaluate --budgets 0": "budget 0 is too small",
    "evaluate --task pope --model vlm:embedded --methods nowhere": "unknown pruner 'nowhere'",
    "evaluate --task pope --model vlm:embedded --budgets 0": "budget 0 is too small",
    "evaluate --task pope --model vlm:embedded --limit 0": "limit: .*greater than or equal to 1",
    "evaluate --task pope --model vlm:embedded --batch-size 3": "--batch-size belongs to masks",
    "evaluate --task pope --model vlm:embedded --empty-below 7": "--empty-below belongs to masks",
    "study sweep --cache file": "cannot write file.*with --cache",
    "study sweep --report file": "cannot write file.*with --report",
    "study sweep --address auto": "--address names a Ray cluster",
    "study sweep --data nowhere": "no REFER data at nowhere",
    "study sweep --split nowhere": "unknown split of embedded",
    "study sweep --budgets 0": "budget 0 is too small",
    "bench --figures file": "cannot write file.*with --figures",
    "bench --sweep nowhere": "there is no folder nowhere",
    "bench --sweep folder": "folder has no run.json",
    "bench --data nowhere": "no REFER data at nowhere",
    "audit --measure --numbers folder": "cannot write folder.*with --numbers",
    "audit --measure --budgets 0": "budget 0 is too small",
    "audit --measure --limit 0": "limit: .*greater than or equal to 1",
    "audit --measure --cache file": "cannot write file.*with --cache",
    "convert folder file": "cannot write file.*with TARGET",
}


@pytest.fixture
def _place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("")
    Image.new("RGB", (8, 8)).save("a.png")

    def load(*_):
        raise AssertionError("a model was loaded")

    table = {name: replace(family, load=load) for name, family in families.FAMILIES.items()}
    monkeypatch.setattr(families, "FAMILIES", table)


@pytest.mark.usefixtures("_place")
@pytest.mark.parametrize("words", REFUSED, ids=lambda words: words[:60])
def test_a_bad_argument_is_refused_before_any_work(words, capsys):
    code = main(words.split())
    said = capsys.readouterr()
    assert code in (1, 2)
    assert said.out == ""
    assert re.search(REFUSED[words], said.err.splitlines()[-1]), said.err[-500:]
