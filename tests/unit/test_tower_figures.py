"""Figures of the studies of both towers draw the numbers of their tables."""

import numpy as np
import pandas as pd
from matplotlib.collections import LineCollection, PathCollection

from litelvlm.analysis.api import read_rows, read_summary
from litelvlm.figures import mechanism, sink, sink_causal
from litelvlm.figures.groups import categories
from tests.figure_files import style

PROBES = pd.DataFrame(
    [
        ["released", "as released", 0.30, 0.20, 0.40, 0.30, "kept"],
        ["identity_attention", "identity", 0.02, -0.02, 0.04, 0.30, "removed"],
        ["surgery", "surgery", 0.80, 0.70, 0.90, 0.30, "amplified"],
    ],
    columns=["probe", "name", "ri", "ri_low", "ri_high", "ri_base", "verdict"],
)


def new_axes():
    return style.new_figure()[1]


def dots(ax, which=0):
    return [c for c in ax.collections if isinstance(c, PathCollection)][which].get_offsets()


def bars(ax, which=0):
    lines = [c for c in ax.collections if isinstance(c, LineCollection)][which]
    return np.array([[segment[0][0], segment[1][0]] for segment in lines.get_segments()])


def test_probes_are_drawn_with_intervals_and_coloured_by_verdict():
    ax = mechanism.draw_probes(PROBES, new_axes())
    np.testing.assert_allclose(dots(ax)[:, 0], PROBES["ri"])
    np.testing.assert_allclose(bars(ax), PROBES[["ri_low", "ri_high"]])
    assert [label.get_text() for label in ax.get_yticklabels()][1] == "identity"
    assert ax.yaxis_inverted()
    _, labels = ax.get_legend_handles_labels()
    assert labels == ["kept", "removed", "amplified"]
    # The dotted line is the index as released, where its dot lies.
    assert any(line.get_xdata()[0] == 0.30 for line in ax.get_lines())


def test_categories_are_drawn_largest_first_with_their_intervals_and_number():
    table = pd.DataFrame(
        {
            "claim": "H1.sign",
            "category": ["cross", "triangle"],
            "ri": [0.75, -0.73],
            "low": [0.7, -0.8],
            "high": [0.8, -0.6],
            "n": [40, 35],
            "n_images": [30, 25],
        }
    )
    ax = categories.draw_categories(table, "ri", new_axes())
    np.testing.assert_allclose(dots(ax)[:, 0], table["ri"])
    np.testing.assert_allclose(bars(ax), table[["low", "high"]])
    assert [t.get_text() for t in ax.get_yticklabels()] == ["cross (40)", "triangle (35)"]


def test_with_many_categories_the_middle_ones_are_named_as_left_out():
    n = 50
    table = pd.DataFrame({"category": [f"c{k}" for k in range(n)], "ri": np.linspace(1, -1, n)})
    table = table.assign(low=table["ri"] - 0.1, high=table["ri"] + 0.1, n=10, n_images=9)
    shown, left_out = categories.shown_categories(table, "ri")
    assert len(shown) == 2 * categories.ENDS
    assert left_out == (0, n - len(shown))
    assert shown["category"].iloc[0] == "c0"
    assert shown["category"].iloc[-1] == "c49"
    few = table.assign(n=[9] * 30 + [4] * 20)
    shown, left_out = categories.shown_categories(few, "ri")
    assert (len(shown), left_out) == (24, (20, 6))
    said = categories.excluded_text(left_out)
    assert "20 others" in said
    assert "6 between them" in said
    assert shown["category"].iloc[-1] == "c29"


def test_positions_set_attention_beside_what_it_carries_and_uniform_attention(saved_runs):
    table = read_summary(saved_runs["sink"]).table("positions")
    lines = {
        line.get_label(): line for line in sink.draw_positions(table, "[SOS]", new_axes()).lines
    }
    assert set(lines) == {*sink.KINDS, sink.UNIFORM}
    for kind, line in lines.items():
        own = table[(table["role"] == "[SOS]") & (table["kind"] == kind)].sort_values("layer")
        np.testing.assert_allclose(line.get_xydata(), own[["layer", "share"]])
    rows = read_rows(saved_runs["sink"])
    asked = rows[(rows["text_mode"] == "template") & (rows["weights"] == "trained")]
    lengths = asked.drop_duplicates("sent_id")["n_tokens"]
    np.testing.assert_allclose(lines[sink.UNIFORM].get_ydata(), (1 / lengths).mean())


def test_effects_go_from_all_layers_to_single_ones():
    cells = [
        ["mask_content", "layer 10", "d_ri", 0.1, 0.0, 0.2],
        ["mask_sos", "layer 2", "d_ri", 0.2, 0.1, 0.3],
        ["mask_word", "all", "d_ri", 0.3, 0.2, 0.4],
        ["mask_sos", "all", "d_ri", 0.4, 0.3, 0.5],
        ["mask_sos", "all", "d_ts", 9.0, 8.0, 10.0],
    ]
    table = pd.DataFrame(
        cells, columns=["intervention", "layer_set", "measure", "mean", "low", "high"]
    )
    ax = sink_causal.draw_effects(table, "d_ri", new_axes())
    np.testing.assert_allclose(dots(ax)[:, 0], [0.4, 0.3, 0.2, 0.1])
    np.testing.assert_allclose(bars(ax), [[0.3, 0.5], [0.2, 0.4], [0.1, 0.3], [0.0, 0.2]])
    names = [label.get_text() for label in ax.get_yticklabels()]
    assert names == [
        "[SOS] hidden, all layers",
        "each word hidden in turn, all layers",
        "[SOS] hidden, layer 2",
        "a random content token hidden, layer 10",
    ]
