"""The proof of every family of the front door, measured on tiny random models.

It writes the table that `litelvlm ls families` prints: `litelvlm/models/vlm/measured.json`.

Usage: python benchmarks/vlm_families.py
"""

import json
from dataclasses import asdict
from pathlib import Path

import torch
from common import machine
from vlm_proof import prove

from litelvlm.models.vlm import families
from litelvlm.models.vlm.families import VLM_FAMILIES
from tests.tiny_vlms.table import TINY


def main() -> None:
    """Measure and store every family, images first."""
    torch.set_num_threads(1)
    found = {}
    for name in VLM_FAMILIES:
        found[name] = {"image": asdict(prove(name))}
        if TINY[name].videos is not None:
            found[name]["video"] = asdict(prove(name, video=True))
        print(name, found[name])
    record = {
        "command": "python benchmarks/vlm_families.py",
        "machine": machine(),
        "families": found,
    }
    path = Path(families.__file__).with_name(families.MEASURED)
    path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
