"""The closed table of studies."""

STUDIES = (
    "reversal",
    "mechanism",
    "sink",
    "sink_causal",
    "importance",
    "faithfulness",
    "sweep",
    "ablations",
)
"""Studies in the order in which all of them run. Each is a folder here that holds a ``STUDY``."""

BENCH = "efficiency"
"""A study that times the machine; it runs by itself (``litelvlm bench``), never among the others."""
