"""What this machine has: packages with versions, device, memory and disk; and what can run here."""

import os
import platform
import shutil
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

import torch
from packaging.requirements import Requirement

from litelvlm.analysis.runs.origin.provenance import machine
from litelvlm.data.cache import cache_folder

GIB = 2**30
UNKNOWN = "unknown"
# Peaks that were measured, benchmarks/results/study.json and full_size_cpu.json; the other lines
# run the miniature, and what fewer bits need was not measured.
NEEDS = (
    ("miniature: segment, evaluate, every study", 2.0, ()),
    ("glamm-7b on a CPU, bfloat16", 18.0, ()),
    ("the demo page (litelvlm demo)", 2.0, ("gradio",)),
    ("notebooks", 2.0, ("jupyterlab", "ipywidgets")),
    ("several workers (--engine ray)", 2.0, ("ray",)),
    ("fewer bits (--quantise)", 2.0, ("bitsandbytes",)),
)
GPU_NEED = 18.0
"""GiB of GPU memory for glamm-7b in bfloat16: the peak on a CPU; no GPU was measured."""
Line = dict[str, str]


def environment() -> list[Line]:
    """Python, processor, memory, disk and accelerator."""
    about = machine()
    total, free = memory()
    cache = cache_folder()
    place = next(path for path in (cache, *cache.parents) if path.is_dir())
    lines = {
        "python": f"{platform.python_version()} on {platform.system()} {platform.machine()}",
        "processor": f"{about['cpu']}, {about['cores']} cores, {about['threads']} threads in use",
        "memory": f"{gib(total)} in all, {gib(free)} free",
        "disk": f"{gib(shutil.disk_usage(place).free)} free where the cache is ({cache})",
        "GPU": "; ".join(gpus()) or "none found; the miniature needs none",
    }
    return [{"what": what, "found": found} for what, found in lines.items()]


def packages() -> list[Line]:
    """Every package that is needed without an extra: its version, and whether it is recent enough.

    In a checkout the same command that installs also mends: `make env`.
    """
    lines = []
    for text in requires("litelvlm") or []:
        wanted = Requirement(text)
        if wanted.marker is not None and not wanted.marker.evaluate({"extra": ""}):
            continue
        found = installed(wanted.name)
        good = found is not None and wanted.specifier.contains(found, prereleases=True)
        lines.append(
            {
                "state": "ok" if good else "FAIL",
                "package": wanted.name,
                "found": found or "not installed",
                "needed": str(wanted.specifier) or "any",
            }
        )
    return lines


def abilities() -> list[Line]:
    """What can run here, and what prevents the rest."""
    total, _ = memory()
    lines = []
    for what, need, parts in NEEDS:
        lacking = [part for part in parts if installed(part) is None]
        short = total is not None and total < need * GIB
        why = f"pip install {' '.join(lacking)}" if lacking else ""
        why = f"needs {need:g} GiB of memory, here are {gib(total)}" if short else why
        lines.append({"what": what, "here": "no" if why else "yes", "why not": why or "-"})
    most = max((torch.cuda.mem_get_info(i)[1] for i in range(torch.cuda.device_count())), default=0)
    why = "-" if most >= GPU_NEED * GIB else f"needs a GPU with {GPU_NEED:g} GiB"
    here = "yes" if why == "-" else "no"
    return [*lines, {"what": "glamm-7b on a GPU, bfloat16", "here": here, "why not": why}]


def installed(name: str) -> str | None:
    """Version of a package; None if it is not installed."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def memory() -> tuple[int | None, int | None]:
    """Bytes of memory that this process may use, and those that are free; None if unknown."""
    try:
        total: int | None = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError):
        total = None
    limit = Path("/sys/fs/cgroup/memory.max")
    text = limit.read_text().strip() if limit.is_file() else ""
    if text.isdigit():
        total = min(total or int(text), int(text))
    free = None
    info = Path("/proc/meminfo")
    if info.is_file():
        numbers = dict(line.split(":", 1) for line in info.read_text().splitlines() if ":" in line)
        if "MemAvailable" in numbers:
            free = int(numbers["MemAvailable"].split()[0]) * 1024
            free = min(free, total) if total is not None else free
    return total, free


def gpus() -> list[str]:
    """Each GPU with its memory."""
    return [
        f"{torch.cuda.get_device_name(i)}, {gib(torch.cuda.mem_get_info(i)[1])}"
        for i in range(torch.cuda.device_count())
    ]


def gib(size: int | None) -> str:
    """A size in GiB.

    Example:
        >>> gib(3 * 2**29), gib(None)
        ('1.5 GiB', 'unknown')
    """
    return UNKNOWN if size is None else f"{size / GIB:.1f} GiB"
