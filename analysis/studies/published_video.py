"""Numbers that the authors of LiteLVLM publish about videos; nothing here measures beside them."""

import pandas as pd

VIDEO_SOURCE = (
    "LiteLVLM project page, static/js/evaluation-table.js "
    "(childult-programmer/LiteLVLM.github.io, commit 563ede5d278cdd6014308dbb396874ec89acb3a6): "
    "VideoGLaMM with 576 visual tokens; J, F, their mean J&F and the share of J&F kept, in percent"
)

VIDEO: dict[tuple[str, str, int], tuple[float, float, float, float]] = {
    ("Ref-DAVIS-17", "unpruned", 576): (65.6, 73.3, 69.5, 100.0),
    ("Ref-DAVIS-17", "VisPruner", 196): (61.2, 67.4, 64.3, 92.5),
    ("Ref-DAVIS-17", "LiteLVLM", 196): (66.8, 71.6, 69.2, 99.5),
    ("Ref-DAVIS-17", "VisPruner", 81): (57.1, 63.5, 60.3, 86.7),
    ("Ref-DAVIS-17", "LiteLVLM", 81): (64.3, 67.8, 66.1, 95.1),
    ("Refer-YouTube-VOS", "unpruned", 576): (65.4, 68.2, 66.8, 100.0),
    ("Refer-YouTube-VOS", "VisPruner", 196): (60.6, 63.9, 62.3, 93.2),
    ("Refer-YouTube-VOS", "LiteLVLM", 196): (65.1, 67.9, 66.5, 99.5),
    ("Refer-YouTube-VOS", "VisPruner", 81): (58.1, 62.2, 60.1, 89.9),
    ("Refer-YouTube-VOS", "LiteLVLM", 81): (60.8, 67.6, 64.2, 96.1),
}
"""Published J, F, J&F and Rel. by data set, method and visual tokens."""


def video() -> pd.DataFrame:
    """The published table.

    Returns:
        Columns data, method (as published), tokens, J, F, J&F and Rel., all scores in percent.

    Example:
        >>> float(video()["J&F"].max())
        69.5
    """
    rows = [(*key, *scores) for key, scores in VIDEO.items()]
    return pd.DataFrame(rows, columns=["data", "method", "tokens", "J", "F", "J&F", "Rel."])
