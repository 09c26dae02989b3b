"""CLIP towers that a study reads beside its model's own: loaded by name, or with random weights."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from litelvlm.analysis.runs.fingerprint import fingerprint
from litelvlm.clip.tower import Tower
from litelvlm.models.base import TowerModel


@dataclass(frozen=True)
class ClipModel(TowerModel):
    """A pair of towers alone.

    Attributes:
        name: What it was loaded by.
        tower: The towers.
        digest: Fingerprint of their weights.
    """

    name: str
    tower: Tower
    digest: str


def load_clips(names: Sequence[str], device: torch.device | str) -> tuple[ClipModel, ...]:
    """Load towers by the names that ``litelvlm.clip.open_clip.load_tower`` knows, in float32.

    Raises:
        ValueError: If a name is given twice or unknown.
        FileNotFoundError: If weights can be neither found nor fetched.
    """
    if not names:
        return ()
    from litelvlm.clip.open_clip import (
        load_tower,
    )  # takes seconds, and most runs name no other towers

    twice = sorted({name for name in names if list(names).count(name) > 1})
    if twice:
        raise ValueError(f"the CLIP model {twice[0]!r} is named twice; name each once")
    towers = {name: load_tower(name, device=device) for name in names}
    return tuple(ClipModel(name, tower, fingerprint(tower)) for name, tower in towers.items())


def randomised(model: TowerModel, seed: int) -> Tower:
    """Build towers of the same shape, number type and device with random weights.

    The global random generators stay as they were. Hugging Face towers are built from their
    configuration, others by name.
    """
    tower = model.tower
    weights, clip = next(tower.parameters()), getattr(tower, "clip", None)
    with torch.random.fork_rng(devices=[weights.device] if weights.is_cuda else []):
        torch.manual_seed(seed)
        if not hasattr(clip, "config"):
            from litelvlm.clip.open_clip import load_tower

            return load_tower(model.name, dtype=model.dtype, device=model.device, random_init=True)
        drawn = type(clip)(clip.config).to(weights.device, weights.dtype).eval()
    make: Callable[..., Tower] = type(tower)
    return make(drawn, getattr(tower, "tokenizer", None), tower.preprocessing)


@torch.inference_mode()
def embed_texts(tower: Tower, texts: Sequence[str], batch: int = 64) -> Float[Tensor, "t p"]:
    """Projected [EOS] states of texts, not normalised, in float32 on the CPU."""
    parts = [
        tower.text(list(texts[start : start + batch])).text_embeds.float().cpu()
        for start in range(0, len(texts), batch)
    ]
    return torch.cat(parts)
