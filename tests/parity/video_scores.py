"""J and F of recorded label maps: every proposal with every object, and the official pairing."""

import json
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from litelvlm.metrics import FrameScores, match_objects


def compute(fixtures: Path, out: Path) -> None:
    """Write ``got.safetensors`` (tables) and ``got.json`` (pairs and means, one per sequence).

    ``inputs.safetensors`` holds ``NAME.gt`` and ``NAME.pred``, labels [frames, height, width]; 255
    is ignored in the first.
    """
    inputs = load_file(fixtures / "inputs.safetensors")
    names = sorted(key.removesuffix(".gt") for key in inputs if key.endswith(".gt"))
    tables, got = {}, {}
    for name in names:
        matched = match_objects(inputs[f"{name}.gt"], inputs[f"{name}.pred"])
        for which, values in zip(("J", "F"), matched.table, strict=True):
            tables[f"{name}.{which}_table"] = torch.from_numpy(values.copy())
        n = matched.table.j.shape[1]
        own = FrameScores(*(np.diagonal(one[:n]).T for one in matched.table))
        got[name] = {"pairs": matched.pairs, **_means(matched.scores)}
        got[name] |= {f"fixed_order_{key}": value for key, value in _means(own).items()}
    objects = [
        (j, f) for name in names for j, f in zip(got[name]["J"], got[name]["F"], strict=True)
    ]
    j, f = np.mean(objects, axis=0)
    got["overall"] = {"J": j, "F": f, "J&F": (j + f) / 2}
    save_file(tables, out / "got.safetensors")
    (out / "got.json").write_text(json.dumps(got, indent=1) + "\n")


def _means(scores: FrameScores) -> dict[str, list[float] | list[list[float]]]:
    j, f = scores.means()
    per_frame = {"J_per_frame": scores.j.tolist(), "F_per_frame": scores.f.tolist()}
    return {"J": j.tolist(), "F": f.tolist(), "J&F": ((j + f) / 2).tolist(), **per_frame}
