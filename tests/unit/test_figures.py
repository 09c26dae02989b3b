"""The drawn numbers are the tables' numbers, and a figure drawn again is the same file."""

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.colors import to_hex
from planted import PlantedModel, planted_data
from planted_importance import planted_importance

from litelvlm import list_pruners
from litelvlm.analysis.api import complete_run, read_rows, read_summary
from litelvlm.analysis.studies import sweep as sweep_study
from litelvlm.figures import FIGURES, axes, reversal, sink, style, sweep
from litelvlm.figures.files import write_figures
from litelvlm.figures.saved import Saved, sample_note
from tests.figure_files import quick
from tests.study_inputs import every_method


def new_axes():
    return style.new_figure()[1]


def table_of(saved_runs, study, name):
    return read_summary(saved_runs[study]).table(name)


def lines_by_label(ax):
    return {line.get_label(): line for line in ax.get_lines()}


def dots(ax):
    return next(c for c in ax.collections if isinstance(c, PathCollection)).get_offsets()


def bars(ax):
    """Ends of the horizontal interval bars."""
    collection = next(c for c in ax.collections if isinstance(c, LineCollection))
    return np.array([[segment[0][0], segment[1][0]] for segment in collection.get_segments()])


def test_every_method_has_a_look_of_its_own():
    styles = [(style.colour(method), style.mark(method)) for method in list_pruners()]
    assert len(set(styles)) == len(styles)
    assert all(
        style.label(m) != m.replace("_", " ") or m in ("random", "lowest")
        for m in ("litelvlm", "none")
    )


@pytest.mark.parametrize(
    ("method", "name"),
    [
        ("litelvlm:gap", "LiteLVLM, gap"),
        ("litelvlm:gap(direction=highest)", "LiteLVLM, gap, highest similarity first"),
        ("with_uniform(of=random)", "with uniform tokens (random)"),
    ],
)
def test_a_preset_keeps_the_colour_and_place_of_its_method_and_has_another_line(method, name):
    plain = method.split(":")[0].split("(")[0]
    assert style.label(method) == name
    assert (style.colour(method), style.mark(method)) == (style.colour(plain), style.mark(plain))
    assert style.rank(method) == style.rank(plain)
    assert (style.line(plain), style.line(method)) == ("-", "--")


def test_no_preset_of_any_method_is_a_stranger_in_a_legend():
    for method in every_method():
        label = style.label(method.label)
        assert ":" not in label
        assert style.colour(method.label) == style.colour(method.name)


def test_drawing_leaves_the_callers_settings_alone():
    before = dict(mpl.rcParams)
    with style.styled():
        assert mpl.rcParams["svg.hashsalt"] == "litelvlm"
    assert dict(mpl.rcParams) == before


def test_reversal_index_draws_means_and_intervals_with_the_true_one_on_top(saved_runs):
    means = table_of(saved_runs, "reversal", "ri")
    ax = reversal.draw_index(read_rows(saved_runs["reversal"]), means, new_axes())
    names = [label.get_text() for label in ax.get_yticklabels()]
    shown = reversal.constructions(means)
    assert names[0] == "true text, true mask"
    assert ax.yaxis_inverted()
    assert names == list(shown["shown"])
    np.testing.assert_allclose(bars(ax), shown[["low", "high"]])
    scatter = [c for c in ax.collections if isinstance(c, PathCollection)][-1]
    np.testing.assert_allclose(
        scatter.get_offsets(), np.column_stack([shown["ri"], np.arange(len(names))])
    )


def test_reversal_constructions_ignore_other_layers_and_labels():
    tags = {
        "control": "none",
        "text_mode": "template",
        "probe": "released",
        "layer": -2,
        "labels": "primary",
        "ri": 0.5,
    }
    tags["clip_model"] = ""
    table = pd.DataFrame(
        [
            tags,
            tags | {"layer": -1, "probe": "last_layer"},
            tags | {"labels": "soft"},
            tags | {"control": "?"},
            tags | {"clip_model": "x"},
        ]
    )
    assert reversal.constructions(table)[["shown", "ri"]].values.tolist() == [
        ["true text, true mask", 0.5]
    ]


def test_recall_draws_every_ranking_at_every_budget(saved_runs):
    table = table_of(saved_runs, "reversal", "recall")
    lines = lines_by_label(reversal.draw_recall(table, new_axes()))
    lowest = table[(table["ranking"] == "similarity") & (table["kept"] == "lowest")].sort_values(
        "budget"
    )
    np.testing.assert_allclose(
        lines["lowest similarity"].get_xydata(), lowest[["budget", "recall"]]
    )
    assert to_hex(lines["lowest similarity"].get_color()) == style.colour("low_similarity").lower()
    assert lines["nearest to the centre"].get_linestyle() == ":"
    assert len(lines) == len(table.groupby(["ranking", "kept"]))


