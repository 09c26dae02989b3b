"""`litelvlm check`: packages, device, model and data, one line each."""

import platform
import sys
from collections.abc import Callable
from functools import partial
from importlib.metadata import PackageNotFoundError, requires, version

from packaging.requirements import Requirement

from litelvlm.analysis.cli.actions.data_check import check_references
from litelvlm.analysis.cli.actions.loading import data_of, model_of
from litelvlm.analysis.cli.terminal import print_json
from litelvlm.analysis.cli.verbs.check import Check
from litelvlm.analysis.reproduce.plan import see_device
from litelvlm.models.families import FAMILIES, family_for
from litelvlm.models.glamm.build import FULL_SIZE
from litelvlm.models.glamm.checkpoints.inventory import inventory

USUAL_SIZE = (480, 640)
"""Pixels of the image whose visual tokens are named."""


def run(verb: Check) -> int:
    """Print one line per check; 1 if any failed."""
    lines: list[tuple[str, bool, str]] = []

    def report(name: str, found: bool, line: str) -> bool:
        lines.append((name, found, " ".join(line.split())))
        if not verb.json:
            write(*lines[-1])
        return found

    report("packages", *outcome(packages))
    report("device", *outcome(device))
    if all([report(name, found, line) for name, found, line in model_parts(verb)]):
        report("model", *outcome(partial(check_model, verb)))
    report("data", *outcome(lambda: check_references(data_of(verb), verb.every_image)))
    if verb.json:
        print_json([{"check": name, "ok": found, "told": line} for name, found, line in lines])
    return int(not all(found for _, found, _ in lines))


def model_parts(verb: Check) -> list[tuple[str, bool, str]]:
    """Parts of the model: name, found, how to get it.

    The name of a size alone has no files. The parts are those of GLaMM's published checkpoint;
    models of other families are only loaded.
    """
    if verb.model == FULL_SIZE or family_for(verb.model) is not FAMILIES["glamm"]:
        return []
    return [(part.name, part.found, part.text) for part in inventory(verb.model, verb.clip)]


def check_model(verb: Check) -> str:
    """Load the model and describe it."""
    model = model_of(verb)
    height, width = USUAL_SIZE
    rows, columns = model.view(height, width).layout.grid
    tokens = f"{rows} x {columns} visual tokens of an image of {height} x {width} pixels"
    return f"{model.name}: {tokens}, {model.dtype} on {model.device}, weights {model.digest[:12]}"


def packages() -> str:
    """Python, and every package that is needed without an extra.

    Raises:
        RuntimeError: If one is missing, or is another version than the project works with.
    """
    wanted = [Requirement(text) for text in requires("litelvlm") or []]
    wanted = [one for one in wanted if one.marker is None or one.marker.evaluate({"extra": ""})]
    found = {one.name: installed(one.name) for one in wanted}
    wrong = [
        f"{one.name} {found[one.name] or 'is missing'} (needed: {one.specifier or 'any version'})"
        for one in wanted
        if not one.specifier.contains(found[one.name] or "0", prereleases=True)
        or found[one.name] is None
    ]
    if wrong:
        raise RuntimeError(
            f"{'; '.join(wrong)}; run `make env`, or install these with pip as named here"
        )
    told = ", ".join(f"{name} {number}" for name, number in found.items())
    return f"Python {platform.python_version()}, {told}"


def installed(name: str) -> str | None:
    """Version of a package; None if it is not installed."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def device() -> str:
    """What torch would compute on, and the memory there."""
    kind, name, memory = see_device("auto")
    note = " (no GPU found, none needed for the miniature)" if kind == "cpu" else ""
    return f"{name}, {memory / 1e9:.0f} GB of memory{note}"


def write(name: str, found: bool, line: str) -> None:
    """Print the line of one check."""
    sys.stdout.write(f"{'ok  ' if found else 'FAIL'}  {name:<9}  {line}\n")
    sys.stdout.flush()


def outcome(check: Callable[[], str]) -> tuple[bool, str]:
    """Run one check: whether it passed, and its line."""
    try:
        return True, check()
    except (ValueError, OSError, ImportError, RuntimeError) as error:
        return False, " ".join(str(error).split())
