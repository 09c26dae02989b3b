"""`litelvlm check`: look for everything that a study needs."""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING

from litelvlm.analysis.cli.options import DataOptions, Printing
from litelvlm.analysis.cli.terminal.screen import print_json

if TYPE_CHECKING:
    from litelvlm.data.refer import ReferSample

SOME, NAMED = 32, 5
"""Images that are read unless all are asked for, and failures that are named."""
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
class Check(DataOptions, Printing):
    """Check packages, device, model and data; name what is missing and how to get it.

    Examples:
      litelvlm check
      litelvlm check --model path/to/GLaMM --data path/to/Refer_Segm --dataset refcoco --split val
      litelvlm check --data path/to/Refer_Segm --every-image
    """

    every_image: bool = False
    """Read every picture and mask of the split, not only some that are spread over it."""

    def run(self) -> int:
        """Print one line per check; 1 if any failed."""
        lines: list[tuple[str, bool, str]] = []

        def say(name: str, found: bool, line: str) -> bool:
            lines.append((name, found, " ".join(line.split())))
            if not self.json:
                write(*lines[-1])
            return found

        say("packages", *outcome(packages))
        say("device", *outcome(device))
        if all([say(name, found, line) for name, found, line in self.model_parts()]):
            say("model", *outcome(self.check_model))
        say("data", *outcome(self.check_data))
        if self.json:
            print_json([{"check": name, "ok": found, "told": line} for name, found, line in lines])
        return int(not all(found for _, found, _ in lines))

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
        """Read the references, and pictures with their masks.

        Raises:
            ValueError: If a picture or a mask cannot be read; each is named by its image id.
        """
        data = self.load_data()
        places = range(len(data)) if self.every_image else spread_over(len(data), SOME)
        broken = [told for told in (unreadable(data[place]) for place in places) if told]
        read = f"{len(places)} of {len(data)} images read"
        if broken:
            more = f"; and {len(broken) - NAMED} more" if len(broken) > NAMED else ""
            raise ValueError(
                f"{len(broken)} of {read} cannot be used: {'; '.join(broken[:NAMED])}{more}"
            )
        counts = f"{data.n_expressions} expressions, {len(data)} images"
        note = f"; {data.count_note}" if data.count_note else ""
        return f"{data.name} {data.split}: {counts}, {read}, content {data.digest[:12]}{note}"


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


def spread_over(n: int, some: int) -> list[int]:
    """Up to ``some`` places among ``n``, evenly spread, the first and the last among them.

    Example:
        >>> spread_over(10, 4), spread_over(3, 4)
        ([0, 3, 6, 9], [0, 1, 2])
    """
    if n <= some:
        return list(range(n))
    return [round(i * (n - 1) / (some - 1)) for i in range(some)]


def unreadable(sample: ReferSample) -> str:
    """What is wrong with the picture or a mask of a sample; empty if nothing is."""
    try:
        sample.image()
        sample.masks()
    except (ValueError, OSError) as error:
        return f"image {sample.image_id}: {' '.join(str(error).split())}"
    return ""


def write(name: str, found: bool, line: str) -> None:
    """Print the line of one check."""
    sys.stdout.write(f"{'ok  ' if found else 'FAIL'}  {name:<9}  {line}\n")
    sys.stdout.flush()


def outcome(check: Callable[[], str]) -> tuple[bool, str]:
    """Run one check: whether it passed, and its line."""
    try:
        return True, check()
    except (ValueError, OSError, ImportError, RuntimeError) as error:
        return False, " ".join(str(error).split())
