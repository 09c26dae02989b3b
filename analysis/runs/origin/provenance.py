"""Where a number comes from: versions, commit and machine, without names, places or secrets."""

import getpass
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch
from torch import nn

from litelvlm.analysis.runs.origin.fingerprint import fingerprint
from litelvlm.data.dataset import IMAGES, Dataset, IdentifiedData, kind_of_samples
from litelvlm.embedded.clip_sizes import has_miniature_sizes
from litelvlm.models.base import IdentifiedModel

COMPUTING = (
    "torch",
    "torchvision",
    "transformers",
    "open_clip_torch",
    "captum",
    "numpy",
    "scipy",
    "pillow",
    "pycocotools",
)
"""Packages whose results enter rows; their versions are part of a run's key."""
PACKAGES = (*COMPUTING, "pandas", "pyarrow")
MINIATURE = "miniature"
"""Family of a model of miniature sizes, as run records name it."""
_ABSOLUTE = re.compile(r"(?<![\w:/\\.~-])(?:~|[A-Za-z]:)?(?:[\\/][^\s\\/'\"=,:;]+)+[\\/]?")
_TOKEN = re.compile(r"\b(?:hf|ghp|gho|github_pat|sk|glpat)[_-]\w{8,}")
_SECRET_NAME = re.compile(r"TOKEN|SECRET|PASSWORD|PASSWD|API_?KEY|CREDENTIAL", re.IGNORECASE)


def scrub(text: str, environment: Mapping[str, str] = os.environ) -> str:
    """Remove what a record must not hold.

    Absolute paths keep their last part; secrets and the user's name go.

    Args:
        text: A command line or an error message.
        environment: Variables whose values are secret if their name says so.

    Example:
        >>> scrub("litelvlm run --model ~/weights/glamm")
        'litelvlm run --model .../glamm'
    """
    for name, value in environment.items():
        if len(value) >= 6 and _SECRET_NAME.search(name):
            text = text.replace(value, "***")
    text = _TOKEN.sub("***", text)
    text = _ABSOLUTE.sub(
        lambda found: ".../" + re.split(r"[\\/]", found.group().rstrip("\\/"))[-1], text
    )
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        return text
    return re.sub(rf"(?<=[\\/]){re.escape(user)}(?=[\\/]|$)", "user", text)


def command() -> str:
    """The command line of this process, scrubbed; a module that Python runs by its name."""
    program = Path(sys.argv[0]).name if sys.argv and sys.argv[0] else "python"
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    if program == "__main__.py" and spec is not None:
        program = f"python -m {spec.parent}"
    return scrub(f"{program} {shlex.join(sys.argv[1:])}".strip())


def versions(packages: Sequence[str] = ("litelvlm", *PACKAGES)) -> dict[str, str]:
    """Installed versions of packages; by default, of this project and its dependencies."""
    return {package: _version(package) for package in packages}


@cache
def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def git_state() -> tuple[str | None, bool | None]:
    """Commit of the checkout and whether files differ from it; None outside a checkout."""
    git = shutil.which("git")
    if git is None:
        return None, None

    where = [git, "-C", str(Path(__file__).parent)]

    def ask(*words: str) -> str | None:
        call = subprocess.run(  # noqa: S603 - git, found by name, without a shell
            [*where, *words], capture_output=True, text=True, check=False
        )
        return call.stdout.strip() if call.returncode == 0 else None

    commit, changes = (
        ask("rev-parse", "HEAD"),
        ask("status", "--porcelain", "--untracked-files=normal"),
    )
    return commit, None if commit is None or changes is None else bool(changes)


def machine() -> dict[str, str | int | None]:
    """Processor, cores, threads and accelerator; no host name."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        names = re.findall(
            r"^model name\s*:\s*(.+)$", info.read_text(errors="replace"), flags=re.MULTILINE
        )
        cpu = names[0] if names else cpu
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpu": gpu,
        "cuda": torch.version.cuda if gpu else None,
    }


def model_identity(model: IdentifiedModel) -> dict[str, str]:
    """Identity of a model, its part of a run's key.

    It holds name, family, weights, number type, device and attention implementation. Weights that
    were drawn at random have no digest of their own; a fingerprint over the start of every tensor
    stands for them.
    """
    digest = model.digest
    if digest == "random" and isinstance(model, nn.Module):
        digest = f"random:{fingerprint(model)}"
    attention = ", ".join(f"{part}={kernel}" for part, kernel in model.attention_kernels.items())
    return {
        "name": Path(model.name).name if Path(model.name).is_absolute() else scrub(str(model.name)),
        "family": MINIATURE if has_miniature_sizes(model.clip_tower) else "other",
        "digest": digest,
        "dtype": str(model.dtype).removeprefix("torch."),
        "device": torch.device(model.device).type,
        "attention": attention or "unknown",
    }


def data_identity(data: IdentifiedData) -> dict[str, str]:
    """Name, split and content of a data set: its part of a run's key.

    It says what the samples are too, where these are no images (``kind_of_samples``).
    """
    held = [data[i] for i in range(len(data))] if isinstance(data, Dataset) else []
    kind = kind_of_samples(held)
    return {
        "name": data.name,
        "split": data.split,
        "split_by": data.split_by,
        "digest": data.digest,
    } | ({"samples": kind} if kind != IMAGES else {})
