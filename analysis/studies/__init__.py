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
    "quantisation",
)
"""Studies in the order in which they run. Each is a folder here that holds a ``STUDY``."""

BY_NAME = ("quantisation",)
"""Studies that run only where they are named, never with "all": they need an extra package."""

BENCH = "efficiency"
"""The study that times the machine; ``litelvlm bench`` runs it by itself, never with the others."""
