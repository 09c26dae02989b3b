"""Write a trained miniature as a checkpoint folder in the published layout."""

import json
from pathlib import Path

import torch
from torch import nn

from litelvlm.models.glamm.checkpoints.mapping import COMPONENTS
from litelvlm.models.glamm.checkpoints.weights import save_checkpoint
from litelvlm.models.glamm.model import Glamm
from litelvlm.training.glamm.sizes import glamm_config


def export(model: Glamm, folder: Path) -> None:
    """Save weights as float16 under the published names, CLIP in "clip", and both tokenizers.

    ``model`` itself becomes float16: score what was exported, not what was trained.
    """
    folder.mkdir(parents=True, exist_ok=True)
    model.tokenizer.save_pretrained(folder)
    (folder / "config.json").write_text(
        json.dumps(glamm_config(model.tokenizer.vocab_size), indent=1) + "\n"
    )
    model.to(torch.float16)
    parts: dict[str, nn.Module] = {name: getattr(model, name) for name in COMPONENTS}
    save_checkpoint(parts, folder)
    model.tower.clip.save_pretrained(folder / "clip")
    model.tower.tokenizer.save_pretrained(folder / "clip")
