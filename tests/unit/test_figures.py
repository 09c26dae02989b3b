"""The drawn numbers are the tables' numbers, and a figure drawn again is the same file."""

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.collections import LineCollection
from planted import PlantedModel, planted_data
from planted_importance import planted_importance

from litelvlm.analysis.api import complete_run, read_summary
from litelvlm.analysis.runs.record import Table
from litelvlm.analysis.studies import sweep as sweep_study
from litelvlm.figures import FIGURES, ablations, style
from litelvlm.figures.axes import WIDER
from litelvlm.figures.files import write_figures
from litelvlm.figures.saved import Saved
from tests.figure_files import drawn_numbers, quick

SPEARMAN = "signal == 'attention_middle' and metric == 'spearman' and partial_set == '{}'"
OVERLAP = (
    "part == 'H6.removal' and metric == 'top_k_iou' "
    "and score in ('low_similarity', 'coverage', 'random')"
)
LEVELS = "protocol in ('official', 'single, the expressions drawn')"
DRAWN = {
    "reversal_index": (
        "ri",
        "control == 'none' and probe == 'released' and labels == 'primary' and layer == -2",
        "ri low high",
    ),
    "reversal_recall": ("recall", "", "budget recall"),
    "reversal_strata": ("strata", "", "ri low high"),
    "reversal_layers": ("layers", "", "ri"),
    "reversal_area": ("area", "", "area_frac ri low high"),
    "sink_grid": ("grid", "", "lift"),
    "sink_layers": ("layers", "measure == 'lift' and query == 'eos'", "layer mean low high"),
    "sink_positions": ("positions", "", "layer share"),
    "sink_entropy": ("length", "text_mode == 'expression'", "n_tokens entropy"),
    "importance_grid": ("grid", "", "value"),
    "importance_scores": ("agreement", SPEARMAN.format("none"), "value low high"),
    "importance_partial": ("agreement", SPEARMAN.format("position"), "value low high"),
    "importance_joint": ("joint", "signal == 'attention_middle'", "value"),
    "importance_overlap": ("overlap", OVERLAP, "k value"),
    "importance_reinitialised": ("reinitialised", "", "layer value"),
    "faithfulness_curves": (
        "curves",
        "target == 'soft_dice' and ranking in ('low_similarity', 'random', 'leave_one_out')",
        "k value",
    ),
    "accuracy_ciou": ("scores", "metric == 'ciou'", "value"),
    "accuracy_giou": ("scores", "metric == 'giou'", "value"),
    "retention": (
        "comparisons",
        "metric == 'ciou' and reference == 'none'",
        "budget retention retention_bound",
    ),
    "delta_random": (
        "comparisons",
        "metric == 'ciou' and reference == 'random'",
        "delta low high",
    ),
    "accuracy_kinds": ("kinds", "metric == 'ciou' and budget in (48, 144)", "value low high"),
    "ablation_strata": ("strata", "", "delta low high low_categories high_categories"),
    "ablation_budgets": (
        "scores",
        "metric == 'ciou' and method != 'mask_oracle(share=1.0)'",
        "value",
    ),
    "ablation_gain": ("gain", "", "delta low high"),
    "ablation_protocols": ("protocols", LEVELS, "ciou low high"),
    "ablation_deltas": ("deltas", "metric == 'ciou' and budget == 48", "delta low high"),
    "ablation_retention": ("retention", "budget == 48", "kept low high"),
}
"""For each figure its table, the rows that it shows, and what it shows of them."""


@pytest.mark.parametrize("name", DRAWN)
def test_a_figure_shows_the_numbers_of_its_table(saved_runs, name):
    table, rows, columns = DRAWN[name]
    run = Saved(saved_runs[FIGURES[name].study])
    found = drawn_numbers(FIGURES[name].draw(run).figure)
    shown = run.table(table).query(rows) if rows else run.table(table)
    if name == "importance_joint":  # each cell stands beside the 1 / 36 of independence
        shown = shown.assign(value=36 * shown["value"])
    assert len(shown) >= 1
    for column in columns.split():
        for number in shown[column].dropna().astype(float):
            assert np.isclose(found, number, rtol=0, atol=1e-9).any(), (column, number)


def test_every_figure_of_the_saved_runs_is_checked(saved_runs):
    runs = {study: Saved(folder) for study, folder in saved_runs.items()}
    fit = {n for n, f in FIGURES.items() if f.study in runs and not f.obstacle(runs[f.study])}
    assert fit - set(DRAWN) == {"reversal_examples"}


def test_drawing_leaves_the_callers_settings_alone():
    before = dict(mpl.rcParams)
    with style.styled():
        assert mpl.rcParams["svg.hashsalt"] == "litelvlm"
    assert dict(mpl.rcParams) == before


def test_a_figure_drawn_again_is_the_same_file(saved_runs, report):
    """The report drew all figures once, perhaps in another process."""
    first = {path.name: path for path in report.parent.glob("figures/*/*")}
    runs = {study: Saved(folder) for study, folder in saved_runs.items()}
    drawn = [n for n, f in FIGURES.items() if f.study in runs and not f.obstacle(runs[f.study])]
    assert {"accuracy_ciou", "retention", "sink_grid", "reversal_recall"} <= set(drawn)
    assert set(first) == {f"{name}.{kind}" for name in drawn for kind in ("png", "svg", "pdf")}
    for name in drawn:
        with quick(), style.styled():
            figure, note = FIGURES[name].draw(runs[FIGURES[name].study])
            style.note(figure, note)
            # All kinds of file come from one drawing: for one figure, all of them are compared.
            kinds = ("png", "svg", "pdf") if name == "retention" else ("png",)
            for kind, again in style.encode(figure, *kinds).items():
                assert again == first[f"{name}.{kind}"].read_bytes(), name


