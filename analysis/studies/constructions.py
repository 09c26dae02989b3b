"""What a ranking of the reversal study is made of, for its rows, tables and figures.

The module imports no model, since figures read it.
"""

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
import pandas as pd

from litelvlm.analysis.inputs.labels import MIN_VISIBLE

Construction = tuple[str, int, str, str]
"""Probe, layer, similarity and text: what a ranking is made of."""
PRIMARY: Construction = ("released", -2, "dot", "template")
"""The primary ranking: that of the released method."""
SUBSTITUTES: Mapping[str, Construction] = MappingProxyType(
    {
        "input_similarity": ("input_similarity", 0, "cos", "template"),
        "llm_attention": ("llm_attention", 0, "none", "template"),
        "received_attention": ("received_attention", 0, "none", "none"),
        "tower_value_norm": ("tower_value_norm", 0, "none", "none"),
    }
)
"""The primary ranking of each score that stands in for CLIP's; the first one leads."""


def select(
    rows: pd.DataFrame, key: Construction, control: str = "none", min_visible: float = MIN_VISIBLE
) -> pd.DataFrame:
    """Rows of one construction with primary labels, by expression.

    Raises:
        ValueError: If an expression occurs twice, as in the rows of several runs or CLIP models.
    """
    names = ("probe", "layer", "sim", "text_mode", "control", "labels")
    wanted = zip(names, (*key, control, "primary"), strict=True)
    matches = [rows[name] == value for name, value in wanted]
    visible = rows["visible_frac"] >= min_visible
    by_expression = rows[np.logical_and.reduce([visible, *matches])].set_index("sent_id")
    if not by_expression.index.is_unique:
        raise ValueError(
            "the rows hold an expression twice; give the rows of one run and one CLIP model"
        )
    return by_expression