def test_strata_draw_one_dot_per_group(saved_runs):
    table = table_of(saved_runs, "reversal", "strata")
    ax = reversal.draw_strata(table, new_axes())
    np.testing.assert_allclose(dots(ax)[:, 0], table["ri"])
    assert ax.get_yticklabels()[0].get_text() == "targets: all"


def test_sink_grid_shows_the_lift_of_each_head(saved_runs):
    table = table_of(saved_runs, "sink", "grid").query("text_mode == 'template'")
    ax = sink.draw_grid(table, 0.1, new_axes())
    wide = table.pivot(index="layer", columns="head", values="lift")
    np.testing.assert_allclose(ax.collections[0].get_array().reshape(wide.shape), wide)
    # 2 layers x 3 heads, all with the same lift and significant
    assert [text.get_text() for text in ax.texts] == [f"{wide.iloc[0, 0]:.2f}*"] * 6


def test_sink_layers_leave_out_what_was_not_measured(saved_runs):
    table = table_of(saved_runs, "sink", "layers")
    lines = lines_by_label(sink.draw_layers(table, new_axes()))
    lift = table[
        (table["measure"] == "lift")
        & (table["text_mode"] == "template")
        & (table["query"] == "eos")
    ]
    lift = lift.sort_values("layer")
    np.testing.assert_allclose(
        lines["trained, the method's sentences"].get_xydata(), lift[["layer", "mean"]]
    )
    assert "random weights" not in lines


@pytest.mark.parametrize("metric", ["ciou", "giou", "p50"])
def test_accuracy_draws_scores_bands_and_the_unpruned_level(saved_runs, metric):
    table = table_of(saved_runs, "sweep", "scores")
    ax = sweep.draw_accuracy(table, metric, new_axes())
    lines = lines_by_label(ax)
    chosen = table[table["metric"] == metric].set_index("method")
    ours = chosen.loc["litelvlm"].sort_values("budget")
    np.testing.assert_allclose(lines["LiteLVLM"].get_xydata(), ours[["budget", "value"]])
    assert set(lines["unpruned"].get_ydata()) == {chosen.loc["none", "value"]}
    assert lines["mask oracle"].get_linestyle() == ":"
    assert [label.get_text() for label in ax.get_xticklabels()] == ["8", "48"]
    assert ax.get_ylabel() == {"ciou": "cIoU", "giou": "gIoU", "p50": "P@0.5"}[metric]


def test_retention_draws_one_sided_bounds(saved_runs):
    table = table_of(saved_runs, "sweep", "comparisons")
    ax = sweep.draw_retention(table, new_axes())
    chosen = table[
        (table["metric"] == "ciou")
        & (table["reference"] == "none")
        & (table["method"] == "litelvlm")
    ]
    container = next(c for c in ax.containers if c.get_label() == "LiteLVLM")
    expected = chosen.sort_values("budget")
    np.testing.assert_allclose(container.lines[0].get_xydata(), expected[["budget", "retention"]])
    ends = np.array([segment[:, 1] for segment in container.lines[2][0].get_segments()])
    np.testing.assert_allclose(ends.min(1), expected["retention_bound"])
    np.testing.assert_allclose(ends.max(1), expected["retention"])


def test_differences_to_random_tokens_have_a_panel_per_budget(saved_runs):
    table = table_of(saved_runs, "sweep", "comparisons")
    drawn = FIGURES["delta_random"].draw(Saved(saved_runs["sweep"])).figure
    assert [ax.get_title() for ax in drawn.axes] == ["48 tokens", "8 tokens"]
    chosen = table[(table["metric"] == "ciou") & (table["reference"] == "random")].set_index(
        ["budget", "method"]
    )
    for ax, budget in zip(drawn.axes, (48, 8), strict=True):
        np.testing.assert_allclose(dots(ax)[0, 0], chosen.loc[(budget, "litelvlm"), "delta"])
        np.testing.assert_allclose(
            bars(ax)[0], chosen.loc[(budget, "litelvlm"), ["low", "high"]].astype(float)
        )
        assert len(dots(ax)) == len(chosen.loc[budget])
    assert drawn.axes[0].get_yticklabels()[0].get_text() == "LiteLVLM"
    assert [label.get_text() for label in drawn.axes[1].get_yticklabels()] == [""] * len(
        chosen.loc[8]
    )


