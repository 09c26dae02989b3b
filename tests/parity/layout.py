"""Where every tensor of the published checkpoint goes."""

import json
from pathlib import Path

from litelvlm.models.glamm.checkpoints.mapping import NAMES


def compute(fixtures: Path, out: Path) -> None:
    """Write ``mapped.json``: official name to [component, target].

    Families that are not needed map to null.

    Raises:
        ValueError: After writing, if a name belongs to no known family; it is left out of the file.
    """
    mapped, unknown = {}, []
    for name in json.loads((fixtures / "checkpoint_keys.json").read_text())["keys"]:
        try:
            mapped[name] = NAMES.target_of(name)
        except ValueError:
            unknown.append(name)
    (out / "mapped.json").write_text(json.dumps(mapped, indent=1) + "\n")
    if unknown:
        raise ValueError(f"names of no known family: {', '.join(unknown)}")
