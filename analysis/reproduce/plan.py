"""What a reproduction needs, said before anything is fetched, and the user's consent to it."""

import hashlib
from collections.abc import Sequence

from litelvlm.analysis.reproduce.device import Device
from litelvlm.analysis.reproduce.listing import Listing
from litelvlm.analysis.reproduce.place import Room, Workplace
from litelvlm.analysis.reproduce.settings import Settings
from litelvlm.analysis.reproduce.targets import get_target
from litelvlm.analysis.reproduce.work import BASIS, WEIGHT_BYTES, WORKING_BYTES
from litelvlm.analysis.reproduce.workloads import work_for
from litelvlm.data.files import atomic_write

FEASIBLE_HOURS = 1000
"""More than this, about six weeks, and the plan says that the device will not do."""


def plan_text(
    settings: Settings, listing: Listing | None, found: Sequence[Room], device: Device
) -> str:
    """What is fetched under which licence, what it needs, and how long it takes here.

    Args:
        settings: What is asked for.
        listing: What the hub has; None if nothing is fetched, or the hub was not reached.
        found: Room on each disk.
        device: Where it would run.
    """
    lines = [f"Table {settings.table}: {get_target(settings.table).title}", ""]
    if listing is None and settings.assets:
        lines += _unlisted(settings)
    else:
        lines += ["Fetched from the hub:"]
        lines += [
            f"  {r.role:<10} {r.size / 1e9:7.3f} GB  {r.name} at {r.commit[:12]}\n"
            f"{'':14}licence on its page: {r.licence or 'none stated'}; {r.terms}"
            for r in (listing.repositories if listing else ())
        ] or ["  nothing; the files are yours"]
    unknown = listing is None and bool(settings.assets)
    lines += ["", "Disk:"]
    lines += [
        f"  {r.folder}: "
        + f"{r.needed / 1e9:.1f} GB still needed, " * (not unknown)
        + f"{r.free / 1e9:.1f} GB free"
        for r in found
    ]
    return "\n".join([*lines, "", *_computing(settings, device), ""])


def _unlisted(settings: Settings) -> list[str]:
    """What would be fetched, as far as it is known without the hub."""
    sizes = {asset: asset.about for asset in settings.assets}
    lines = ["To fetch from the hub, which was not reached (sizes as last seen):"]
    lines += [
        f"  {asset.role:<10} {'unknown size' if about is None else f'about {about:.1f} GB'}  "
        f"{' or '.join(asset.names)}\n{'':14}{asset.terms}"
        for asset, about in sizes.items()
    ]
    room = 2 * sum(about or 0 for about in sizes.values())
    more = ", and what is unknown" if None in sizes.values() else ""
    return [*lines, f"  about {room:.1f} GB of disk with what is converted and unpacked{more}"]


def _computing(settings: Settings, device: Device) -> list[str]:
    speed = f"{macs_in_words(device.macs_per_second)} multiply-adds per second in {device.dtype}"
    lines = [f"Device: {device.name}, {device.memory / 1e9:.0f} GB, {speed}"]
    needed = WEIGHT_BYTES + WORKING_BYTES
    if settings.model is None and device.memory < needed:
        lines.append(f"  too little memory: the published model needs about {needed / 1e9:.0f} GB")
    work = work_for(settings)
    hours = work.hours(device)
    lines += [
        f"Run: {get_target(settings.table).kind.sentence(settings, work)}",
        f"  {'not feasible here: ' * (hours > FEASIBLE_HOURS)}"
        f"about {hours_in_words(hours)} on this device for "
        f"{settings.model or 'the published model'} ({macs_in_words(work.macs)} multiply-adds)",
        f"  estimated from {BASIS}",
    ]
    return [*lines, "You may interrupt it at any time: run the same command again to continue."]


def macs_in_words(macs: float) -> str:
    """Multiply-adds in peta, or in tera or giga where they are few.

    Example:
        >>> macs_in_words(2.34e16), macs_in_words(4.5e12), macs_in_words(3.2e10)
        ('23.4 P', '4.5 T', '32.0 G')
    """
    if macs >= 1e14:
        return f"{macs / 1e15:.1f} P"
    return f"{macs / 1e12:.1f} T" if macs >= 1e11 else f"{macs / 1e9:.1f} G"


def hours_in_words(hours: float) -> str:
    """A time as a person says it.

    Example:
        >>> hours_in_words(0.04), hours_in_words(3.21), hours_in_words(1234.5)
        ('3 minutes', '3.2 hours', '1,234 hours')
    """
    if hours < 1:
        minutes = max(1, round(60 * hours))
        return f"{minutes} minute{'s' * (minutes > 1)}"
    return f"{hours:.1f} hours" if hours < 100 else f"{hours:,.0f} hours"


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
