"""The file of example pictures in a run folder: overlays of a few expressions with their titles.

Studies write it, figures read it. Reading needs no model.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from jaxtyping import UInt8
from safetensors import safe_open
from safetensors.numpy import save

from litelvlm.arrays import Array
from litelvlm.data.files import atomic_write

FILE = Path("maps") / "examples.safetensors"
HOW_DRAWN = "the command of a sweep of protocol 'single' draws it, also when it is given again"


class Example(NamedTuple):
    """One expression under every budget.

    Attributes:
        text: The expression.
        percentile: Rank of its score among all expressions, or those of its case, in percent.
        titles: One per panel.
        panels: Overlays, RGB in 0..255; the true mask first.
        case: What it stands for, in words; empty where the percentile says all.
    """

    text: str
    percentile: int
    titles: tuple[str, ...]
    panels: tuple[UInt8[Array, "height width 3"], ...]
    case: str = ""


def write_examples(run: Path, method: str, examples: Sequence[Example]) -> Path:
    """Keep the examples of a run, and return their file.

    Args:
        run: The run folder.
        method: Label of the method that chose the tokens.
        examples: In the order in which they are shown.
    """
    panels = {
        f"{number}.{place}": panel
        for number, example in enumerate(examples)
        for place, panel in enumerate(example.panels)
    }
    lines = [
        {name: getattr(example, name) for name in ("text", "percentile", "titles", "case")}
        for example in examples
    ]
    meta = {"examples": json.dumps(lines), "method": method}
    return atomic_write(run / FILE, save(panels, metadata=meta))


def read_examples(run: Path) -> tuple[str, list[Example]]:
    """Label of the method that was drawn, and the examples.

    Raises:
        FileNotFoundError: If the run holds none.
    """
    if not (run / FILE).is_file():
        raise FileNotFoundError(f"{run} has no {FILE}; {HOW_DRAWN}")
    with safe_open(run / FILE, framework="numpy") as file:
        meta = file.metadata()
        examples = [
            Example(
                line["text"],
                line["percentile"],
                tuple(line["titles"]),
                tuple(file.get_tensor(f"{number}.{place}") for place in range(len(line["titles"]))),
                line.get("case", ""),  # runs of before had none
            )
            for number, line in enumerate(json.loads(meta["examples"]))
        ]
        return meta["method"], examples
