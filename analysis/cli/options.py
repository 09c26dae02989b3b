"""Options that several verbs share, each written once."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from litelvlm.analysis.cli.terminal.screen import print_json

if TYPE_CHECKING:
    from litelvlm.data.refer import ReferDataset
    from litelvlm.models.base import StudiedModel
    from litelvlm.models.glamm.model import Glamm

Device = Literal["auto", "cpu", "cuda"]
VLM = "vlm:"
"""Begins the name of a model that answers in words."""


@dataclass(frozen=True, kw_only=True)
class Common(ABC):
    """What every verb understands."""

    verbose: Annotated[bool, tyro.conf.arg(aliases=["-v"])] = False
    """Say more: details where there are any, and all of the log on stderr (--log debug)."""
    log: Literal["debug", "info", "warning", "error"] = "warning"
    """The least that is logged on stderr; "debug" also gives the traceback of an error."""
    plugin: tuple[Path, ...] = ()
    """Python files with pruning methods of your own; their names then stand beside ours."""

    def load_plugins(self) -> None:
        """Register the methods of the plugin files.

        Raises:
            FileNotFoundError: If a file is missing.
            ValueError: If a file holds no method, or a name is taken.
        """
        if self.plugin:
            from litelvlm.pruning import load_plugin, register_pruner

            for path in self.plugin:
                for method in load_plugin(path):
                    register_pruner(method)

    @abstractmethod
    def run(self) -> int:
        """Do the work and return the exit code."""


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
    """"embedded", "embedded-shapes", a folder, a hub id, "glamm-7b" (random weights), or "vlm:"
    with the folder or hub id of a LLaVA-1.5 or Qwen-VL."""
    device: Device = "auto"
    """Where to compute; "auto" takes a GPU when there is one."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Number type; "auto" takes float32 for the miniature and bfloat16 otherwise."""
    attn: Literal["sdpa", "eager", "flash_attention_2"] = "sdpa"
    """Attention kernel."""
    clip: str | None = None
    """CLIP's folder or hub id, if not the one that the checkpoint names; "none" with "vlm:"."""
    random_init: bool = False
    """Draw random weights instead of reading a checkpoint: costs are real, masks mean nothing."""
    quantise: str | None = None
    """Fewer bits for the language model: int8, nf4, nf4_double or fp4 (extra `quant`)."""
    compile: Literal["inductor", "aot_eager", "eager", "cuda_graphs"] | None = None
    """For a GPU: torch.compile of the repeated parts (inductor), or CUDA graphs (cuda_graphs)."""
    options: tuple[str, ...] = ()
    """Variants of the official model, as FIELD=VALUE: read=seg, crop=pad, clip_text=expression."""

    def load_model(self) -> Glamm:
        """Load the model these options name.

        Raises:
            ValueError: If the model or an option is unknown, or there is no such device.
        """
        import torch

        from litelvlm import load_model
        from litelvlm.analysis.cli.terminal.loading import hide_loading_bar
        from litelvlm.models.glamm.options import GlammOptions

        options = GlammOptions.parse(self.options)
        if self.model.startswith(VLM):
            raise ValueError(
                f"{self.model} answers in words and gives no masks, which this command needs; "
                "`litelvlm study` and `litelvlm bench` take it"
            )
        if self.device == "cuda" and not torch.cuda.is_available():
            raise ValueError("device 'cuda' is not available here; use --device cpu")
        hide_loading_bar(large=False)  # transformers reads nothing but CLIP, in a second
        return load_model(
            self.model,
            dtype=None if self.dtype == "auto" else self.dtype,
            device=None if self.device == "auto" else self.device,
            attn=self.attn,
            random_init=self.random_init,
            options=options,
            clip=self.clip,
            quantise=self.quantise,
            compile=self.compile,
        )

    def load_studied(self) -> StudiedModel:
        """Load the model these options name, one that answers in words included.

        Raises:
            ValueError: As ``load_model``, or if an option does not go with the model.
        """
        import torch

        from litelvlm import load_vlm
        from litelvlm.analysis.cli.terminal.loading import hide_loading_bar

        if not self.model.startswith(VLM):
            return self.load_model()
        for name in ("options", "quantise", "compile"):
            if getattr(self, name):
                raise ValueError(f"--{name} goes with a GLaMM; leave it out for {self.model}")
        if self.device == "cuda" and not torch.cuda.is_available():
            raise ValueError("device 'cuda' is not available here; use --device cpu")
        hide_loading_bar(large=self.model != f"{VLM}embedded")
        return load_vlm(
            self.model,
            clip=self.clip,
            dtype=None if self.dtype == "auto" else self.dtype,
            device=None if self.device == "auto" else self.device,
            attn=self.attn,
            random_init=self.random_init,
        )


@dataclass(frozen=True, kw_only=True)
class DataOptions(ModelOptions):
    """Which expressions of which images."""

    data: str = "embedded"
    """"embedded", "embedded-shapes" (rendered), a folder (REFER or Parquet), or a hub id."""
    dataset: str | None = None
    """Data set inside that folder: refcoco, refcoco+, refcocog, refclef or grefcoco."""
    split: str = "val"
    """Split of the data set; `litelvlm ls splits` lists them."""
    split_by: str | None = None
    """Who made the split, where there are several: unc, umd or google."""

    def load_data(self) -> ReferDataset:
        """Read the references these options name.

        Raises:
            ValueError: If the data set or the split is unknown.
            FileNotFoundError: If its files are missing.
        """
        from litelvlm import load_refer

        return load_refer(self.data, dataset=self.dataset, split=self.split, split_by=self.split_by)


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

    def load_model(self) -> Glamm:
        """Load the model these options name, with its cache of encoded images.

        Raises:
            ValueError: As ``ModelOptions.load_model``.
            OSError: If the cache cannot be written.
        """
        model = super().load_model()
        if self.cache is None:
            return model
        from litelvlm.analysis.inputs.image_cache import with_image_cache

        require_writable(self.cache, folder=True)
        return with_image_cache(model, self.cache)

    def load_studied(self) -> StudiedModel:
        """Load the model these options name, one that answers in words included.

        Raises:
            ValueError: As ``ModelOptions.load_studied``, or if there is a cache for a model that
                keeps no encoded images.
        """
        if self.cache is not None and self.model.startswith(VLM):
            raise ValueError(
                f"--cache {self.cache}: {self.model} keeps no encoded images, a GLaMM does; "
                "leave --cache out"
            )
        return super().load_studied()


def require_writable(path: Path, *, folder: bool) -> None:
    """Refuse an output place that cannot be written, before any work is done.

    Args:
        path: Where output will go; it and its parents need not exist yet.
        folder: True if a folder will be made there, False for a file.

    Raises:
        NotADirectoryError: If a parent, or the folder itself, is a file.
        IsADirectoryError: If a file is to be written where a folder is.
        PermissionError: If the nearest existing folder forbids writing.
    """
    import tempfile

    if not folder and path.is_dir():
        raise IsADirectoryError(
            f"cannot write {path}: it is a folder; name a file inside it with --out"
        )
    nearest = path if folder else path.parent
    while not nearest.exists():
        nearest = nearest.parent
    if not nearest.is_dir():
        raise NotADirectoryError(
            f"cannot write {path}: {nearest} is a file; choose another place with --out"
        )
    try:
        tempfile.TemporaryFile(dir=nearest).close()
    except OSError as error:  # an administrator may write anywhere, and yet not in /proc
        raise PermissionError(
            f"cannot write {path}: {nearest} takes no files ({error.strerror}); choose another "
            "place with --out"
        ) from error
