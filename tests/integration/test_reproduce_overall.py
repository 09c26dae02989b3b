"""Every split of the published table on the miniature: its last two columns, from the real rows."""

import json
import shutil

import pandas as pd
import pytest

from litelvlm.analysis.api import read_rows
from litelvlm.analysis.cli import main
from litelvlm.analysis.studies import published
from litelvlm.data.refer_writer import fill_refer
from litelvlm.data.worlds.shapes.objects import CATEGORIES
from litelvlm.data.worlds.shapes.scenes import sample_scene
from tests.figure_files import coarse

SPLITS = ("train", "val", "testA", "testB")
COMMAND = [
    "reproduce", "refseg", "--model", "embedded", "--methods", "litelvlm", "--tokens", "64",
    "--draws", "2", "--yes", "--json", "--device", "cpu",
]  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Three data sets of two scenes a split, in the layout of the published files."""
    root = tmp_path_factory.mktemp("refer") / "data"
    base = root / "Refer_Segm"
    scenes = iter(sample_scene(seed, "easy") for seed in range(30_000, 30_100))
    fill_refer(base, {split: [next(scenes) for _ in range(2)] for split in SPLITS}, CATEGORIES)
    for name, table in (("refcoco+", "refs(unc).p"), ("refcocog", "refs(umd).p")):
        shutil.copytree(base / "refcoco", base / name)
        (base / name / "refs(unc).p").rename(base / name / table)
    return root


@pytest.mark.timeout(600)
def test_avg_and_rel_are_those_of_the_rows(data, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    coarse(monkeypatch, 20, "png", "svg")
    assert main([*COMMAND, "--data", str(data), "--out", "out"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [*found["runs"]] == ["/".join(place) for place in published.SPLITS]
    ciou = pd.DataFrame(
        {
            place: (
                (rows := read_rows(tmp_path / folder).groupby(["method", "seed"]))["inter_px"].sum()
                / rows["union_px"].sum()
            )
            .groupby("method")
            .mean()
            for place, folder in found["runs"].items()
        }
    )
    average = 100 * ciou.mean(axis=1)
    overall = {
        (line["quantity"], line["method"]): line
        for line in found["lines"]
        if line["place"] == "all splits"
    }
    for method in ("none", "litelvlm", "random"):
        assert overall["Avg.", method]["measured"] == pytest.approx(average[method])
        assert overall["Avg.", method]["n_images"] == 18  # test takes both
    for method in ("litelvlm", "random"):
        share = 100 * average[method] / average["none"]
        assert overall["Rel.", method]["measured"] == pytest.approx(share)
    own = overall["Rel.", "litelvlm"]
    assert (own["published"], own["verdict"]) == (79.2, "not comparable")
    assert own["low"] < own["difference"] < own["high"]
    assert (
        overall["Rel.", "LLaVA-PruMerge"] | {"published": 68.8, "measured": None}
        == (overall["Rel.", "LLaVA-PruMerge"])
    )
    page = (tmp_path / "out" / "report" / "reproduction.html").read_text()
    assert "<h2>all splits</h2>" in page
    assert "not measured" in page
