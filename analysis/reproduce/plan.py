"""What a reproduction needs, said before anything is fetched."""

import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import torch

from litelvlm.analysis.reproduce.listing import Listing
from litelvlm.analysis.reproduce.place import Room
from litelvlm.analysis.reproduce.settings import Settings
from litelvlm.analysis.reproduce.targets import get_target
from litelvlm.analysis.studies.published_video import published_frame
from litelvlm.data.embedded import EMBEDDED
from litelvlm.data.layout import KNOWN_COUNTS, REF_FAMILIES
from litelvlm.data.video.layout import CLIP_FAMILIES

STATE_BYTES = 31e6
"""One encoded image of the published model as the cache keeps it, about."""


class Speed(NamedTuple):
    """Seconds to encode an image and for a pass of the language model, and where they are from."""

    image: float
    passed: float
    source: str


SPEEDS: Mapping[tuple[str | None, str], Speed] = MappingProxyType(
    {
        (None, "cuda"): Speed(
            0.18, 0.075, "the authors' times on a GPU that they do not name, at 192 tokens"
        ),
        (None, "cpu"): Speed(
            11.7, 3.85, "two CPU cores at 192 tokens (benchmarks/results/full_size_cpu.json)"
        ),
        ("embedded", "cpu"): Speed(0.03, 0.03, "rehearsals on one CPU core"),
    }
)
"""By model (None is the published one) and device."""


def plan_text(settings: Settings, listing: Listing | None, found: Sequence[Room]) -> str:
    """What is fetched under which licence, what it needs, and how long it takes.

    Args:
        settings: What is asked for.
        listing: What the hub has; None if nothing is fetched.
        found: Room on each disk.

    Raises:
        ValueError: If a GPU is wanted and there is none.
    """
    lines = [f"Table {settings.table}: {get_target(settings.table).title}", ""]
    lines += [*_listed(listing), "", "Disk:"]
    lines += [
        f"  {room.folder}: {room.needed / 1e9:.1f} GB still needed, {room.free / 1e9:.1f} GB free"
        for room in found
    ]
    lines += ["", *_computing(settings), *_published(settings)]
    lines += ["You may interrupt it at any time: run the same command again to continue.", ""]
    return "\n".join(lines)


def _published(settings: Settings) -> list[str]:
    """The numbers of others, where the table lists them."""
    numbers = get_target(settings.table).numbers
    if numbers is None:
        return []
    table = published_frame(numbers).to_string(index=False, na_rep="-")
    return ["", "Published, not measured here:", table]


def _listed(listing: Listing | None) -> list[str]:
    repositories = listing.repositories if listing else ()
    lines = [
        f"  {r.role:<10} {r.size / 1e9:7.3f} GB  {r.name} at {r.commit[:12]}\n"
        f"{'':14}licence on its page: {r.licence or 'none stated'}; {r.terms}"
        for r in repositories
    ]
    return ["Fetched from the hub:", *(lines or ["  nothing; the files are yours"])]


def _computing(settings: Settings) -> list[str]:
    """The device, what is run on it, and how long that takes."""
    kind, name, memory = see_device(settings.device)
    lines = [f"Device: {name}, {memory / 1e9:.0f} GB"]
    target, images = get_target(settings.table), n_images(settings)
    if settings.model is None and memory < target.memory:
        lines.append(
            f"  too little memory: the published model needs about {target.memory / 1e9:.0f} GB"
        )
    part = "whole splits" if settings.images is None else f"at most {settings.images} a split"
    where = ", ".join("/".join(place) for place in settings.splits)
    what = ("clip" if settings.of_clips else "image") + "s" * (images > 1)
    asked = f"{images:,} {what}" + ("" if target.timed else f" ({part})")
    lines.append(
        f"Run: study {target.study} on {where}: {asked}, about {target.passes(settings):,} passes "
        f"of the language model on each{' expression' * settings.of_clips}"
    )
    speed = None if settings.of_clips else SPEEDS.get((settings.model, kind))
    if speed is None:
        called = settings.model or "the published model"
        return [*lines, f"  no time is known for {called} on such a device"]
    hours = hours_for(settings, speed)
    return [
        *lines,
        f"  about {hours_in_words(hours)} for "
        f"{settings.model or 'the published model'}, at the speed of {speed.source}",
    ]


def see_device(wanted: str) -> tuple[str, str, int]:
    """Kind, name and bytes of memory of the device that would be used.

    Args:
        wanted: "auto" takes a GPU when there is one; "cpu" or "cuda".

    Raises:
        ValueError: If a GPU is wanted and there is none.
    """
    gpu = torch.cuda.is_available()
    if wanted == "cuda" and not gpu:
        raise ValueError("device 'cuda' is not available here; use --device cpu")
    if gpu and wanted != "cpu":
        facts = torch.cuda.get_device_properties(0)
        return "cuda", facts.name, facts.total_memory
    threads = torch.get_num_threads()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = Path("/sys/fs/cgroup/memory.max")  # of a container; "max" where there is no limit
    text = limit.read_text().strip() if limit.is_file() else ""
    memory = min(memory, int(text)) if text.isdigit() else memory
    return "cpu", f"CPU {platform.machine()}, {threads} thread{'s' * (threads > 1)}", memory


def hours_for(settings: Settings, speed: Speed) -> float:
    """Hours of a reproduction; reading files, converting and the report are not counted."""
    passes = get_target(settings.table).passes(settings)
    return n_images(settings) * (speed.image + passes * speed.passed) / 3600


def n_images(settings: Settings) -> int:
    """Images of all splits that are asked."""
    bundled, total = EMBEDDED.get(settings.data or ""), 0
    for dataset, split in settings.splits:
        if settings.of_clips:
            there = CLIP_FAMILIES[dataset].clips[split]
        else:
            author = next(iter(REF_FAMILIES[dataset].splits))
            there = KNOWN_COUNTS[dataset, author, split].images or 0
        if bundled and split in bundled.seeds:
            there = len(bundled.seeds[split])
        total += there if settings.images is None else min(there, settings.images)
    return total if not get_target(settings.table).timed else len(settings.splits)


def cached_bytes(settings: Settings) -> int:
    """What the encoded images of a table take on a disk, at most; 0 for a model of the user's own.

    Such a model has another size, which is not known before it is loaded.
    """
    return int(n_images(settings) * STATE_BYTES) if settings.model is None else 0


def hours_in_words(hours: float) -> str:
    """A time as a person says it.

    Example:
        >>> hours_in_words(0.04), hours_in_words(3.21), hours_in_words(1234.5)
        ('2 minutes', '3.2 hours', '1,234 hours')
    """
    if hours < 1:
        minutes = max(1, round(60 * hours))
        return f"{minutes} minute{'s' * (minutes > 1)}"
    return f"{hours:.1f} hours" if hours < 100 else f"{hours:,.0f} hours"
