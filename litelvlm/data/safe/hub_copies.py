"""Local copies of repositories of the hub, each fetched once."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Literal

from huggingface_hub import HfApi, constants, snapshot_download
from huggingface_hub.errors import (
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from litelvlm.data.safe.hub_calls import answered, commit_of, hub_errors


def snapshot(
    name: str,
    kind: Literal["model", "dataset"],
    patterns: Sequence[str],
    revision: str | None = None,
    fetch: bool = True,
) -> Path:
    """The local copy of a repository, fetched once; the folder bears the name of its commit.

    Args:
        name: "owner/name".
        kind: Of the repository.
        patterns: Files that are wanted.
        revision: Branch, tag or commit; None takes the main branch.
        fetch: False forbids the network.

    Raises:
        FileNotFoundError: If there is no local copy, and the hub has none either or must not be
            asked.
        ConnectionError: If there is no local copy, and the hub cannot be reached or is none.
    """
    online = fetch and not constants.HF_HUB_OFFLINE
    trouble = _trouble(name, kind, revision) if online else None
    try:
        with hub_errors(name):
            return Path(
                snapshot_download(
                    name,
                    repo_type=kind,
                    revision=revision,
                    local_files_only=not fetch or trouble is not None,
                    allow_patterns=list(patterns),
                )
            )
    except OSError as error:
        if trouble is not None:
            raise trouble from error
        if not isinstance(error, LocalEntryNotFoundError):
            raise
        if online:
            raise ConnectionError(
                f"the hub at {constants.ENDPOINT} knows {name}, and its files do not come; run the "
                "same command again once the connection is better"
            ) from error
        at, option = _at(revision), "" if kind == "model" else f"--repo-type {kind} "
        why = "cannot be fetched" if fetch else "is not fetched automatically"
        raise FileNotFoundError(
            f"{name}{at} has no local copy and {why}; run `hf download {option}{name}` once where "
            "there is a network, or give a folder with its files"
        ) from error


def _trouble(name: str, kind: Literal["model", "dataset"], revision: str | None) -> OSError | None:
    """What keeps the hub from telling the commit of a repository; None if it tells it."""
    ask = partial(HfApi().repo_info, name, repo_type=kind, revision=revision)
    try:
        with hub_errors(name):
            commit_of(answered(ask))
    except ConnectionError as error:
        if not isinstance(error.__cause__, RepositoryNotFoundError | RevisionNotFoundError):
            return error
        return FileNotFoundError(
            f"the hub at {constants.ENDPOINT} has no {kind} {name}{_at(revision)}, or shows it "
            "only after `hf auth login`; give a folder with its files"
        )
    return None


def _at(revision: str | None) -> str:
    return f" at {revision}" if revision else ""
