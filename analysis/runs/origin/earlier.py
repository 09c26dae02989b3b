"""An earlier run that differs in nothing but the versions of libraries."""

import logging
from pathlib import Path

import yaml
from pydantic import ValidationError

from litelvlm.analysis.runs.record import RunKey

log = logging.getLogger(__name__)


def continued_key(out: str | Path, key: RunKey, accept_versions: bool) -> RunKey:
    """The key to go on with, given the runs there are.

    Other versions of a library may give other numbers, so that a run begins anew with them. A run
    that was begun with others is named in the log.

    Args:
        out: Folder of all runs.
        key: Of the run to make, with the versions of now.
        accept_versions: Go on with the newest run of other versions, unless there is one of these.
    """
    if (Path(out) / key.folder_name).exists():
        return key
    known = _runs(Path(out), key.study)
    others = [one for one in known if one.model_copy(update={"versions": key.versions}) == key]
    if not others:
        return key
    newest = others[-1]
    changed = ", ".join(
        f"{name} {newest.versions.get(name, 'none')} -> {now}"
        for name, now in key.versions.items()
        if newest.versions.get(name) != now
    )
    if accept_versions:  # the record names the versions once it is opened
        return newest
    log.warning(
        "%s was made with other versions (%s), so this run begins anew; to continue the old "
        "one, add --accept-versions",
        newest.folder_name,
        changed,
    )
    return key


def _runs(out: Path, study: str) -> list[RunKey]:
    """Keys of the runs of a study, the newest last; what cannot be read is no run."""
    keys = []
    paths = sorted(out.glob(f"{study}-*/config.yaml"), key=lambda path: path.stat().st_mtime)
    for path in paths:
        try:
            keys.append(RunKey.model_validate(yaml.safe_load(path.read_text(encoding="utf-8"))))
        except (OSError, ValueError, ValidationError, yaml.YAMLError):
            continue
    return keys
