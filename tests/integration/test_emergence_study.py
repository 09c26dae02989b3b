"""The emergence study from training to claims, on trainings of a few steps."""

from dataclasses import replace

import pytest

from litelvlm import load_model, load_refer
from litelvlm.analysis.api import complete_run, read_rows, read_summary
from litelvlm.analysis.studies import emergence
from litelvlm.analysis.studies.emergence import scenes, store
from litelvlm.analysis.studies.emergence.outcomes import outcome_table
from litelvlm.training.trainings.factors import Factors, Member
from litelvlm.training.trainings.train import train_member

TINY = Factors(image="grid", width=16, text_depth=2, image_depth=2, categories=8, steps=2, batch=8)
CELLS = {
    "base": TINY,
    "pooling-mean": replace(TINY, pooling="mean", registers=2),
    "text_pooling-words": replace(TINY, text_pooling="words"),
    "bag": replace(TINY, image="bag"),
}


@pytest.fixture(scope="module")
def trainings(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trainings")
    for cell, factors in CELLS.items():
        for seed in range(2 if cell == "base" else 1):
            train_member(Member("C", cell, factors, seed), folder, folder / "scenes")
    return folder


@pytest.fixture(scope="module")
def run(trainings, tmp_path_factory):
    few = pytest.MonkeyPatch()
    few.setattr(scenes, "SCENES", 24)
    model, data = load_model("embedded"), load_refer("embedded", split="val")
    config = emergence.Config(trainings=trainings, gate=0.5)
    yield complete_run(emergence.STUDY, model, data, config, tmp_path_factory.mktemp("runs"))
    few.undo()


def test_every_training_is_measured_with_what_it_has(run):
    rows = read_rows(run)
    table = outcome_table(rows, 0.5).set_index("training")
    assert len(table) == 5
    assert table["sink"].notna().all()
    assert table.loc["C-bag-s0", ["reversal", "alignment"]].isna().all()
    assert (
        table.loc["C-base-s0", ["reversal", "reversal_more_sos", "reversal_no_sos", "alignment"]]
        .notna()
        .all()
    )
    assert table.loc["C-text_pooling-words-s0", ["reversal_no_sos"]].isna().all()
    assert table["found"].between(0, 1).all()
    heads = rows[rows["head"] >= 0]
    assert set(heads["measure"]) == {"lift", "carried", "value ratio"}
    assert heads["final"].all()
    assert heads.groupby(["training", "measure", "text", "layer"])["head"].nunique().eq(4).all()
    assert heads.loc[heads["measure"] == "carried", "value"].between(0, 1).all()
    assert (table["largest_head_value"] > 0).all()
    assert table["constancy"].between(0, 1).all()
    assert set(rows["step"]) == {0, 1, 2}
    layers = rows[(rows["measure"] == "reversal") & rows["final"] & (rows["category"] == "")]
    assert set(layers["layer"]) == {-1, -2, -3}
    assert layers["value"].between(-1, 1).all()
    # At the start the towers know no text, so the true text is no other than an absent one.
    start = rows[(rows["step"] == 0) & (rows["measure"] == "found")]["value"]
    assert start.between(0.2, 0.8).all()


def test_summary_names_every_cell_and_leaves_few_trainings_open(run):
    summary = read_summary(run)
    assert set(summary.table("cells")["cell"]) == set(CELLS)
    assert {claim.id for claim in summary.claims} >= {"base.sink.C", "base.reversal.C"}
    assert {c.verdict for c in summary.claims if c.n < 5} <= {"undetermined"}
    assert "not evidence about published CLIP" in summary.interpretation


def test_missing_trainings_and_rows_are_named(tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError, match=r"has no training; make some with"):
        store.measure_trainings(tmp_path)
    monkeypatch.setattr(store, "BUNDLE", tmp_path)
    with pytest.raises(FileNotFoundError, match=r"--set emergence\.trainings=FOLDER"):
        store.bundled_files()
    member = Member("C", "base", TINY, 0)
    folder = tmp_path / member.name
    train_member(member, tmp_path, tmp_path)
    (folder / "done.json").unlink()
    with pytest.raises(FileNotFoundError, match="no finished training; the command that began"):
        store.measure_trainings(tmp_path)
    with pytest.raises(FileNotFoundError, match="no finished training"):
        store.measured_rows(folder, tmp_path)
