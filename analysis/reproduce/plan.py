"""What a reproduction needs, said before anything is fetched, and the user's consent to it."""

import hashlib
from collections.abc import Sequence

from litelvlm.analysis.reproduce.device import Device
from litelvlm.analysis.reproduce.listing import Listing
from litelvlm.analysis.reproduce.place import Room, Workplace
from litelvlm.analysis.reproduce.settings import Settings
from litelvlm.analysis.reproduce.work import WEIGHT_BYTES, WORKING_BYTES, work_of
from litelvlm.data.files import atomic_write


def plan_text(
    settings: Settings, listing: Listing | None, found: Sequence[Room], device: Device
) -> str:
    """What is fetched under which licence, what it needs, and how long it takes here."""
    lines = [f"Table {settings.table}: {settings.target.title}", "", "Fetched from the hub:"]
    lines += [
        f"  {r.role:<10} {r.size / 1e9:7.3f} GB  {r.name} at {r.commit[:12]}\n"
        f"{'':14}licence on its page: {r.licence or 'none stated'}; {r.terms}"
        for r in (listing.repositories if listing else ())
    ] or ["  nothing; the files are yours"]
    lines += ["", "Disk:"]
    lines += [
        f"  {r.folder}: {r.needed / 1e9:.1f} GB still needed, {r.free / 1e9:.1f} GB free"
        for r in found
    ]
    return "\n".join([*lines, "", *_computing(settings, device), ""])


def _computing(settings: Settings, device: Device) -> list[str]:
    speed = f"{device.macs_per_second / 1e12:.2f} T multiply-adds per second"
    lines = [f"Device: {device.name}, {device.memory / 1e9:.0f} GB, {speed} in bfloat16"]
    needed = WEIGHT_BYTES + WORKING_BYTES
    if settings.model is None and device.memory < needed:
        lines.append(f"  too little memory: the published model needs about {needed / 1e9:.0f} GB")
    if settings.target.study == "sweep":
        work = work_of(
            settings.splits,
            settings.images,
            len(settings.methods),
            settings.tokens,
            settings.draws,
        )
        part = "whole splits" if settings.images is None else f"at most {settings.images} a split"
        lines += [
            f"Run: {work.images} images ({part}), {len(settings.splits)} splits, "
            f"{len(settings.methods)} methods at {len(settings.tokens)} budgets, "
            f"{settings.draws} draws of the official protocol",
            f"  about {work.hours(device):.1f} hours on this device for the published model "
            f"({work.macs / 1e15:.1f} P multiply-adds)",
        ]
    else:
        lines += [
            f"Run: study {settings.target.study} on {_named(settings)}",
            "  hours are not estimated for this table; the progress bar tells the rest",
        ]
    return [*lines, "Interrupt it whenever you like: the same command goes on from there."]


def _named(settings: Settings) -> str:
    return ", ".join(f"{dataset}/{split}" for dataset, split in settings.splits)


def agreed(place: Workplace, settings: Settings, listing: Listing | None) -> bool:
    """Whether the user has agreed to this plan before; ``agree`` notes it."""
    try:
        return place.consent.read_text(encoding="utf-8").split() == [_digest(settings, listing)]
    except (OSError, ValueError):
        return False


def agree(place: Workplace, settings: Settings, listing: Listing | None) -> None:
    """Note that the user agrees, so that a run that goes on does not ask again."""
    atomic_write(place.consent, _digest(settings, listing) + "\n")


def _digest(settings: Settings, listing: Listing | None) -> str:
    pinned = listing.model_dump_json() if listing else ""
    return hashlib.sha256((settings.model_dump_json() + pinned).encode()).hexdigest()
