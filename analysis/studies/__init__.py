"""The closed table of studies."""

from collections.abc import Mapping
from types import MappingProxyType

QUESTIONS: Mapping[str, str] = MappingProxyType(
    {
        "mechanism": "Which part of CLIP makes the referent's tokens dissimilar to the text?",
        "reversal": (
            "Do the referent's tokens have low similarity to the text, and "
            "does that depend on the text?"
        ),
        "sink": "Does the text tower's [EOS] attend to [SOS] more than uniform attention would?",
        "sink_causal": "Does the text tower's attention sink cause the reversal?",
        "emergence": (
            "Which conditions of training create the reversal and the sink in small CLIPs?"
        ),
        "importance": (
            "Do the tokens that the reversed ranking keeps matter inside the language model?"
        ),
        "faithfulness": "Does a ranking of tokens predict what their removal does to the mask?",
        "sweep": "How much of the unpruned accuracy does each method keep at each token budget?",
        "ablations": (
            "What is left of the method when each part of it is removed, reversed or replaced?"
        ),
        "video": "What does pruning do to clips, and where in the model must it happen?",
        "quantisation": "Does pruning cost more where the language model has fewer bits?",
        "finetuning": "Does the choice of tokens still matter once the model may adapt to it?",
    }
)
"""The question of each study, in the order in which they run. Each is a folder here that holds a
``STUDY``. The questions are here so that listing them imports no study."""

STUDIES = tuple(QUESTIONS)
"""Names of the studies in the order in which they run."""

BY_NAME = ("quantisation", "finetuning")
"""Studies that run only where they are named, never with "all": they need an extra package."""

BUNDLED: Mapping[str, tuple[str, str]] = MappingProxyType(
    {"video": ("embedded-video", "embedded-moving")}
)
"""Model and data of studies that ask about clips, where a command names neither."""

BENCH = "efficiency"
"""The study that times the machine; ``litelvlm bench`` runs it by itself, never with the others."""

ANSWERS = "understanding"
"""The study whose data are questions; ``litelvlm evaluate --task`` runs it."""

EVERY_STUDY = (*STUDIES, BENCH, ANSWERS)
"""Every study in the order of a report."""
