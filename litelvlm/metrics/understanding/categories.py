"""The categories whose scores MME adds up."""

PERCEPTION = (
    "existence", "count", "position", "color", "posters", "celebrity", "scene", "landmark",
    "artwork", "OCR",
)  # fmt: skip
"""MME's ten categories of perception; 200 points each."""
COGNITION = ("commonsense_reasoning", "numerical_calculation", "text_translation", "code_reasoning")
"""MME's four categories of cognition; 200 points each."""
