"""CLIP towers that a study reads beside its model's own: loaded by name, or with random weights."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import torch
from jaxtyping import Float
from torch import Tensor

from litelvlm.analysis.runs.origin.fingerprint import fingerprint
from litelvlm.analysis.runs.work import ItemResult, Work
from litelvlm.clip.load import load_tower
from litelvlm.clip.tower import Tower
from litelvlm.data.dataset import Dataset
from litelvlm.models.base import StudiedModel, TowerModel

ContextT = TypeVar("ContextT")
BATCH = 64  # texts read at once


@dataclass(frozen=True)
class ClipModel(TowerModel):
    """A pair of towers alone.

    Attributes:
        name: Name or folder that it was loaded from.
        tower: The towers.
        digest: Fingerprint of their weights.
        studied: The studied model, whose questions these towers read too.
    """

    name: str
    tower: Tower
    digest: str
    studied: StudiedModel

    def question(self, expression: str, question_index: int = 0) -> str:
        """The studied model's sentence."""
        return self.studied.question(expression, question_index)


def load_clips(names: Sequence[str], studied: StudiedModel) -> tuple[ClipModel, ...]:
    """Load towers by the names that ``litelvlm.clip.load.load_tower`` knows, in float32.

    Args:
        names: Of the towers.
        studied: The model that they are read beside, on its device.

    Raises:
        ValueError: If a name is given twice or unknown.
        FileNotFoundError: If weights can be neither found nor fetched.
    """
    if not names:
        return ()
    twice = sorted({name for name in names if list(names).count(name) > 1})
    if twice:
        raise ValueError(f"the CLIP model {twice[0]!r} is named twice; name each once")
    towers = {name: load_tower(name, device=studied.device) for name in names}
    return tuple(
        ClipModel(name, tower, fingerprint(tower), studied) for name, tower in towers.items()
    )


def clip_work(
    model: StudiedModel,
    data: Dataset,
    names: Sequence[str],
    make_context: Callable[[TowerModel, str], ContextT],
    clip_rows: Callable[[ContextT, int], ItemResult],
    resolved: Mapping[str, object],
    further: Sequence[Callable[[int], ItemResult]] = (),
    notes: tuple[str, ...] = (),
) -> Work:
    """Work of a study that reads the model's own towers and other CLIP models alike.

    Skipped expressions count for the model itself.

    Args:
        model: The studied model.
        data: The split.
        names: Other CLIP models.
        make_context: From a model and its name in the rows (empty for the studied one) to what its
            images share.
        clip_rows: From that and the index of an image to its rows.
        resolved: Fields of the configuration besides ``clip``.
        further: What else makes rows of an image, between the own towers and the others.
        notes: What else a reader of the rows should know.
    """
    clips = load_clips(names, model)
    own = [partial(clip_rows, make_context(model, ""))] if isinstance(model, TowerModel) else []
    rankers: list[Callable[[int], ItemResult]] = [
        *own,
        *further,
        *(partial(clip_rows, make_context(clip, clip.name)) for clip in clips),
    ]

    def image_rows(index: int) -> ItemResult:
        found = [rank(index) for rank in rankers]
        return ItemResult([row for result in found for row in result.rows], found[0].skipped)

    digests = {clip.name: clip.digest for clip in clips}
    resolved = {**resolved, "clip": digests}
    return Work(data, lambda index: partial(image_rows, index), resolved=resolved, notes=notes)


def randomised(model: TowerModel, seed: int) -> Tower:
    """Build towers of the same shape, number type and device with random weights.

    Where a family's architecture is known by name only, they are built by the model's name. The
    global random generators stay as they were.
    """
    place = model.tower.device
    with torch.random.fork_rng(devices=[place] if place.type == "cuda" else []):
        torch.manual_seed(seed)
        drawn: Tower | None = model.tower.redrawn()
        if drawn is None:
            drawn = load_tower(model.name, dtype=model.dtype, device=place, random_init=True)
    return drawn


@torch.inference_mode()
def embed_texts(tower: Tower, texts: Sequence[str]) -> Float[Tensor, "t p"]:
    """Projected [EOS] states of texts, not normalised, in float32 on the CPU."""
    parts = [
        tower.text(list(texts[start : start + BATCH])).text_embeds.float().cpu()
        for start in range(0, len(texts), BATCH)
    ]
    return torch.cat(parts)
