"""Figures of both sink studies: how much [EOS] attends to [SOS], and what changes without it.

[SOS] stands for no word.
"""

from textwrap import fill

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from litelvlm.figures import style
from litelvlm.figures.axes import WIDER, band, forest, heatmap, legend_beside
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
CHANGES = {
    "mask_sos": ("[SOS] hidden", "#D55E00"),
    "zero_sos_value": ("value of [SOS] set to zero", "#E69F00"),
    "mean_sos_value": ("mean value of [SOS]", "#8C8C8C"),
    "mask_content": ("a random content token hidden", "#0072B2"),
    "zero_content_value": ("value of a content token set to zero", "#009E73"),
    "mask_word": ("each word hidden in turn", "#56B4E9"),
}
"""Interventions in the order in which they are shown, with names and colours."""
MEASURES = {
    "abs_d_ri": "size of the change of the reversal index",
    "kept_changed": "share of kept tokens exchanged, 1 − Jaccard",
    "text_moved": "turn of the text embedding, 1 − cosine",
    "d_ri": "signed change of the reversal index",
}
LETTERS = 24
"""Most letters in one line below a panel."""
SIZES = ("abs_d_ri", "kept_changed", "text_moved")
"""Measures of the size of a change, one panel each."""


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
    figure.supxlabel("layer of the text tower", fontsize="medium")
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


def effects_of(table: pd.DataFrame, measure: str) -> pd.DataFrame:
    """Lines of one measure: interventions in all layers, in the last third, in single layers."""
    chosen = table[table["measure"] == measure]
    single = set(chosen["layer_set"]) - {"all", "last third"}
    places = ["all", "last third", *sorted(single, key=lambda layer: int(layer.split()[-1]))]
    changes = list(CHANGES)
    order = chosen["layer_set"].map(places.index) * len(changes)
    order += chosen["intervention"].map(changes.index)
    return chosen.assign(order=order).sort_values("order")


def draw_effects(table: pd.DataFrame, measure: str, ax: Axes) -> Axes:
    """One dot with its interval per intervention and set of layers.

    Args:
        table: The summary's table "effects": intervention, layer_set, measure, mean, low, high.
        measure: One of ``MEASURES``.
        ax: Where to draw, interventions in all layers on top.
    """
    chosen = effects_of(table, measure)
    places = chosen["layer_set"].replace("all", "all layers")
    pairs = zip(chosen["intervention"], places, strict=True)
    names = [f"{CHANGES[change][0]}, {place}" for change, place in pairs]
    colours = [CHANGES[change][1] for change in chosen["intervention"]]
    forest(ax, chosen, "mean", names, colours)
    ax.set(xlabel=MEASURES[measure])
    return ax


@Drawing("sink_causal", ("effects",))
def sink_effects(run: Saved) -> RenderedFigure:
    """How much index, kept tokens and embedding change without [SOS], or without a word."""
    table = run.table("effects")
    measures = [name for name in SIZES if (table["measure"] == name).any()]
    lines = effects_of(table, measures[0])
    figure, axes = style.new_panels(len(measures), style.PAGE, 1.3 + 0.17 * len(lines))
    for measure, ax in zip(measures, axes, strict=True):
        draw_effects(table, measure, ax).set_xlim(left=0)
        ax.set_ylim(len(lines) - 0.4, -0.6)
        ax.tick_params(labelsize=7)
        ax.xaxis.set_major_locator(MaxNLocator(3))
        ax.set_xlabel(fill(MEASURES[measure], LETTERS), fontsize=8)
        if ax is not axes[0]:
            ax.set_yticklabels([])
    style.heading(figure, run.title("Does the sink cause the reversal?"))
    what = (
        f"means of absolute changes per expression; 95 % intervals from resampling images; {WIDER}"
    )
    return RenderedFigure(figure, sample_note(lines, what))


DRAWINGS = (sink_grid, sink_layers, sink_positions, sink_entropy, sink_effects)
