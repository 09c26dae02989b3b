"""Is everything installed that the GPU programme needs? Names what is not, and what needs it."""

import tomllib
from collections.abc import Collection, Iterator, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from benchmarks.gpu.parts import PARTS, Part

ROOT = Path(__file__).parents[2]
BASE, CARRIED = (ROOT / "benchmarks" / f"gpu-{name}.txt" for name in ("base", "requirements"))


def read(path: Path) -> list[Requirement]:
    """The requirements of a file, in its order."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return [Requirement(line) for line in lines if line and not line.startswith("#")]


def lacking() -> dict[str, str]:
    """What is missing or has another version than it should, by package, with who needs it.

    The packages of both files are looked at, and whatever these need in turn. The ranges are those
    of ``BASE`` and of pyproject.toml. Elsewhere the name counts alone: wheels that are carried
    along have one version, and others work too.
    """
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    ranges = {canonicalize_name(r.name): r for r in map(Requirement, project["dependencies"])}
    found: dict[str, str] = {}
    seen: set[str] = set()
    for path in (BASE, CARRIED):
        for listed in read(path):
            wanted = ranges.get(canonicalize_name(listed.name))
            if wanted is None:
                wanted = listed if path == BASE else Requirement(listed.name)
            found = dict(_problems(wanted, path.name, seen, ranged=True)) | found
    return found


def _problems(
    wanted: Requirement, who: str, seen: set[str], ranged: bool
) -> Iterator[tuple[str, str]]:
    name = canonicalize_name(wanted.name)
    try:
        there = distribution(name)
    except PackageNotFoundError:
        yield name, f"{wanted.name}{wanted.specifier}, which {who} needs, is not installed"
        return
    if ranged and not wanted.specifier.contains(there.version, prereleases=True):
        yield name, f"{wanted}, which {who} needs, is version {there.version}"
    if name in seen:
        return
    seen.add(name)
    for line in there.requires or ():
        inner = Requirement(line)
        if inner.marker is None or inner.marker.evaluate({"extra": ""}):
            yield from _problems(inner, wanted.name, seen, ranged=False)


def refusal(problems: Mapping[str, str]) -> str:
    """What to do about it; empty if nothing is missing that every part needs."""
    if not problems.keys() - {name for part in PARTS for name in part.needs}:
        return ""
    return (
        "this Python cannot run the programme:\n  "
        + "\n  ".join(problems.values())
        + f"\ninstall what {BASE.name} names, then: python -m pip install --no-deps -r "
        f"{CARRIED.relative_to(ROOT).as_posix()}"
    )


def without(parts: Sequence[Part], problems: Collection[str]) -> list[Part]:
    """The parts that need one of these packages for themselves."""
    return [part for part in parts if set(part.needs) & set(problems)]


def notice(left_out: Sequence[Part], problems: Mapping[str, str]) -> str:
    """Which parts are left out, why, and what to install."""
    needed = {name for part in left_out for name in part.needs if name in problems}
    pins = [str(wanted) for wanted in read(CARRIED) if canonicalize_name(wanted.name) in needed]
    return (
        f"left out: {', '.join(part.name for part in left_out)}\n  "
        + "\n  ".join(problems[name] for name in sorted(needed))
        + f"\n  for these parts: python -m pip install --no-deps {' '.join(pins)}"
    )
