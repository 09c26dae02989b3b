"""Which files the hub holds, how large they are and what their content must hash to."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Annotated

from huggingface_hub import HfApi, constants
from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError
from huggingface_hub.hf_api import RepoFile
from pydantic import Field, ValidationError, field_validator

from litelvlm.analysis.reproduce.assets import Asset, Kind, wanted_files
from litelvlm.analysis.runs.outcome import Frozen
from litelvlm.data.files import atomic_write, set_aside
from litelvlm.data.safe.json_data import read_json

Hex40 = Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]
Hex64 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Bytes = Annotated[int, Field(ge=0, le=10**13)]


class HubFile(Frozen):
    """One file as the hub lists it.

    Attributes:
        path: Below the repository.
        size: Bytes.
        sha256: Of the content, for large files; empty otherwise.
        blob: Git's SHA-1 of the content, for small files; of a pointer for large ones.
    """

    path: Annotated[str, Field(min_length=1, max_length=300)]
    size: Bytes
    sha256: Hex64 | Annotated[str, Field(max_length=0)] = ""
    blob: Hex40

    @property
    def hash(self) -> str:
        """What the content must hash to."""
        return self.sha256 or self.blob

    @field_validator("path")
    @classmethod
    def _inside(cls, path: str) -> str:
        place = PurePosixPath(path)
        if place.is_absolute() or ".." in place.parts or "\\" in path or "\0" in path:
            raise ValueError(f"{path!r} is a path outside its repository")
        return path


class Repository(Frozen):
    """One repository at one commit.

    Attributes:
        role: As in ``Asset``.
        kind: "model" or "dataset".
        name: Hub id that was found.
        commit: Its commit.
        licence: As its page states it; empty if it states none.
        terms: As in ``Asset``.
        files: Those that are needed; all of it where a listing is kept.
    """

    role: str
    kind: Kind
    name: str
    commit: Hex40
    licence: str
    terms: str
    files: tuple[HubFile, ...]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)

    @property
    def folder(self) -> Path:
        """Folder of its files, inside the downloads."""
        return Path(f"{self.kind}s", *self.name.split("/"))


class Listing(Frozen):
    """Everything a table needs from the hub, pinned to commits, in order of its fetching."""

    repositories: tuple[Repository, ...]

    def of(self, role: str) -> Repository:
        """The repository of one role."""
        return {repository.role: repository for repository in self.repositories}[role]


def kept_listing(
    path: Path,
    assets: Sequence[Asset],
    splits: Sequence[tuple[str, str]],
    endpoint: str | None = None,
) -> Listing:
    """What a run needs of the kept listing; a repository that is not in it is asked for and kept.

    Whole repositories are kept. So a run that goes on, also with more splits, takes the commits it
    began with and needs no network for this.

    Args:
        path: The file that keeps it.
        assets: The repositories.
        splits: Data set and split of everything that is needed.
        endpoint: Address of the hub; `HF_ENDPOINT` or the public one by default.

    Raises:
        ConnectionError: If the hub cannot be reached.
        FileNotFoundError: If a repository exists under none of its names, or lacks a split.
    """
    known = Listing(repositories=())
    try:
        known = Listing.model_validate(read_json(path.read_bytes()))
    except FileNotFoundError:
        pass
    except (ValidationError, ValueError, RecursionError):
        set_aside(path)
    listed = {repository.role for repository in known.repositories}
    new = [_ask(asset, endpoint) for asset in assets if asset.role not in listed]
    if new:
        known = Listing(repositories=(*known.repositories, *new))
    needed = tuple(_needed(known.of(asset.role), asset, splits) for asset in assets)
    if new:
        atomic_write(path, known.model_dump_json(indent=1) + "\n")
    return Listing(repositories=needed)


def _ask(asset: Asset, endpoint: str | None) -> Repository:
    """All files of a repository at its newest commit, under the first of its names that exists."""
    api = HfApi(endpoint=endpoint, token=False)
    for name in asset.names:
        with plain_network_errors(name):
            try:
                info = (api.model_info if asset.kind == "model" else api.dataset_info)(name)
            except RepositoryNotFoundError:
                continue
            except HfHubHTTPError as error:
                raise ConnectionError(f"the hub refuses {name}: {error}") from error
            tree = api.list_repo_tree(name, recursive=True, revision=info.sha, repo_type=asset.kind)
            entries = [entry for entry in tree if isinstance(entry, RepoFile)]
        stated = info.card_data.get("license") if info.card_data else ""
        return Repository(
            role=asset.role,
            kind=asset.kind,
            name=name,
            commit=str(info.sha),
            licence=str(stated or ""),
            terms=asset.terms,
            files=tuple(
                HubFile(
                    path=entry.path,
                    size=entry.size,
                    sha256=entry.lfs.sha256 if entry.lfs is not None else "",
                    blob=entry.blob_id,
                )
                for entry in entries
            ),
        )
    raise FileNotFoundError(
        f"the hub has no {asset.kind} called {' or '.join(asset.names)}; "
        "give a copy of your own with --model, --clip or --data"
    )


def _needed(repository: Repository, asset: Asset, splits: Sequence[tuple[str, str]]) -> Repository:
    """The repository with the files that some splits need."""
    own = [split for dataset, split in splits if dataset == asset.role]
    by_path = {file.path: file for file in repository.files}
    paths = wanted_files(asset, list(by_path), own)
    if asset.kind == "model" and "config.json" not in paths:
        raise FileNotFoundError(f"{repository.name} has no config.json, so it is not a checkpoint")
    missing = [split for split in own if not wanted_files(asset, paths, [split])]
    if missing:
        raise FileNotFoundError(
            f"{repository.name} has no Parquet file of {', '.join(missing)}; "
            "leave these splits out with --splits, or give your own data with --data"
        )
    return repository.model_copy(update={"files": tuple(by_path[path] for path in paths)})


@contextmanager
def plain_network_errors(what: str) -> Iterator[None]:
    """Turn errors of the connection into ``ConnectionError``; others pass unchanged.

    The client's HTTP library changes its name between releases, so its errors are known by their
    module.

    Args:
        what: What was asked for, for the message.

    Raises:
        ConnectionError: If the hub cannot be reached or breaks off for good.
    """
    try:
        yield
    except Exception as error:
        if not type(error).__module__.startswith(("httpx", "httpcore", "requests")):
            raise
        reason = str(error) or type(error).__name__
        raise ConnectionError(
            f"{what} cannot be fetched from {constants.ENDPOINT} ({reason}); what is "
            "there is kept; run the same command again once there is a connection"
        ) from error
