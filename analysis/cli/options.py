"""Options that several verbs share, each written once."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Annotated, Literal

import tyro

from litelvlm.analysis.cli.terminal import print_json

Device = Literal["auto", "cpu", "cuda"]


@dataclass(frozen=True, kw_only=True)
class Common:
    """What every verb understands."""

    verbose: Annotated[bool, tyro.conf.arg(aliases=["-v"])] = False
    """Say more: details where there are any, and all of the log on stderr (--log debug)."""
    log: Literal["debug", "info", "warning", "error"] = "warning"
    """The least that is logged on stderr; "debug" also gives the traceback of an error."""
    plugin: tuple[Path, ...] = ()
    """Python files with pruning methods of your own; every option then takes their names too."""

    def load_plugins(self) -> None:
        """Register the methods of the plugin files.

        Raises:
            FileNotFoundError: If a file is missing.
            ValueError: If a file does not define a method, or a name is taken.
        """
        if self.plugin:
            from litelvlm.pruning import load_plugin

            for path in self.plugin:
                load_plugin(path)

    @classmethod
    def verb(cls) -> str:
        """The verb's name, which is that of its file."""
        return cls.__module__.rpartition(".")[2]

    def given(self, *names: str) -> dict[str, object]:
        """Options by name, for a configuration; those that are left out are not in it."""
        values = {name: getattr(self, name) for name in names}
        return {name: value for name, value in values.items() if value is not None}

    def files_written(self) -> Sequence[Path]:
        """Files that the verb will write, where it writes files and no folder of its own."""
        return ()

    def refuse_early(self) -> None:
        """Refuse what can be refused before anything large is imported.

        Raises:
            ValueError: If an option does not fit.
            OSError: If a place cannot be read or written.
        """

    def run(self) -> int:
        """Do the work and return the exit code.

        What a verb does lies in the module of its name in ``litelvlm.analysis.cli.actions``. It is
        imported here, so that the verb itself, its options and its help are read in a moment.
        """
        self.refuse_early()
        action = import_module(f"litelvlm.analysis.cli.actions.{self.verb()}")
        code: int = action.run(self)
        return code


@dataclass(frozen=True, kw_only=True)
class Printing(Common):
    """A verb that prints what it found."""

    json: bool = False
    """Print JSON instead of text, on stdout alone."""

    def print_found(self, found: object, text: str) -> None:
        """Print what was found: as one JSON value with --json, else as text."""
        if self.json:
            print_json(found)
        else:
            sys.stdout.write(text)


@dataclass(frozen=True, kw_only=True)
class ModelOptions(Common):
    """Which model, and where it runs."""

    model: str = "embedded"
    """"embedded", "embedded-shapes", "embedded-video" (for clips), a folder, a hub id, "glamm-7b"
    (random weights), or "vlm:" with the folder or hub id of a LLaVA-1.5 or Qwen-VL."""
    device: Device = "auto"
    """Where to compute; "auto" takes a GPU when there is one."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Number type; "auto" takes float32 for a miniature and bfloat16 otherwise."""
    attn: Literal["sdpa", "eager", "flash_attention_2"] = "sdpa"
    """Attention kernel."""
    clip: str | None = None
    """CLIP's folder or hub id, if not the one that the checkpoint names; "none" with "vlm:"."""
    random_init: bool = False
    """Draw random weights instead of reading a checkpoint: costs are real, masks mean nothing."""
    quantise: str | None = None
    """Fewer bits for the language model: int8, nf4, nf4_double or fp4 (extra `quant`)."""
    options: tuple[str, ...] = ()
    """Variants of the official model, as FIELD=VALUE: read=seg, crop=pad, clip_text=expression."""

    @property
    def image_cache(self) -> Path | None:
        """Folder where encoded images are kept; None keeps none."""
        return None


@dataclass(frozen=True, kw_only=True)
class DataOptions(ModelOptions):
    """Which expressions of which images."""

    data: str = "embedded"
    """"embedded", "embedded-fresh", "embedded-shapes", "embedded-moving" (rendered, the last one
    clips), a folder (REFER, Parquet or clips), or a hub id."""
    dataset: str | None = None
    """Data set inside that folder: refcoco, refcoco+, refcocog, refclef, grefcoco, or your own; of
    clips ref-davis17, mevis, ref-youtube-vos or revos."""
    split: str = "val"
    """Split of the data set; `litelvlm ls splits` lists them."""
    split_by: str | None = None
    """Who made the split, where there are several: unc, umd or google."""
    stills: int | None = None
    """Of clips: read so many frames of each, spread evenly, each as an image of its own."""


@dataclass(frozen=True, kw_only=True)
class RunOptions(DataOptions):
    """How much of a run is computed, and where it is kept."""

    limit: int | None = None
    """Stop after this many images; such a run is marked partial."""
    seed: int = 0
    """Seed of whatever is drawn at random."""
    shard: str = "1/1"
    """Compute the i-th of n parts, written i/n, to share one run among machines."""
    accept_versions: bool = False
    """Go on with a run that other versions of the libraries began, instead of beginning anew."""
    out: Path = Path("runs")
    """Folder that holds the run folders."""
    cache: Path | None = None
    """Keep encoded images in this folder, and read those that are there (31 MB each for GLaMM)."""

    @property
    def image_cache(self) -> Path | None:
        """The same as ``cache``."""
        return self.cache


def require_writable(path: Path, *, folder: bool, option: str = "--out") -> None:
    """Refuse an output place that cannot be written, before any work is done.

    Args:
        path: Where output will go; it and its parents need not exist yet.
        folder: True if a folder will be made there, False for a file.
        option: What names it on the command line.

    Raises:
        NotADirectoryError: If a parent, or the folder itself, is a file.
        IsADirectoryError: If a file is to be written where a folder is.
        PermissionError: If the nearest existing folder forbids writing.
    """
    import tempfile

    if not folder and path.is_dir():
        raise IsADirectoryError(
            f"cannot write {path}: it is a folder; name a file inside it with {option}"
        )
    nearest = path if folder else path.parent
    while not nearest.exists():
        nearest = nearest.parent
    if not nearest.is_dir():
        raise NotADirectoryError(
            f"cannot write {path}: {nearest} is a file; choose another place with {option}"
        )
    try:
        tempfile.TemporaryFile(dir=nearest).close()
    except OSError as error:  # an administrator may write anywhere, and yet not in /proc
        raise PermissionError(
            f"cannot write {path}: {nearest} does not accept files ({error.strerror}); choose "
            f"another place with {option}"
        ) from error
