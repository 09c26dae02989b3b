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
    stays unchanged.

    Examples:
      litelvlm convert path/to/GLaMM-RefSeg path/to/GLaMM-RefSeg-safe
      litelvlm check --model path/to/GLaMM-RefSeg-safe
    """

    source: tyro.conf.Positional[Path]
    """Folder of the published checkpoint: .bin files with their index, config.json, tokenizer."""
    target: tyro.conf.Positional[Path]
    """Folder to write; must not exist."""

    def run(self) -> int:
        """Convert, and say how many tensors the model uses."""
        from litelvlm.models.glamm.checkpoints.convert import convert, summary

        if not self.source.is_dir():
            raise FileNotFoundError(
                f"no such folder: {self.source}; give the folder of a downloaded checkpoint"
            )
        require_writable(self.target, folder=True, option="TARGET")
        files = convert(self.source, self.target)
        tensors = summary(self.target)
        counts = ", ".join(f"{n} {use}" for use, n in tensors.items())
        written = "1 weight file" if len(files) == 1 else f"{len(files)} weight files"
        self.print_found(
            {"files": [str(file) for file in files], "tensors": tensors},
            f"{written} written to {self.target} (tensors: {counts})\n",
        )
        return 0
