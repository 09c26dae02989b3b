"""Which parts of a model are on this machine, and how to get the others; fetches nothing."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from litelvlm.models.glamm.checkpoints.config import GlammConfig, read_config
from litelvlm.models.glamm.checkpoints.source import EMBEDDED, clip_source, locate
from litelvlm.models.glamm.checkpoints.weights import WHOLE, check_shard, shard_paths
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
    try:
        folder = locate(name, fetch=False).folder
    except (FileNotFoundError, ValueError) as error:
        return [CheckpointPart("files", False, str(error))]
    return [
        CheckpointPart(
            "files",
            True,
            "shipped with the package" if folder in EMBEDDED.values() else str(folder),
        ),
        *_parts(folder, clip),
    ]


def _parts(folder: Path, clip: str | Path | None) -> Iterator[CheckpointPart]:
    try:
        config = read_config(folder)
        yield CheckpointPart(
            "config", True, f"{config['num_hidden_layers']} layers of width {config['hidden_size']}"
        )
    except (FileNotFoundError, ValueError) as error:
        config = GlammConfig()
        yield CheckpointPart("config", False, str(error))
    try:
        tokenizer = GlammTokenizer.from_pretrained(folder)
        fits = tokenizer.vocab_size <= config.get("vocab_size", tokenizer.vocab_size)
        more = "" if fits else f", more than the {config['vocab_size']} of config.json"
        yield CheckpointPart("tokenizer", fits, f"{tokenizer.vocab_size} tokens{more}")
    except (FileNotFoundError, ValueError) as error:
        yield CheckpointPart("tokenizer", False, str(error))
    yield _weights("weights", folder)
    try:
        place = clip_source(folder, config, clip).folder
        yield _weights("CLIP", place)
    except (FileNotFoundError, ValueError) as error:
        yield CheckpointPart("CLIP", False, str(error))


def _weights(name: str, folder: Path) -> CheckpointPart:
    try:
        paths = shard_paths(folder)
        for path in paths:
            check_shard(path)
    except (FileNotFoundError, ValueError) as error:
        hint = "" if "fetch" in str(error) else "; fetch them with `hf download`"
        return CheckpointPart(name, False, f"{error}{hint}")
    size = sum(path.stat().st_size for path in paths)
    form = paths[0].suffix.removeprefix(".")
    safe = paths[0].suffix == Path(WHOLE[0]).suffix
    hint = "" if safe else "; `litelvlm convert` makes safetensors of them"
    files = "file" if len(paths) == 1 else "files"
    return CheckpointPart(name, True, f"{len(paths)} {form} {files}, {size / 1e6:,.1f} MB{hint}")
