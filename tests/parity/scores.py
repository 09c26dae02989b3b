"""Official gIoU and cIoU of recorded logits and targets."""

import json
from pathlib import Path

from safetensors.torch import load_file

from litelvlm.metrics import ciou, giou, intersection_union


def compute(fixtures: Path, out: Path) -> None:
    """Write ``got.json``: one entry per set of images, in the order of their names."""
    inputs = load_file(fixtures / "inputs.safetensors")
    images = sorted({key.rsplit(".", 1)[0] for key in inputs})
    got = []
    for name in sorted({image.rsplit(".", 1)[0] for image in images}):
        members = [image for image in images if image.rsplit(".", 1)[0] == name]
        counts = []
        for image in members:
            masks = zip(
                (inputs[f"{image}.logits"] > 0).numpy(),
                inputs[f"{image}.target"].numpy(),
                strict=False,
            )
            counts += [intersection_union(mask, target) for mask, target in masks]
        # Sums over no expression at all are 0, and so are the official scores.
        i_pixels, u_pixels = zip(*counts, strict=True) if counts else ((0,), (0,))
        scores = {
            "giou": giou(i_pixels, u_pixels) if counts else 0.0,
            "ciou": ciou(i_pixels, u_pixels),
        }
        got.append({"set": name, "images": len(members), **scores})
    (out / "got.json").write_text(json.dumps(got, indent=1) + "\n")
