"""From downloads to a model and data that can be asked."""

import logging
from collections.abc import Callable
from pathlib import Path

from litelvlm.analysis.inputs.balanced import BalancedSubset
from litelvlm.analysis.reproduce.listing import Listing
from litelvlm.analysis.reproduce.place import Workplace, pending
from litelvlm.analysis.reproduce.settings import Settings
from litelvlm.data.embedded import EMBEDDED
from litelvlm.data.files import remove_debris
from litelvlm.data.load import load_refer
from litelvlm.data.refer import ReferDataset
from litelvlm.models.families import load_model
from litelvlm.models.glamm.checkpoints.convert import convert
from litelvlm.models.glamm.checkpoints.inventory import inventory
from litelvlm.models.glamm.model import Glamm

log = logging.getLogger(__name__)


def convert_all(
    place: Workplace, listing: Listing, say: Callable[[str], object] = log.info
) -> None:
    """Rewrite the fetched models as safetensors, each once.

    Raises:
        ValueError: If a file is damaged or holds more than tensors.
        OSError: If the disk is full.
    """
    for repository in pending(place, listing):
        if repository.kind == "model":
            target = place.converted(repository)
            target.parent.mkdir(parents=True, exist_ok=True)
            remove_debris(target.parent, older_than=0)
            say(f"converting {repository.name} to safetensors")
            convert(place.downloads / repository.folder, target)


def open_model(settings: Settings, place: Workplace, listing: Listing | None) -> Glamm:
    """Check every part of the model and load it.

    The published tables are GLaMM's, and the parts are those of its checkpoint. No other family
    can take its place.

    Raises:
        FileNotFoundError: Naming each part that is missing.
        ValueError: If the checkpoint does not fit.
    """
    model, clip = settings.model, settings.clip
    if model is None:
        if listing is None:
            raise ValueError("a model without a folder of its own needs a listing of the hub")
        both = (place.converted(listing.of(role)) for role in ("checkpoint", "clip"))
        model, clip = (str(path.resolve()) for path in both)
    lacking = [part for part in inventory(model, clip) if not part.found]
    if lacking:
        raise FileNotFoundError(
            f"{model} is not complete: "
            + "; ".join(f"{part.name}: {part.text}" for part in lacking)
        )
    device = None if settings.device == "auto" else settings.device
    return load_model(model, clip=clip, device=device)


def open_split(
    settings: Settings, place: Workplace, listing: Listing | None, dataset: str, split: str
) -> ReferDataset:
    """Read one split, from the hub's files or the user's own.

    Raises:
        ValueError: If a file's content is wrong.
        FileNotFoundError: If a file is missing.
    """
    if settings.data in EMBEDDED:
        return load_refer(settings.data or "", split=split)
    if settings.data is not None:
        return load_refer(settings.data, dataset=dataset, split=split)
    if listing is None:
        raise ValueError("data without a folder of its own needs a listing of the hub")
    folder: Path = place.downloads / listing.of(dataset).folder
    return load_refer(folder, dataset=dataset, split=split)


def part_of(settings: Settings, data: ReferDataset) -> ReferDataset | BalancedSubset:
    """The images that are asked: the whole split, or a balanced part of it."""
    if settings.images is None or settings.images >= len(data):
        return data
    return BalancedSubset(data, settings.images)
