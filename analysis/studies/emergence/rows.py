"""Rows of the emergence study: their columns, and how a measured value becomes one."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from litelvlm.analysis.runs.columns import Column, Row
from litelvlm.arrays import NDArray

COLUMNS: tuple[Column, ...] = (
    Column("training", str, "Name of the training: stage, cell and seed."),
    Column("stage", str, "Part of the design: 'A' text towers, 'B' and 'C' symbols, 'D' pixels."),
    Column("cell", str, "Condition: the factors that differ from the stage's base."),
    Column("seed", int, "Seed of the training; a block of the design."),
    Column("step", int, "Optimiser steps before the measurement."),
    Column("final", bool, "Whether the training ends there."),
    Column("measure", str, "What is measured, such as 'reversal', 'lift' or 'found'."),
    Column("text", str, "Kind of text ('true', 'queries', ...), or what chose a reader's tokens."),
    Column("layer", int, "Image layer from the end (-2 is used), or text layer from 0."),
    Column("head", int, "Head of the text tower; -1 for the mean over heads."),
    Column("category", str, "One category, 'alone' for single objects; empty for all."),
    Column("value", float, "The measured mean."),
    Column("sd", float, "Spread of what it is the mean of; nan for a single number."),
    Column("budget", float, "Share of tokens that a reader keeps; nan for what is not pruned."),
    Column("n", int, "Referents, scenes or sentences that it is the mean of."),
    Column("image", str, "Image side: 'bag' of objects, symbols on a 'grid', or 'pixels'."),
    Column("loss", str, "'softmax' or 'sigmoid'."),
    Column("helper", float, "Weight of the dense helper."),
    Column("uninformative", float, "Share of captions that say nothing about their picture."),
    Column("filler", int, "Most words without content around a caption."),
    Column("scope", str, "What a caption names."),
    Column("questions", float, "Share of informative captions that are questions of the suite."),
    Column("clutter", int, "Most objects in a scene."),
    Column("categories", int, "Number of categories."),
    Column("text_depth", int, "Blocks of the text tower."),
    Column("image_depth", int, "Blocks of the image tower."),
    Column("width", int, "Width of both towers."),
    Column("registers", int, "Learned tokens of the image tower that stand for no patch."),
    Column("rate", float, "Peak learning rate."),
    Column("weight_decay", float, "Weight decay."),
    Column("steps", int, "Optimiser steps of the whole training."),
    Column("batch", int, "Scenes a step."),
    Column("sharpness", float, "Factor on the text tower's queries and keys at the start."),
    Column("pooling", str, "'cls' or 'mean'."),
    Column("text_pooling", str, "'eos' or 'words'."),
    Column("helper_from", float, "Share of the steps after which the helper joins."),
    Column("sos_loss", float, "Weight of a loss that makes a sink on [SOS]."),
)


def row(
    measure: str,
    value: float,
    n: int,
    text: str = "",
    layer: int = 0,
    head: int = -1,
    category: str = "",
    sd: float = float("nan"),
) -> Row:
    """One value; ``n`` counts what it is the mean of, ``sd`` is their spread."""
    return {
        "measure": measure,
        "text": text,
        "layer": layer,
        "head": head,
        "category": category,
        "value": float(value),
        "sd": float(sd),
        "n": int(n),
    }


def mean_row(
    measure: str,
    values: Sequence[float] | Float[NDArray[np.float64], " n"],
    text: str,
    layer: int,
    head: int = -1,
    category: str = "",
) -> Row:
    """The mean of some values with their spread; none with a single one."""
    sd = float(np.std(values, ddof=1)) if len(values) > 1 else float("nan")
    return row(measure, float(np.mean(values)), len(values), text, layer, head, category, sd)
