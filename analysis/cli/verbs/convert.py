"""`litelvlm convert`: a checkpoint of .bin files to safetensors, once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import tyro

from litelvlm.analysis.cli.options import Printing, require_writable


@dataclass(frozen=True, kw_only=True)
class Convert(Printing):
    """Rewrite a checkpoint folder as safetensors, which load with less memory and contain no code.

    The new folder appears once it is complete. An existing folder is not overwritten. The source
    stays unchanged. With --merge-lora the weights of a LoRA are added to those that they change.

    Examples:
      litelvlm convert path/to/GLaMM-RefSeg path/to/GLaMM-RefSeg-safe
      litelvlm check --model path/to/GLaMM-RefSeg-safe
      litelvlm convert path/to/adapter merged --merge-lora --base path/to/GLaMM
      litelvlm convert trained merged --merge-lora --base path/to/GLaMM --lora-alpha 16
    """

    source: tyro.conf.Positional[Path]
    """Folder of the published checkpoint: .bin files with their index, config.json, tokenizer."""
    target: tyro.conf.Positional[Path]
    """Folder to write; must not exist."""
    merge_lora: bool = False
    """Merge a LoRA: one inside the source, or that of an adapter's folder into its base."""
    base: Path | None = None
    """With --merge-lora: weights that an adapter changes; also where tokenizer and config lie."""
    lora_alpha: float | None = None
    """With --merge-lora: lora_alpha of the training, where no adapter_config.json states it."""

    def run(self) -> int:
        """Convert, and say how many tensors the model uses."""
        from litelvlm.models.glamm.checkpoints.convert import convert, summary
        from litelvlm.models.lora_files import MergedFiles

        if not self.merge_lora and not (self.base is None and self.lora_alpha is None):
            raise ValueError(
                "--base and --lora-alpha go with --merge-lora; add it or leave them out"
            )
        if not self.source.is_dir():
            raise FileNotFoundError(
                f"no such folder: {self.source}; give the folder of a downloaded checkpoint"
            )
        require_writable(self.target, folder=True, option="TARGET")
        lora = MergedFiles(self.source, self.base, self.lora_alpha) if self.merge_lora else None
        files = convert(self.source, self.target, lora)
        tensors = summary(self.target)
        counts = ", ".join(f"{n} {use}" for use, n in tensors.items())
        written = "1 weight file" if len(files) == 1 else f"{len(files)} weight files"
        told = f"; {lora.described}" if lora else ""
        self.print_found(
            {"files": [str(file) for file in files], "tensors": tensors},
            f"{written} written to {self.target} (tensors: {counts}{told})\n",
        )
        return 0
