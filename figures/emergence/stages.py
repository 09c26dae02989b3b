"""Names, colours and labels that figures of the emergence study share."""

from litelvlm.figures import style

COLOURS = {
    "sink": "high_similarity",
    "reversal": "litelvlm",
    "reversal_true": "inverse_mask_oracle",
}
"""Outcome to the method whose colour it has."""
STAGES = {
    "A": ("text towers, bags of objects", "high_similarity"),
    "B": ("image towers, symbols", "litelvlm"),
    "C": ("symbols, one factor at a time", "random"),
    "D": ("pixels, one factor at a time", "mask_oracle"),
}
"""Stage to its name and the method whose colour and marker it has."""
ALONE = ("C", "D")
"""Stages that change one factor at a time."""
LABELS = {
    "sink": "log lift on [SOS] (0: uniform attention)",
    "reversal": "reversal index, true minus absent text",
    "reversal_true": "reversal index of the true text",
    "index": "reversal index of the true text",
    "gain": "IoU, LiteLVLM minus random",
    "largest_layer_uninformative": "largest lift of a layer, texts without content",
}
INTERVALS = "95 % t intervals over trainings"


def colour_of(outcome: str) -> str:
    """Colour of an outcome."""
    return style.colour(COLOURS[outcome])


def counted(count: int, what: str = INTERVALS) -> str:
    """The note below a figure: how many trainings, and what is drawn of them."""
    return f"n = {count} trainings; {what}."
