"""Panels by category: every claim of the study, named categories, values of the table."""

import numpy as np
from matplotlib.collections import PathCollection
from planted import PlantedModel, planted_data
from planted_importance import importance_rows, keys_of, made_up

from litelvlm.analysis.api import complete_run
from litelvlm.analysis.runs.work import ItemResult
from litelvlm.analysis.studies import importance, mechanism, sink_causal
from litelvlm.figures import FIGURES
from litelvlm.figures.groups import categories
from litelvlm.figures.saved import Saved

NAMES = ("cat", "dog", "train")


def finished(out, stated):
    def image_rows(index):
        rng = np.random.default_rng(index)
        number = index % len(NAMES)
        own = {"category_id": number, "category": NAMES[number]} if stated else {}
        rows = importance_rows(rng, 0.2 + 0.3 * number)
        return ItemResult([keys_of(index) | own | found for found in rows])

    study = made_up(importance.STUDY, image_rows)
    config = importance.Config(images=9, chunk_size=9)
    return Saved(complete_run(study, PlantedModel(), planted_data(9), config, out))


def test_every_part_of_the_claim_has_a_panel_with_the_means_of_the_categories(tmp_path):
    run = finished(tmp_path, stated=True)
    table = run.table("categories")
    found = FIGURES["importance_categories"].draw(run)
    assert [ax.get_xlabel().replace("\n", " ") for ax in found.figure.axes] == list(
        categories.IMPORTANCE.values()
    )
    for claim, ax in zip(categories.IMPORTANCE, found.figure.axes, strict=True):
        part = table[table["claim"] == claim]
        assert sorted(part["category"]) == sorted(NAMES)
        labels = [tick.get_text() for tick in ax.get_yticklabels()]
        assert labels == [f"{name} (3)" for name in part["category"]]
        dots = next(c for c in ax.collections if isinstance(c, PathCollection)).get_offsets()
        np.testing.assert_allclose(dots[:, 0], part["mean"])
    assert "every category" in found.note


def test_without_categories_there_is_no_such_figure(tmp_path):
    assert not FIGURES["importance_categories"].fits(finished(tmp_path, stated=False))


def test_the_panels_name_claims_and_probes_that_the_studies_have():
    assert list(categories.IMPORTANCE) == list(importance.claims.PARTS)
    assert list(categories.SINK) == list(sink_causal.claims.PARTS)
    assert set(categories.PROBES) < set(mechanism.probes.PROBES)
