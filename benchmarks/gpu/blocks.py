"""What README.md and benchmarks/README.md say of GPU figures, written between two marks.

Both sentences follow from the files of the programme, so nobody copies a number. A dry run counts
as nothing.
"""

import json
import re
from pathlib import Path
from textwrap import fill

from benchmarks.gpu.parts import PARTS
from benchmarks.gpu.results import prefills
from benchmarks.gpu.runner import OUT, RECORD, ROOT, gpu_of

README, OWN = Path("README.md"), Path("benchmarks/README.md")
BEGIN, END = "<!-- GPU figures, by benchmarks.gpu.page -->", "<!-- end of GPU figures -->"
_BLOCK = re.compile(f"{re.escape(BEGIN)}\n.*?{re.escape(END)}", re.DOTALL)
PREFILL = "prefill-sdpa"
_NONE = {
    README: (
        "Not measured on a GPU. `python -m benchmarks.gpu` measures everything that wants one, in "
        "parts of at most eight minutes."
    ),
    OWN: "No GPU was at hand so far: none of the parts is done.",
}

_PAGE = {README: "benchmarks/results/gpu/page.md", OWN: "results/gpu/page.md"}


def measured(out: Path) -> dict[str, str]:
    """The GPU of each part that is done on one, in the order of the programme."""
    found = {}
    for part in PARTS:
        path = out / part.name / RECORD
        record = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
        if record is not None and record["state"] == "done" and not record["tiny"]:
            found[part.name] = gpu_of(record)
    return found


def sentences(out: Path, place: Path) -> str:
    """What one of the two files says.

    Args:
        out: Folder of all parts.
        place: The file, below the checkout.
    """
    done = measured(out)
    if not done:
        return fill(_NONE[place], 100, break_on_hyphens=False, break_long_words=False)
    where = " and ".join(sorted(set(done.values())))
    said = [f"{len(done)} of {len(PARTS)} parts of `python -m benchmarks.gpu` are done on {where}"]
    if PREFILL in done:
        points = [
            f"{middle:.3g} ms [{low:.3g}, {high:.3g}] with {tokens} visual tokens"
            for tokens, middle, low, high in reversed(dict(prefills(out)).get(PREFILL, ()))
        ]
        said.append(
            f"a prefill of random weights at full size takes {', '.join(points)} there (medians, "
            "quartiles, fused attention)"
        )
    text = "; ".join(said) + f" ([all tables]({_PAGE[place]}))."
    missing = [part.name for part in PARTS if part.name not in done]
    if place == OWN and missing:
        text += f" Not done: {', '.join(missing)}."
    return fill(text, 100, break_on_hyphens=False, break_long_words=False)


def rewritten(text: str, said: str) -> str:
    """A file with its block replaced.

    Raises:
        ValueError: If the file does not have the two marks exactly once.
    """
    found = _BLOCK.findall(text)
    if len(found) != 1:
        raise ValueError(
            f"{len(found)} blocks between {BEGIN!r} and {END!r}, 1 is needed; put the marks back"
        )
    return text.replace(found[0], f"{BEGIN}\n{said}\n{END}")


def rewrite(out: Path = OUT, root: Path = ROOT) -> None:
    """Write both files anew.

    Args:
        out: Folder of all parts, below the checkout.
        root: The checkout.
    """
    for place in (README, OWN):
        path = root / place
        text = path.read_text(encoding="utf-8")
        path.write_text(rewritten(text, sentences(out, place)), encoding="utf-8")