def test_what_cannot_be_drawn_is_refused(saved_runs, tmp_path):
    for name, runs, kind, words in (
        ("retentoin", [saved_runs["sweep"]], ValueError, "did you mean 'retention'"),
        ("retention", [saved_runs["sink"]], ValueError, "study 'sweep'; given: sink"),
        ("all", [saved_runs["sink"]] * 2, ValueError, "several runs of the study 'sink'"),
        ("all", [tmp_path], FileNotFoundError, "has no run"),
    ):
        with pytest.raises(kind, match=words):
            write_figures(name, runs, tmp_path)
    with pytest.raises(ValueError, match="unknown figure format 'gif'"):
        style.encode(style.new_figure()[0], "png", "gif")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("coarse_figures")
@pytest.mark.parametrize("column", ["metric", "reference"])
def test_a_figure_of_an_older_run_is_refused_and_left_out_of_all(
    saved_runs, tmp_path, monkeypatch, column
):
    read = Saved.table
    monkeypatch.setattr(
        Saved, "table", lambda run, name: read(run, name).drop(columns=column, errors="ignore")
    )
    with pytest.raises(ValueError, match=f"'retention' .*{column}.*; run the study again"):
        write_figures("retention", [saved_runs["sweep"]], tmp_path)
    drawn = {figure.name for figure in write_figures("all", [saved_runs["sweep"]], tmp_path)}
    assert "retention" not in drawn
    assert ("accuracy_ciou" in drawn) is (column == "reference")


SMALL_SWEEPS = {
    "not published": (("mask_oracle",), (48, 16), 4, {"delta_random", "published"}),
    "no pruning": (("none",), (48, 16), 4, {"delta_random", "retention", "published"}),
    "every token": (("litelvlm", "random"), (144,), 4, set()),
    "one image": (("litelvlm", "random", "mask_oracle"), (48, 16), 1, set()),
    "one of each": (("litelvlm",), (8,), 1, {"delta_random"}),
}
"""Methods, budgets and images of a sweep, and figures of comparisons that it has no rows for."""


@pytest.mark.usefixtures("coarse_figures")
@pytest.mark.parametrize("kind", SMALL_SWEEPS)
def test_a_small_sweep_is_drawn_as_far_as_it_goes(kind, tmp_path):
    methods, budgets, images, undrawn = SMALL_SWEEPS[kind]
    config = sweep_study.Config(methods=methods, budgets=budgets, seeds=2, protocol="official")
    model, data = PlantedModel("instance"), planted_data(images)
    run = complete_run(sweep_study.STUDY, model, data, config, tmp_path / "runs")
    drawn = {figure.name for figure in write_figures("all", [run], tmp_path / "all")}
    assert {"accuracy_ciou", "accuracy_giou"} <= drawn
    assert {"retention", "delta_random", "published"} - drawn == undrawn
    for name in undrawn:
        with pytest.raises(ValueError, match=f"figure '{name}' cannot be drawn from .*accuracy_"):
            write_figures(name, [run], tmp_path / "one")
    assert not (tmp_path / "one").exists()


@pytest.mark.usefixtures("coarse_figures")
def test_importance_of_one_image_is_drawn_without_intervals(tmp_path):
    run = planted_importance(tmp_path / "runs", n_images=1)
    assert read_summary(run).table("agreement")["low"].isna().all()
    drawn = {figure.name for figure in write_figures("all", [run], tmp_path / "figures")}
    note = FIGURES["importance_scores"].drawn(Saved(run)).note
    assert "from 1 image, which gives no interval" in note
    assert {"importance_scores", "importance_partial", "importance_reinitialised"} <= drawn


def test_protocols_are_drawn_only_where_both_were_run(saved_runs):
    run = Saved(saved_runs["ablations"])
    lines = run.table("protocols")
    assert ablations.compared_protocols(run)
    for left in (lines[lines.protocol != ablations.PROTOCOLS[1]], lines[lines.method != "none"]):
        tables = {**run.summary.tables, "protocols": Table.from_frame(left)}
        other = Saved(saved_runs["ablations"])
        other.summary = run.summary.model_copy(update={"tables": tables})
        assert not ablations.compared_protocols(other)


def test_a_thin_line_is_explained_wherever_it_is_drawn(saved_runs):
    thin = set()
    for figure in FIGURES.values():
        run = Saved(saved_runs[figure.study]) if figure.study in saved_runs else None
        if run and not figure.obstacle(run):
            drawn, note = figure.drawn(run)
            bars = drawn.findobj(LineCollection)
            if any(0.6 in bar.get_linewidths() and bar.get_paths() for bar in bars):
                thin.add(figure.name)
                assert WIDER in note, figure.name
    assert {"delta_random", "reversal_strata", "ablation_strata"} <= thin
