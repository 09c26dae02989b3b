"""Fetch files of the hub: a cut download goes on where it stopped, and every hash is checked."""

import hashlib
import logging
import os
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

from huggingface_hub import get_hf_file_metadata, hf_hub_url, try_to_load_from_cache
from huggingface_hub.file_download import http_get

from litelvlm.analysis.reproduce.listing import HubFile, Repository
from litelvlm.data.safe.hub_calls import answered, hub_errors
from litelvlm.version import __version__

log = logging.getLogger(__name__)
_PIECE = 1 << 20
# Bytes as they are stored, which a download can go on with. No token: all of it is public.
_HEADERS = {"Accept-Encoding": "identity", "User-Agent": f"litelvlm/{__version__}"}


def fetch(
    repository: Repository,
    root: Path,
    endpoint: str | None = None,
    say: Callable[[str], object] = log.info,
) -> Path:
    """Fetch the files of a repository that are not there yet.

    A file stands under its name only when its hash is right. Until then it has a hidden name, and
    the next call goes on where this one stopped. The copy that the hub's own cache may hold is
    taken instead of a download.

    Args:
        repository: Files with sizes and hashes.
        root: Folder of all downloads.
        endpoint: Address of the hub; `HF_ENDPOINT` or the public one by default.
        say: Takes a line for each file that is fetched.

    Returns:
        The folder of the repository.

    Raises:
        ConnectionError: If the hub cannot be reached or breaks off for good.
        OSError: If a file is not what the hub lists, or the disk is full.
    """
    folder = root / repository.folder
    for file in repository.files:
        target = folder / file.path
        if not is_there(target, file):
            target.parent.mkdir(parents=True, exist_ok=True)
            _fetch(repository, file, target, endpoint, say)
    return folder


def is_there(target: Path, file: HubFile) -> bool:
    """Whether a file was fetched whole; its hash was checked before it got its name."""
    return target.is_file() and target.stat().st_size == file.size


def partial_path(target: Path, file: HubFile) -> Path:
    """Path of the part of a file that was fetched so far."""
    return target.with_name(f".{target.name}.{file.hash[:12]}.part")


def bytes_missing(repository: Repository, root: Path) -> int:
    """Bytes of a repository that are still to be fetched."""
    missing = 0
    for file in repository.files:
        target = root / repository.folder / file.path
        part = partial_path(target, file)
        if not is_there(target, file):
            missing += file.size - min(file.size, part.stat().st_size if part.is_file() else 0)
    return missing


def _fetch(
    repository: Repository,
    file: HubFile,
    target: Path,
    endpoint: str | None,
    say: Callable[[str], object],
) -> None:
    part, named = partial_path(target, file), f"{repository.name}: {file.path}"
    if _from_cache(repository, file, part):
        say(f"{named} taken from the hub's cache on this machine")
    else:
        begun = part.stat().st_size if part.is_file() else 0
        where = f", going on at {begun / 1e6:,.1f} MB" if begun else ""
        say(f"{named}, {file.size / 1e6:,.1f} MB{where}")
        _download(repository, file, part, endpoint)
        if begun and content_hash(part, file) != file.hash:
            say(f"{named} does not fit what was there; fetching all of it")
            part.unlink()
            _download(repository, file, part, endpoint)
    found = content_hash(part, file)
    if found != file.hash:
        part.unlink()
        raise OSError(
            f"{file.path} of {repository.name} hashes to {found[:12]}, the hub lists "
            f"{file.hash[:12]}; it was removed, so run the same command again, and if this "
            "repeats, the copy on the hub or a proxy on the way is damaged"
        )
    os.replace(part, target)


def _download(repository: Repository, file: HubFile, part: Path, endpoint: str | None) -> None:
    kind, commit = repository.kind, repository.commit
    url = hf_hub_url(repository.name, file.path, repo_type=kind, revision=commit, endpoint=endpoint)
    facts = partial(get_hf_file_metadata, url, token=False, endpoint=endpoint)
    with hub_errors(f"{file.path} of {repository.name}", endpoint), part.open("ab") as stream:
        if stream.tell() > file.size:
            stream.truncate(0)
        begun = stream.tell()
        if begun < file.size:
            place = answered(facts).location
            http_get(place, stream, resume_size=begun, headers=_HEADERS, expected_size=file.size)
        stream.flush()
        os.fsync(stream.fileno())


def _from_cache(repository: Repository, file: HubFile, part: Path) -> bool:
    """Take a file from the hub's own cache, as a second name of it where the disk allows that."""
    kept = try_to_load_from_cache(
        repository.name, file.path, revision=repository.commit, repo_type=repository.kind
    )
    if not isinstance(kept, str):
        return False
    source = Path(kept).resolve()
    if source.stat().st_size != file.size or content_hash(source, file) != file.hash:
        return False
    part.unlink(missing_ok=True)
    try:
        os.link(source, part)
    except OSError:
        shutil.copyfile(source, part)
    return True


def content_hash(path: Path, file: HubFile) -> str:
    """Hash of a file by the rule of its entry: SHA-256, or git's SHA-1 of a blob."""
    digest = hashlib.sha256() if file.sha256 else hashlib.sha1(usedforsecurity=False)
    if not file.sha256:
        digest.update(f"blob {path.stat().st_size}\0".encode())
    with path.open("rb") as stream:
        while piece := stream.read(_PIECE):
            digest.update(piece)
    return digest.hexdigest()
