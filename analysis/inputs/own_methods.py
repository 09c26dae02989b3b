"""Methods of one's own in a saved run: whether they are known here, and the file that defines them.

A record keeps the names of plug-in files and no folders, and code that a run names is never loaded
by itself. So whoever reads such a run names the file again.
"""

import shlex
from itertools import takewhile
from pathlib import Path

import yaml

from litelvlm.analysis.runs.folder import read_record
from litelvlm.pruning import list_pruners


def unknown_methods(run: Path) -> tuple[str, ...]:
    """Names of the methods in a run's configuration that are in no table of methods here."""
    path = run / "config.yaml"
    stored = yaml.safe_load(path.read_text(encoding="utf-8"))["config"] if path.is_file() else {}
    named = [method["name"] for method in stored.get("methods") or ()]
    return tuple(dict.fromkeys(name for name in named if name not in list_pruners()))


def plugin_note(run: Path) -> str:
    """What to add so that a run's own methods are known here; empty if all are."""
    unknown = unknown_methods(run)
    if not unknown:
        return ""
    words = shlex.split(read_record(run).command)
    given = words[words.index("--plugin") + 1 :] if "--plugin" in words else []
    files = [Path(word).name for word in takewhile(lambda word: word[:2] != "--", given)]
    when = f" (the run was made with {', '.join(files)})" if files else ""
    return (
        f"{', '.join(unknown)} of {run.name} is not known here; add --plugin FILE.py with the file "
        f"that defines it{when}, or load_plugin(FILE.py) in Python"
    )