def test_forest_puts_the_first_line_on_top():
    table = pd.DataFrame({"value": [0.2, -0.1], "low": [0.1, -0.3], "high": [0.3, 0.1]})
    ax = new_axes()
    axes.forest(ax, table, "value", ["first", "second"], ["#000000", "#ff0000"], null=0.0)
    assert ax.yaxis_inverted()
    np.testing.assert_allclose(dots(ax), [[0.2, 0], [-0.1, 1]])
    np.testing.assert_allclose(bars(ax), [[0.1, 0.3], [-0.3, 0.1]])


def test_notes_state_n_and_the_interval():
    table = pd.DataFrame({"n": [80, 80], "n_images": [38, 40]})
    assert (
        sample_note(table)
        == "n = 80 expressions from 38 to 40 images; 95 % intervals from resampling images."
    )


def test_a_figure_drawn_again_is_the_same_file(saved_runs, report):
    """The report drew all figures once, perhaps in another process."""
    first = {path.name: path for path in report.parent.glob("figures/*/*")}
    runs = {study: Saved(folder) for study, folder in saved_runs.items()}
    drawn = [
        name
        for name, figure in FIGURES.items()
        if figure.study in runs and figure.fits(runs[figure.study])
    ]
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
    with pytest.raises(ValueError, match="did you mean 'retention'"):
        write_figures("retentoin", [saved_runs["sweep"]], tmp_path)
    with pytest.raises(ValueError, match="study 'sweep'; given: sink"):
        write_figures("retention", [saved_runs["sink"]], tmp_path)
    with pytest.raises(ValueError, match="several runs of the study 'sink'"):
        write_figures("all", [saved_runs["sink"]] * 2, tmp_path)
    with pytest.raises(FileNotFoundError):
        write_figures("all", [tmp_path], tmp_path)
    with pytest.raises(ValueError, match="unknown figure format 'gif'"):
        style.encode(style.new_figure()[0], "png", "gif")
    assert list(tmp_path.iterdir()) == []


SMALL_SWEEPS = {
    "no random": ({"methods": ("litelvlm", "uniform", "mask_oracle")}, 4),
    "no oracles": ({"methods": ("litelvlm", "random")}, 4),
    "one method": ({"methods": ("uniform",)}, 4),
    "one that is not published": ({"methods": ("mask_oracle",)}, 4),
    "random alone": ({"methods": ("random",)}, 4),
    "no pruning": ({"methods": ("none",)}, 4),
    "one budget": ({"methods": ("litelvlm", "random"), "budgets": (48,)}, 4),
    "every token": ({"methods": ("litelvlm", "random"), "budgets": (144,)}, 4),
    "one image": ({"methods": ("litelvlm", "random", "mask_oracle")}, 1),
    "one of each": ({"methods": ("litelvlm",), "budgets": (8,)}, 1),
}
UNDRAWN = {
    "no random": {"delta_random"},
    "one method": {"delta_random"},
    "one that is not published": {"delta_random", "published"},
    "random alone": {"delta_random"},
    "no pruning": {"delta_random", "retention", "published"},
    "one of each": {"delta_random"},
}
"""Figures of "comparisons" that such a sweep has no lines for."""


@pytest.mark.usefixtures("coarse_figures")
@pytest.mark.parametrize("kind", SMALL_SWEEPS)
def test_a_small_sweep_is_drawn_as_far_as_it_goes(kind, tmp_path):
    fields, images = SMALL_SWEEPS[kind]
    config = sweep_study.Config(
        **{"budgets": (48, 16), "seeds": 2, "protocol": "official"} | fields
    )
    run = complete_run(
        sweep_study.STUDY, PlantedModel("instance"), planted_data(images), config, tmp_path / "runs"
    )
    drawn = {figure.name for figure in write_figures("all", [run], tmp_path / "all")}
    assert {"accuracy_ciou", "accuracy_giou"} <= drawn
    missing = {"retention", "delta_random", "published"} - drawn
    assert missing == UNDRAWN.get(kind, set())
    for name in missing:
        with pytest.raises(ValueError, match=f"figure '{name}' cannot be drawn from .*accuracy_"):
            write_figures(name, [run], tmp_path / "one")
    assert not (tmp_path / "one").exists()


@pytest.mark.usefixtures("coarse_figures")
def test_importance_of_one_image_is_drawn_without_intervals(tmp_path):
    run = planted_importance(tmp_path / "runs", n_images=1)
    table = read_summary(run).table("agreement")
    assert table["low"].isna().all()
    drawn = {figure.name for figure in write_figures("all", [run], tmp_path / "figures")}
    assert {"importance_scores", "importance_partial", "importance_reinitialised"} <= drawn
