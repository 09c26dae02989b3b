"""Settled contrasts of readouts and texts, on rows whose truth is known."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from litelvlm.analysis.studies import mechanism
from litelvlm.analysis.studies.mechanism.contrasts import (
    contrast_claims,
    crossing_table,
    settled_contrasts,
)
from litelvlm.figures import FIGURES
from litelvlm.figures.saved import Saved
from tests.figure_files import drawn_numbers

OWN = {"released": 0.5, "value_path": -0.4, "surgery": -0.4, "clear_clip": -0.4, "last_layer": 0.3}
FOREIGN = {"released": 0.48, "value_path": 0.1}


def made_up(clip="", shift=0.0, n_images=40, seed=0):
    """Rows of every readout: the value path follows the text, the released readout hardly does."""
    rng, rows = np.random.default_rng(seed), []
    for sent_id in range(n_images):
        noise = 0.01 * rng.normal()
        for place, (probe, ri) in enumerate(OWN.items()):
            moved = shift * (1 + place / 10)
            row = {"clip_model": clip, "image_id": sent_id, "sent_id": sent_id, "probe": probe}
            row |= {"visible_frac": 1.0, "ri": ri + moved + noise}
            row["ri_foreign"] = FOREIGN.get(probe, ri) + shift / 2
            row |= {"ri_rest": ri + shift / 3 - 0.3, "ri_no_sos": ri + shift / 4 - 0.02 + noise}
            row["ri_more_sos"] = ri + shift / 5 + 0.2 + noise
            rows.append(row)
    return pd.DataFrame(rows)


def claims_by_id(rows, **config):
    return {claim.id: claim for claim in contrast_claims(rows, mechanism.Config(**config))}


def test_every_contrast_is_settled_with_cells_that_exist():
    known = {f"{readout}/{text}" for readout in OWN for text in ("question", "foreign", "rest")}
    known |= {"released/no_sos", "released/more_sos"}
    contrasts = settled_contrasts()
    assert len({one.id for one in contrasts}) == len(contrasts) == 12
    assert {cell for one in contrasts for cell in one.cells} <= known


def test_over_images_each_contrast_is_its_planted_sum():
    found = claims_by_id(made_up())
    assert found["readout.turns"].estimate == pytest.approx(0.9)
    assert found["value.reads_text"].estimate == pytest.approx(0.5, abs=0.01)
    assert found["value.reads_more"].estimate == pytest.approx(0.48, abs=0.01)
    assert found["mean.carries"].verdict == found["sos.makes"].verdict == "supported"
    assert found["value.forward"].verdict == "supported"


def test_expressions_without_a_cell_are_counted_where_it_is_needed():
    rows = made_up()
    rows.loc[(rows["probe"] == "released") & rows["sent_id"].isin([3, 5]), "ri_foreign"] = np.nan
    found = claims_by_id(rows)
    lacking = found["released.reads_text"]
    assert lacking.excluded == {"a readout or a text of the contrast is missing": 2}
    assert not found["released.reversed"].excluded
    assert lacking.n == found["released.reversed"].n - 2


def test_what_lies_within_the_margin_is_no_support():
    found = claims_by_id(made_up())
    assert (found["sos.needed"].low, found["sos.needed"].verdict) > (0, "a")
    assert found["sos.needed"].verdict == found["released.reads_text"].verdict == "not supported"


def test_contrasts_that_were_not_measured_count_in_the_adjustment():
    rows = made_up().drop(columns=["ri_no_sos", "ri_more_sos", "ri_rest"])
    found = claims_by_id(rows)
    assert len(found) == 9
    assert all("Holm over 12" in claim.method for claim in found.values())


@pytest.mark.parametrize(("trainings", "verdict"), [(4, "undetermined"), (6, "supported")])
def test_over_trainings_a_training_counts_once_and_the_own_model_never(trainings, verdict):
    shifts = np.linspace(-0.1, 0.1, trainings)
    others = [made_up(f"clip-{i}", shift, 25, i) for i, shift in enumerate(shifts)]
    rows = pd.concat([made_up(shift=-3.0), *others])
    found = claims_by_id(rows, over="trainings")["released.reversed"]
    assert (found.n, found.unit, found.verdict) == (trainings, "trainings", verdict)
    assert found.estimate == pytest.approx(0.5, abs=0.01)
    half = (found.high - found.low) / 2
    assert half > 0.05  # the spread of trainings, not that of images, which is far smaller


def test_the_table_holds_every_cell_and_the_mean_over_trainings():
    rows = pd.concat([made_up(), made_up("a", 0.1), made_up("b", 0.3)])
    table = crossing_table(rows, mechanism.Config(over="trainings"))
    line = table.set_index(["clip_model", "readout", "text"])
    assert line.loc[("", "released", "foreign"), "mean"] == pytest.approx(0.48)
    assert line.loc[("all trainings", "released", "question"), "mean"] == pytest.approx(
        0.7, abs=0.01
    )
    assert set(table["clip_model"]) == {"", "a", "b", "all trainings"}
    assert table["high"].max() <= 1  # over two trainings Student's t alone would reach 2


def saved(rows, over):
    """A run that holds the table of these rows and no files, and the cells that figures show."""
    table = crossing_table(rows, mechanism.Config(over=over))
    run = object.__new__(Saved)
    record = SimpleNamespace(model={"family": "glamm"}, study="mechanism", protocol="", unit="")
    run.__dict__ |= {"record": record, "table": lambda name: table, "title": str}
    run.summary = SimpleNamespace(study="mechanism", tables={"crossing"}, partial=False)
    return run, table[table["text"].isin(("question", "foreign"))]


def test_the_figures_show_the_own_model_and_every_training():
    run, table = saved(pd.concat([made_up(), made_up("a", 0.1), made_up("b", 0.3)]), "trainings")
    own = table["clip_model"] == ""
    for name, shown, hidden in (
        ("readout_texts", table[own], table[~own]),
        ("readout_trainings", table[~own], table[own]),
    ):
        found = drawn_numbers(FIGURES[name].draw(run).figure)
        assert all(np.isclose(found, mean, rtol=0, atol=1e-9).any() for mean in shown["mean"])
        assert not all(np.isclose(found, mean, rtol=0, atol=1e-9).any() for mean in hidden["mean"])
    assert "n = 2 trainings" in FIGURES["readout_trainings"].draw(run).note


def test_a_readout_without_foreign_texts_is_drawn_in_its_own_line():
    rows = made_up()
    rows.loc[rows["probe"] != "surgery", "ri_foreign"] = np.nan
    run, table = saved(rows, "images")
    figure = FIGURES["readout_texts"].draw(run).figure
    names = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert len(names) == 5
    assert names[3] == "CLIP Surgery"
    dots = [np.ma.filled(one.get_offsets(), np.nan) for one in figure.axes[0].collections]
    foreign = table.query("readout == 'surgery' and text == 'foreign'")["mean"].item()
    assert [y for part in dots for x, y in part if np.isclose(x, foreign)] == [3.0]


def test_trainings_are_drawn_only_where_there_are_some():
    run, _ = saved(made_up(), "images")
    assert FIGURES["readout_trainings"].obstacle(run) == "the run has no lines for it"
    assert not FIGURES["readout_texts"].obstacle(run)
