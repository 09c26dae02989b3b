"""Names, colours and order of the scores and signals in figures of importance."""

import pandas as pd

from litelvlm.analysis.signals import targets

KEY = ["signal", "removal"]
SIGNALS = {
    ("attention_middle", ""): ("attention, middle layers", "litelvlm"),
    ("leave_one_out", "drop"): ("loss when a block is dropped", "high_similarity"),
    ("relevance", ""): ("gradient-weighted attention", "mask_oracle"),
    ("input_x_gradient", ""): ("input x gradient", "inverse_mask_oracle"),
}
"""(signal, removal) to its name and the method whose colour and marker it has."""
SCORES = {
    "low_similarity": "reversed similarity",
    "low_input_similarity": "reversed input similarity",
    "received_attention": "attention received in the tower",
    "tower_value_norm": "value norm in the tower",
    "cosine_low_similarity": "reversed cosine similarity",
    "context": "context",
    "cls_attention": "attention of CLS",
    "value_norm": "value norm",
    "state_norm": "state norm",
    "cls_cosine": "cosine to CLS",
    "centre_distance": "nearness to the centre",
    "random": "random",
    "coverage": "the true mask",
}
"""Scores in the order in which they are shown, and their names."""
OVERLAPS = {
    "low_similarity": "litelvlm",
    "low_input_similarity": "litelvlm",
    "coverage": "mask_oracle",
    "centre_distance": "centre_distance",
    "random": "random",
}
"""Scores whose overlap at the top is drawn, and the method whose colour and marker each has."""


def main_target(table: pd.DataFrame) -> pd.DataFrame:
    """Lines of what the model's kind of answer is measured by; attention has no target."""
    return table[table["target"].isin(["", targets.main_target(table["target"])])]
