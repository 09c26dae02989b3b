"""`litelvlm check`: look for everything that a study needs."""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version

from litelvlm.analysis.cli.options import DataOptions

PACKAGES = (
    "torch",
    "torchvision",
    "transformers",
    "open_clip_torch",
    "captum",
    "scipy",
    "seaborn",
    "pycocotools",
)


@dataclass(frozen=True, kw_only=True)
class Check(DataOptions):
    """Check packages, device, model and data; name what is missing and how to get it.

    Examples:
      litelvlm check
      litelvlm check --model path/to/GLaMM --data path/to/Refer_Segm --dataset refcoco --split val
    """

    def run(self) -> int:
        """Print one line per check; 1 if any failed."""
        passed = [
            say(name, *outcome(check))
            for name, check in (("packages", packages), ("device", device))
        ]
        complete = [say(name, found, line) for name, found, line in self.model_parts()]
        if all(complete):
            passed.append(say("model", *outcome(self.check_model)))
        passed.append(say("data", *outcome(self.check_data)))
        return int(not all(passed + complete))

    def model_parts(self) -> list[tuple[str, bool, str]]:
        """Parts of the model: name, found, how to get it. The name of a size alone has no files."""
        from litelvlm.models.glamm.build import FULL_SIZE
        from litelvlm.models.glamm.checkpoints.inventory import inventory

        if self.model == FULL_SIZE:
            return []
        return [(part.name, part.found, part.text) for part in inventory(self.model, self.clip)]

    def check_model(self) -> str:
        """Load the model and describe it."""
        model = self.load_model()
        rows, columns = model.grid
        tokens = f"{rows} x {columns} visual tokens"
        return (
            f"{model.name}: {tokens}, {model.dtype} on {model.device}, weights {model.digest[:12]}"
        )

    def check_data(self) -> str:
        """Read the references and the first picture and mask."""
        data = self.load_data()
        sample = data[0]
        sample.image()
        sample.masks()
        counts = f"{data.n_expressions} expressions, {len(data)} images"
        note = f"; {data.count_note}" if data.count_note else ""
        return f"{data.name} {data.split}: {counts}, content {data.digest[:12]}{note}"


def packages() -> str:
    """Versions of Python and of what the suite builds on."""
    return f"Python {platform.python_version()}, " + ", ".join(
        f"{name} {version(name)}" for name in PACKAGES
    )


def device() -> str:
    """What torch would compute on."""
    import torch

    if torch.cuda.is_available():
        return f"GPU {torch.cuda.get_device_name()}"
    return f"CPU, {torch.get_num_threads()} threads (no GPU found, none needed for the miniature)"


def say(name: str, found: bool, line: str) -> bool:
    """Print the line of one check; returns whether it passed."""
    sys.stdout.write(f"{'ok  ' if found else 'FAIL'}  {name:<9}  {' '.join(line.split())}\n")
    sys.stdout.flush()
    return found


def outcome(check: Callable[[], str]) -> tuple[bool, str]:
    """Run one check: whether it passed, and its line."""
    try:
        return True, check()
    except (ValueError, OSError, ImportError, RuntimeError) as error:
        return False, " ".join(str(error).split())
