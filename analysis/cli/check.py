"""`litelvlm check`: is everything there that a study needs?"""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version

from analysis.cli.options import DataOptions

PACKAGES = ("torch", "torchvision", "transformers", "open_clip_torch", "captum", "scipy", "seaborn", "pycocotools")


@dataclass(frozen=True, kw_only=True)
class Check(DataOptions):
    """Look for packages, device, model and data, and say what is missing and how to get it.

    Examples:
      litelvlm check
      litelvlm check --model path/to/GLaMM --data path/to/Refer_Segm --dataset refcoco --split val
    """

    def run(self) -> int:
        """Print one line per check; 1 if any failed."""
        checks = {"packages": packages, "device": device, "model": self.check_model, "data": self.check_data}
        failed = False
        for name, check in checks.items():
            found, line = outcome(check)
            failed |= not found
            sys.stdout.write(f"{'ok  ' if found else 'FAIL'}  {name:<8}  {line}\n")
            sys.stdout.flush()
        return int(failed)

    def check_model(self) -> str:
        """Load the model and describe it."""
        model = self.load_model()
        rows, columns = model.grid
        tokens = f"{rows} x {columns} visual tokens"
        return f"{model.name}: {tokens}, {model.dtype} on {model.device}, weights {model.digest[:12]}"

    def check_data(self) -> str:
        """Read the references and the first picture and mask."""
        data = self.load_data()
        sample = data[0]
        sample.image()
        sample.masks()
        counts = f"{data.n_expressions} expressions, {len(data)} images"
        return f"{data.name} {data.split}: {counts}, content {data.digest[:12]}"


def packages() -> str:
    """Versions of Python and of what the suite builds on."""
    return f"Python {platform.python_version()}, " + ", ".join(f"{name} {version(name)}" for name in PACKAGES)


def device() -> str:
    """What torch would compute on."""
    import torch

    if torch.cuda.is_available():
        return f"GPU {torch.cuda.get_device_name()}"
    return f"CPU, {torch.get_num_threads()} threads (no GPU found, none needed for the miniature)"


def outcome(check: Callable[[], str]) -> tuple[bool, str]:
    """Run one check: whether it passed, and its line."""
    try:
        return True, check()
    except (ValueError, OSError, ImportError, RuntimeError) as error:
        return False, " ".join(str(error).split())
