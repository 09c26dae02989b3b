"""Figures of the sink study: how much does [EOS] attend to [SOS], which stands for no word?"""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from litelvlm.figures import style
from litelvlm.figures.axes import band, heatmap, legend_beside
from litelvlm.figures.saved import Drawing, RenderedFigure, Saved, sample_note

LINES = {
    ("trained", "template"): style.look("litelvlm", "trained, the method's sentences"),
    ("trained", "expression"): style.look("low_similarity", "trained, bare expressions"),
    ("trained", "permuted"): style.look("high_similarity", "trained, words permuted"),
    ("random", "template"): style.look("random", "random weights"),
}
"""(weights, wording) to how its line is drawn."""
WORDINGS = {
    "template": "the method's sentences",
    "expression": "bare expressions, as captions",
    "permuted": "words permuted",
}
"""Wordings of the grid, from texts like those of training to texts unlike them."""
FEW_HEADS = 6
"""Most heads whose numbers can be read in the cells of the grid."""
KINDS = {"attention": "high_similarity", "carried by norm": "litelvlm"}
"""Kinds of share, with the method whose colour and marker each has."""
UNIFORM = "uniform"
"""The kind of share that uniform attention has."""


def draw_grid(
    table: pd.DataFrame, margin: float, ax: Axes, ends: tuple[float, float] | None = None
) -> Axes:
    """Lift of attention from [EOS] to [SOS] over uniform attention, per layer and head.

    Args:
        table: Lines of one wording of the summary's table "grid": layer, head, lift, low, high.
        margin: Differences of the lift below it count as none.
        ax: Where to draw; rows are layers from input to output, columns heads. A star marks a head
            whose whole interval lies further than the margin from uniform attention: an effect that
            is large enough to count, and not only one that is sure. Numbers stand in the cells
            where they fit.
        ends: Lowest and highest lift of the colours; those of the table if left out. No colour bar
            is drawn if they are given.
    """
    wide = table.pivot(index="layer", columns="head", values="lift")
    beyond = (table["low"] > 1 + margin) | (table["high"] < 1 - margin)
    stars = table.assign(beyond=beyond).pivot(index="layer", columns="head", values="beyond")
    texts = stars.map(lambda far: "*" if far else "")
    if wide.shape[1] <= FEW_HEADS:
        texts = wide.map("{:.2f}".format) + texts
    bar = "" if ends else "lift (1: uniform attention)"
    heatmap(ax, wide, bar, centre=1.0, ends=ends, texts=texts)
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
    for (weights, mode), look in LINES.items():
        line = lift[(lift["weights"] == weights) & (lift["text_mode"] == mode)]
        band(ax, line, "layer", "mean", look)
    ax.axhline(1, color=style.MUTED, linewidth=0.8, zorder=0)
    ax.set_xticks(sorted(lift["layer"].unique()))
    ax.set(xlabel="layer of the text tower", ylabel="lift (1: uniform attention)")
    ax.legend(loc="best")
    return ax


def draw_positions(table: pd.DataFrame, role: str, ax: Axes) -> Axes:
    """Share of the [EOS] row on one kind of position in every layer: attention, content by norm.

    Args:
        table: The summary's table "positions": layer, role, kind, share, low, high.
        role: Kind of position.
        ax: Where to draw; one line with its band per kind of share. The dotted line is the share
            that uniform attention over the same tokens has.
    """
    here = table[table["role"] == role]
    for kind, method in KINDS.items():
        band(ax, here[here["kind"] == kind], "layer", "share", style.look(method, kind))
    uniform = here[here["kind"] == UNIFORM].sort_values("layer")
    ax.plot(uniform["layer"], uniform["share"], color=style.INK, linestyle=":", label=UNIFORM)
    ax.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    return ax


