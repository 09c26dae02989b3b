"""The closed table of studies."""

STUDIES = (
    "reversal",
    "mechanism",
    "sink",
    "sink_causal",
    "emergence",
    "importance",
    "faithfulness",
    "sweep",
    "ablations",
)
"""Studies in the order in which all of them run. Each is a folder here that holds a ``STUDY``."""

BENCH = "efficiency"
"""The study that times the machine; ``litelvlm bench`` runs it by itself, never with the others."""
