"""The published table adds up to its own totals.

It stands beside a run without touching its numbers.
"""

import numpy as np
import pytest
from planted import PlantedModel, planted_data

from litelvlm.analysis.api import complete_run, read_summary
from litelvlm.analysis.studies import published, sweep
from litelvlm.figures import FIGURES
from litelvlm.figures.saved import Saved
from tests.figure_files import draw_figure, write_figures


def test_published_means_are_those_that_were_printed():
    table = published.accuracy().set_index(["label", "tokens"])
    # column "Avg." of the page
    printed = {
        ("LiteLVLM", 192): 68.1,
        ("LiteLVLM", 128): 65.5,
        ("LiteLVLM", 64): 59.8,
        ("TRIM", 64): 41.1,
    }
    printed |= {
        ("FastV", 192): 62.6,
        ("VisionZip", 128): 60.2,
        ("VisPruner", 64): 51.5,
        ("LLaVA-PruMerge", 64): 52.0,
    }
    for key, value in printed.items():
        assert table.loc[key, "ciou"] == pytest.approx(value, abs=0.1)
    assert len(table) == 3 * 6
    assert {len(scores) for scores in (published.UNPRUNED, *published.ACCURACY.values())} == {
        len(published.SPLITS)
    }


def test_a_split_that_was_published_is_taken_alone():
    alone = published.accuracy("refcoco+", "testB").set_index(["label", "tokens"])
    # 46.7 of 64.6
    assert alone.loc[("LiteLVLM", 64), "kept"] == pytest.approx(46.7 / 64.6)
    assert published.accuracy("refcoco", "test").equals(published.accuracy())


@pytest.fixture(scope="module")
def official(tmp_path_factory):
    config = sweep.Config(
        methods=("litelvlm", "litelvlm:paper", "trim", "random", "mask_oracle"),
        seeds=2,
        budgets=(48, 8),
        protocol="official",
    )
    model, data = PlantedModel("instance", noise=0.3, pull=0.4), planted_data(8)
    return complete_run(sweep.STUDY, model, data, config, tmp_path_factory.mktemp("runs"))


@pytest.mark.usefixtures("coarse_figures")
def test_the_official_protocol_stands_on_both_sides(saved_runs, official, tmp_path):
    (drawn,) = write_figures("published", [official], tmp_path)
    assert drawn.caption.count("official protocol") == 2
    # A sweep in the single protocol is another method; it is not drawn beside the published table.
    single = saved_runs["sweep"]
    with pytest.raises(ValueError, match="needs protocol 'official', and the run has 'single'"):
        write_figures("published", [single], tmp_path)
    with pytest.raises(ValueError, match="litelvlm study sweep --protocol official"):
        draw_figure("published", single)
    assert "published" not in {one.name for one in write_figures("all", [single], tmp_path / "all")}


def test_ours_stands_at_the_same_shares_of_tokens(official):
    run = Saved(official)
    left, right = FIGURES["published"].draw(run).figure.axes
    np.testing.assert_allclose(np.array(left.get_xlim()) / 576, np.array(right.get_xlim()) / 144)
    assert left.get_title() == "published: GLaMM, mean of 8 splits"
    comparisons = read_summary(official).table("comparisons")
    ours = comparisons.query(
        "metric == 'ciou' and reference == 'none' and method == 'litelvlm'"
    ).sort_values("budget")
    (drawn,) = [c for c in right.containers if c.get_label() == "LiteLVLM"]
    np.testing.assert_allclose(drawn.lines[0].get_xydata(), ours[["budget", "retention"]])
