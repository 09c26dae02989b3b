"""The folder that keeps generated and converted data between runs."""

import os
from pathlib import Path


def cache_folder() -> Path:
    """Where generated data is kept: `$LITELVLM_CACHE`, else `~/.cache/litelvlm`."""
    chosen = os.environ.get("LITELVLM_CACHE")
    return Path(chosen).expanduser() if chosen else Path.home() / ".cache" / "litelvlm"
