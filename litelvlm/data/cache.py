"""The folder that keeps generated and converted data between runs."""

import os
from collections.abc import Callable
from pathlib import Path

from litelvlm.data.files import atomic_folder, remove_debris


def cache_folder() -> Path:
    """Where generated data is kept: `$LITELVLM_CACHE`, else `~/.cache/litelvlm`."""
    chosen = os.environ.get("LITELVLM_CACHE")
    return Path(chosen).expanduser() if chosen else Path.home() / ".cache" / "litelvlm"


def kept_folder(name: str, fill: Callable[[Path], object]) -> Path:
    """A folder below the cache folder, made whole on first use.

    Args:
        name: Says all that its content depends on.
        fill: Writes the content into the folder it is given.

    Raises:
        PermissionError: If the cache folder cannot be written.
    """
    cache = cache_folder()
    if (cache / name).is_dir():
        return cache / name
    try:
        cache.mkdir(parents=True, exist_ok=True)
        remove_debris(cache)
        return atomic_folder(cache / name, fill)
    except PermissionError as error:
        raise PermissionError(
            f"cannot write {cache}; set LITELVLM_CACHE to a writable folder"
        ) from error
