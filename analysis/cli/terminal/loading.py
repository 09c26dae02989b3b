"""The bar that transformers draws while it reads weights."""

import sys

from huggingface_hub.utils.tqdm import are_progress_bars_disabled, enable_progress_bars
from transformers.utils.logging import disable_progress_bar


def hide_loading_bar(*, large: bool) -> None:
    """Draw no such bar, unless someone at a terminal waits for a large model.

    The bars of downloads stay as they are.
    """
    if large and sys.stderr.isatty():
        return
    downloads = not are_progress_bars_disabled()
    disable_progress_bar()
    if downloads:
        enable_progress_bars()