def draw_entropy(table: pd.DataFrame, ax: Axes) -> Axes:
    """Entropy of the [EOS] row against the number of tokens, under the curve of uniform attention.

    Args:
        table: The summary's table "length": weights, text_mode, n_tokens, entropy, uniform_entropy
            (in nats).
        ax: Where to draw; one line per wording and weights.
    """
    means = table.assign(low=table["entropy"], high=table["entropy"])
    for (weights, mode), look in LINES.items():
        line = means[(means["weights"] == weights) & (means["text_mode"] == mode)]
        band(ax, line, "n_tokens", "entropy", look)
    curve = table.drop_duplicates("n_tokens").sort_values("n_tokens")
    ends, label = curve["uniform_entropy"], "uniform attention"
    ax.plot(curve["n_tokens"], ends, color=style.INK, linestyle=":", label=label)
    ax.set(xlabel="tokens from [SOS] to [EOS]", ylabel="entropy in nats")
    return legend_beside(ax)


@Drawing("sink", ("grid",))
def sink_grid(run: Saved) -> RenderedFigure:
    """Lift of attention from [EOS] to [SOS] over uniform, per wording, layer and head."""
    table = run.table("grid")
    (least,) = (claim.null for claim in run.summary.claims if claim.id == "H4")
    margin = round(least - 1, 12)  # of the run, which H4 must exceed
    wordings = [mode for mode in WORDINGS if (table["text_mode"] == mode).any()]
    height = 1.7 + 0.22 * table["layer"].nunique()
    figure, axes = style.new_panels(len(wordings), style.PAGE, height, sharex=True, sharey=True)
    ends = float(table["lift"].min()), float(table["lift"].max())
    for ax, mode in zip(axes, wordings, strict=True):
        draw_grid(table[table["text_mode"] == mode], margin, ax, ends)
        ax.set_title(WORDINGS[mode], fontsize=8.5)
        ax.label_outer()
    colours = axes[0].collections[0]
    figure.colorbar(colours, ax=axes, label="lift (1: uniform attention)", pad=0.01)
    style.heading(figure, run.title("Attention of [EOS] to [SOS]"))
    what = (
        f"stars: the 95 % interval lies further than {margin:g} from uniform attention; "
        "no caption has its words permuted, so these texts lie outside the training "
        "distribution; exploratory"
    )
    return RenderedFigure(figure, sample_note(table, what))


@Drawing("sink", ("layers",))
def sink_layers(run: Saved) -> RenderedFigure:
    """Lift of attention from [EOS] to [SOS] by layer, with permuted words and random weights."""
    table = run.table("layers")
    figure, ax = style.new_figure(5.4, 3.4)
    draw_layers(table, ax).set_title(run.title("Attention of [EOS] to [SOS] by layer"))
    shown = table[(table["measure"] == "lift") & (table["query"] == "eos")]
    return RenderedFigure(figure, sample_note(shown))


@Drawing("sink", ("positions",))
def sink_positions(run: Saved) -> RenderedFigure:
    """Attention of [EOS], and what it receives, by kind of position in every layer."""
    table = run.table("positions")
    roles = list(dict.fromkeys(table["role"]))
    figure, axes = style.new_panels(len(roles), style.PAGE, 2.9, sharex=True, sharey=True)
    for ax, role in zip(axes, roles, strict=True):
        draw_positions(table, role, ax).set_title(role, fontsize=8.5)
    axes[0].set_ylim(bottom=0)
    axes[0].set_ylabel("share of what [EOS] receives")
    figure.supxlabel("layer of the text tower", fontsize=9)
    legend_beside(axes[-1])
    style.heading(figure, run.title("What [EOS] attends to, and what it receives from there"))
    what = "bands: 95 % intervals from resampling images; dotted: uniform attention, same tokens"
    return RenderedFigure(figure, sample_note(table, what))


@Drawing("sink", ("length",))
def sink_entropy(run: Saved) -> RenderedFigure:
    """Entropy of the attention of [EOS] against the number of tokens."""
    table = run.table("length")
    figure, ax = style.new_figure(6.4, 3.2)
    draw_entropy(table, ax).set_title(run.title("How spread is the attention of [EOS]?"))
    return RenderedFigure(figure, sample_note(table, "means over layers and heads at each length"))


DRAWINGS = (sink_grid, sink_layers, sink_positions, sink_entropy)
