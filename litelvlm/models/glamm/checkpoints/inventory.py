"""Which parts of a model are on this machine, and how to get the others; fetches nothing."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from litelvlm.data.safe.weight_files import check_shard, shard_paths
from litelvlm.models.clip_files import clip_source
from litelvlm.models.files import EMBEDDED
from litelvlm.models.glamm.checkpoints.config import GlammConfig, read_config
from litelvlm.models.glamm.checkpoints.source import locate, named_clip
from litelvlm.models.glamm.prompting.tokenizer import GlammTokenizer


class CheckpointPart(NamedTuple):
    """One part of a model.

    Attributes:
        name: "files", "config", "tokenizer", "weights" or "CLIP".
        found: Whether it is there and readable; for weights, whether every file's table of
            contents is complete.
        text: What was found, or what is missing and how to get it.
    """

    name: str
    found: bool
    text: str


def inventory(name: str | Path, clip: str | Path | None = None) -> list[CheckpointPart]:
    """Look for every part of a model; loads nothing.

    Args:
        name: As for ``load_model``; a hub id must have a local copy.
        clip: As for ``load_model``.
    """
    found = [_look("files", lambda: _files(name))]
    if found[0].found:
        folder = locate(name, fetch=False).folder
        found += [
            _look("config", lambda: _sizes(read_config(folder))),
            _look("tokenizer", lambda: _tokens(folder)),
            _look("weights", lambda: _weights(folder)),
            _look(
                "CLIP",
                lambda: _weights(clip_source(folder, named_clip(_config(folder)), clip).folder),
            ),
        ]
    return found


def _look(name: str, find: Callable[[], str]) -> CheckpointPart:
    """A part as ``find`` describes it, or why it cannot be used."""
    try:
        return CheckpointPart(name, True, find())
    except (FileNotFoundError, ValueError) as error:
        return CheckpointPart(name, False, str(error))


def _files(name: str | Path) -> str:
    folder = locate(name, fetch=False).folder
    return "shipped with the package" if folder in EMBEDDED.values() else str(folder)


def _sizes(config: GlammConfig) -> str:
    return f"{config['num_hidden_layers']} layers of width {config['hidden_size']}"


def _config(folder: Path) -> GlammConfig:
    """The configuration; empty if it cannot be used, which its own line says."""
    try:
        return read_config(folder)
    except (FileNotFoundError, ValueError):
        return GlammConfig()


def _tokens(folder: Path) -> str:
    count = GlammTokenizer.from_pretrained(folder).vocab_size
    known = _config(folder).get("vocab_size", count)
    if count > known:
        raise ValueError(f"{count} tokens, more than the {known} of config.json")
    return f"{count} tokens"


def _weights(folder: Path) -> str:
    try:
        paths = shard_paths(folder)
        for path in paths:
            check_shard(path)
    except (FileNotFoundError, ValueError) as error:
        hint = "" if "fetch" in str(error) else "; fetch them with `hf download`"
        raise ValueError(f"{error}{hint}") from error
    size = sum(path.stat().st_size for path in paths)
    form = paths[0].suffix.removeprefix(".")
    hint = "" if form == "safetensors" else "; `litelvlm convert` makes safetensors of them"
    files = "file" if len(paths) == 1 else "files"
    return f"{len(paths)} {form} {files}, {size / 1e6:,.1f} MB{hint}"
