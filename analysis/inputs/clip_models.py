"""CLIP towers that a study reads beside its model's own: named, loaded, or with weights drawn at random."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from litelvlm.analysis.inputs.samples import Model
from litelvlm.analysis.runs.provenance import fingerprint
from litelvlm.clip.load import load_tower


@dataclass(frozen=True)
class ClipModel:
    """A pair of towers alone, with what studies ask of a model.

    Attributes:
        name: What it was loaded by.
        tower: The towers.
        digest: Fingerprint of their weights.
    """

    name: str
    tower: Any
    digest: str

    @property
    def grid(self) -> tuple[int, int]:
        """Token grid (rows, columns)."""
        rows, columns = self.tower.grid
        return int(rows), int(columns)

    @property
    def device(self) -> torch.device:
        """Where the weights lie."""
        device: torch.device = self.tower.device
        return device

    @property
    def dtype(self) -> torch.dtype:
        """Number type of the weights."""
        dtype: torch.dtype = self.tower.dtype
        return dtype


def load_clips(names: Sequence[str], device: torch.device | str) -> tuple[ClipModel, ...]:
    """Load towers by the names that ``litelvlm.clip.load.load_tower`` knows, in float32.

    Raises:
        ValueError: If a name is given twice or unknown.
        FileNotFoundError: If weights can be neither found nor fetched.
    """
    if not names:
        return ()
    twice = sorted({name for name in names if list(names).count(name) > 1})
    if twice:
        raise ValueError(f"the CLIP model {twice[0]!r} is named twice; name each once")
    towers = {name: load_tower(name, device=device) for name in names}
    return tuple(ClipModel(name, tower, fingerprint(tower)) for name, tower in towers.items())


def randomised(model: Model, seed: int) -> Any:
    """Towers of the same shape, number type and place with random weights; the global generators are left as they were.

    Hugging Face towers are built anew from their configuration, others by name.
    """
    tower = model.tower
    weights = next(tower.clip.parameters())
    with torch.random.fork_rng(devices=[weights.device] if weights.is_cuda else []):
        torch.manual_seed(seed)
        if not hasattr(tower.clip, "config"):
            return load_tower(model.name, dtype=model.dtype, device=model.device, random_init=True)
        clip = type(tower.clip)(tower.clip.config)
    return type(tower)(
        clip.to(weights.device, weights.dtype).eval(), tower.tokenizer, tower.preprocessing
    )


@torch.inference_mode()
def embed_texts(tower: Any, texts: Sequence[str], batch: int = 64) -> Float[Tensor, "t p"]:
    """Projected [EOS] states of texts, not normalised, in float32 on the CPU."""
    parts = [
        tower.text(list(texts[start : start + batch])).text_embeds.float().cpu()
        for start in range(0, len(texts), batch)
    ]
    return torch.cat(parts)
