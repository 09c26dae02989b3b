"""Figures of the sink study: how much does [EOS] attend to [SOS], which stands for no word?"""

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes

from litelvlm.figures import style
from litelvlm.figures.axes import band
from litelvlm.figures.saved import Drawing, RenderedFigure, Saved, sample_note

LINES = {
    ("trained", "template"): ("trained, the method's sentences", "litelvlm"),
    ("trained", "expression"): ("trained, bare expressions", "low_similarity"),
    ("trained", "permuted"): ("trained, words permuted", "high_similarity"),
    ("random", "template"): ("random weights", "random"),
}
"""(weights, wording) to its name and the method whose colour it has."""
MARGIN = 0.1
"""Differences of the lift below it count as none, as in the study."""
KINDS = {"attention": "high_similarity", "carried by norm": "litelvlm"}
"""Kinds of share, with the method whose colour and marker each has."""


def draw_grid(table: pd.DataFrame, ax: Axes) -> Axes:
    """Lift of attention from [EOS] to [SOS] over uniform attention, per layer and head.

    Args:
        table: The summary's table "grid": layer, head, lift, low, high.
        ax: Where to draw; rows are layers from input to output, columns heads. A star marks a head
            whose whole interval lies further than ``MARGIN`` from uniform attention: an effect that
            is large enough to count, and not only one that is sure.
    """
    wide = table.pivot(index="layer", columns="head", values="lift")
    beyond = (table["low"] > 1 + MARGIN) | (table["high"] < 1 - MARGIN)
    stars = table.assign(beyond=beyond).pivot(index="layer", columns="head", values="beyond")
    texts = wide.map("{:.2f}".format) + stars.map(lambda far: "*" if far else "")
    sns.heatmap(
        wide,
        annot=texts,
        fmt="",
        annot_kws={"size": 7},
        cmap="vlag",
        center=1.0,
        linewidths=0.5,
        cbar_kws={"label": "lift (1: uniform attention)"},
        ax=ax,
    )
    ax.set(xlabel="head", ylabel="layer")
    return ax


def draw_layers(table: pd.DataFrame, ax: Axes) -> Axes:
    """Lift per layer, mean over heads, for trained and random weights.

    Args:
        table: The summary's table "layers": weights, text_mode, query, layer, measure, mean, low,
            high.
        ax: Where to draw; one line with a band per wording and weights.
    """
    lift = table[(table["measure"] == "lift") & (table["query"] == "eos")]
    for (weights, mode), (name, method) in LINES.items():
        line = lift[(lift["weights"] == weights) & (lift["text_mode"] == mode)]
        if not line.empty:
            band(ax, line, "layer", "mean", method, name)
    ax.axhline(1, color=style.MUTED, linewidth=0.8, zorder=0)
    ax.set_xticks(sorted(lift["layer"].unique()))
    ax.set(xlabel="layer of the text tower", ylabel="lift (1: uniform attention)")
    ax.legend(loc="best")
    return ax


def draw_positions(table: pd.DataFrame, layer: int, ax: Axes) -> Axes:
    """Share of the [EOS] row by kind of position in one layer: attention, and content by norm.

    Args:
        table: The summary's table "positions": layer, role, kind, share, low, high.
        layer: Of the text tower.
        ax: Where to draw; two dots with intervals per kind of position.
    """
    here = table[table["layer"] == layer]
    roles = list(dict.fromkeys(here["role"]))
    for offset, (kind, method) in zip((-0.12, 0.12), KINDS.items(), strict=True):
        line = here[here["kind"] == kind].set_index("role").loc[roles]
        places = [place + offset for place in range(len(roles))]
        ax.hlines(places, line["low"], line["high"], colors=style.colour(method), linewidth=1.4)
        ax.scatter(
            line["share"],
            places,
            color=style.colour(method),
            marker=style.mark(method),
            s=22,
            label=kind,
        )
    ax.set_yticks(range(len(roles)), roles)
    ax.set_ylim(len(roles) - 0.5, -0.5)
    ax.set(xlim=(0, 1), xlabel=f"share of what [EOS] receives, layer {layer}")
    ax.legend(loc="best")
    return ax


def draw_entropy(table: pd.DataFrame, ax: Axes) -> Axes:
    """Entropy of the [EOS] row against the number of tokens, under the curve of uniform attention.

    Args:
        table: The summary's table "length": weights, text_mode, n_tokens, entropy, uniform_entropy
            (in nats).
        ax: Where to draw; one line per wording and weights.
    """
    for (weights, mode), (name, method) in LINES.items():
        line = table[(table["weights"] == weights) & (table["text_mode"] == mode)].sort_values(
            "n_tokens"
        )
        if not line.empty:
            ax.plot(
                line["n_tokens"],
                line["entropy"],
                color=style.colour(method),
                marker=style.mark(method),
                markersize=4.5,
                label=name,
            )
    curve = table.drop_duplicates("n_tokens").sort_values("n_tokens")
    ax.plot(
        curve["n_tokens"],
        curve["uniform_entropy"],
        color=style.INK,
        linestyle=":",
        label="uniform attention",
    )
    ax.set(xlabel="tokens from [SOS] to [EOS]", ylabel="entropy in nats")
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return ax


def _grid(run: Saved) -> RenderedFigure:
    table = run.table("grid")
    figure, ax = style.new_figure(
        max(4.4, 1.8 + 0.5 * table["head"].nunique()), 1.6 + 0.4 * table["layer"].nunique()
    )
    draw_grid(table, ax).set_title(run.title("Attention of [EOS] to [SOS]"))
    return RenderedFigure(
        figure,
        sample_note(
            table,
            f"stars: the 95 % interval lies further than {MARGIN:g} from uniform attention; "
            "exploratory",
        ),
    )


def _layers(run: Saved) -> RenderedFigure:
    table = run.table("layers")
    figure, ax = style.new_figure(5.4, 3.4)
    draw_layers(table, ax).set_title(run.title("Attention of [EOS] to [SOS] by layer"))
    return RenderedFigure(
        figure, sample_note(table[(table["measure"] == "lift") & (table["query"] == "eos")])
    )


def _positions(run: Saved) -> RenderedFigure:
    table = run.table("positions")
    last = int(table["layer"].max())
    figure, ax = style.new_figure(5.6, 3.0)
    draw_positions(table, last, ax).set_title(
        run.title("What [EOS] attends to, and what it receives from there")
    )
    return RenderedFigure(figure, sample_note(table[table["layer"] == last]))


def _entropy(run: Saved) -> RenderedFigure:
    table = run.table("length")
    figure, ax = style.new_figure(6.4, 3.2)
    draw_entropy(table, ax).set_title(run.title("How spread is the attention of [EOS]?"))
    return RenderedFigure(figure, sample_note(table, "means over layers and heads at each length"))


DRAWINGS = {
    "sink_grid": Drawing(
        "sink",
        "Lift of attention from [EOS] to [SOS] over uniform, per layer and head.",
        _grid,
        ("grid",),
    ),
    "sink_layers": Drawing(
        "sink",
        "Lift of attention from [EOS] to [SOS] by layer, with permuted words and random weights.",
        _layers,
        ("layers",),
    ),
    "sink_positions": Drawing(
        "sink",
        "Attention of [EOS], and what it receives, by kind of position.",
        _positions,
        ("positions",),
    ),
    "sink_entropy": Drawing(
        "sink",
        "Entropy of the attention of [EOS] against the number of tokens.",
        _entropy,
        ("length",),
    ),
}
