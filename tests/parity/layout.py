"""Where every tensor of the published checkpoint goes."""

import json
from pathlib import Path

from litelvlm.glamm.mapping import target_of


def compute(fixtures: Path, out: Path) -> None:
    """Write ``mapped.json``: official name to [component, target], or null for families that are not needed."""
    names = json.loads((fixtures / "checkpoint_keys.json").read_text())["keys"]
    mapped = {name: target_of(name) for name in names}
    (out / "mapped.json").write_text(json.dumps(mapped, indent=1) + "\n")
