"""Which files the hub holds, how large they are and what their content must hash to."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Annotated

from huggingface_hub import HfApi
from huggingface_hub.errors import RepositoryNotFoundError
from huggingface_hub.hf_api import RepoFile
from pydantic import Field, ValidationError, field_validator

from litelvlm.analysis.reproduce.assets import Asset, Kind, wanted_files
from litelvlm.analysis.runs.outcome import Frozen
from litelvlm.data.files import atomic_write, set_aside
from litelvlm.data.safe.hub_calls import answered, commit_of, hub_errors
from litelvlm.data.safe.json_data import read_json
from litelvlm.data.safe.shown import first_problem, shown
from litelvlm.names import printable

Hex40 = Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]
Hex64 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Bytes = Annotated[int, Field(ge=0, le=10**13)]
MAX_LICENCE = 200
"""Signs of what a page states as its licence."""


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
    def archive(self) -> str:
        """Path of the only file where it must be unpacked; else empty."""
        paths = [file.path for file in self.files if file.path.endswith(".zip")]
        return paths[0] if len(paths) == 1 else ""

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
        ConnectionError: If the hub cannot be reached, or answers as no hub does.
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
    for name in asset.names:
        with hub_errors(name, endpoint):
            try:
                return answered(partial(_read, asset, name, endpoint))
            except RepositoryNotFoundError:
                continue
    raise FileNotFoundError(
        f"the hub has no {asset.kind} called {' or '.join(asset.names)}; "
        "give a copy of your own with --model, --clip or --data"
    )


def _read(asset: Asset, name: str, endpoint: str | None) -> Repository:
    """What the hub says of a repository; what it must not say is refused by name."""
    api = HfApi(endpoint=endpoint, token=False)
    info = (api.model_info if asset.kind == "model" else api.dataset_info)(name)
    commit = commit_of(info)
    tree = api.list_repo_tree(name, recursive=True, revision=commit, repo_type=asset.kind)
    stated = info.card_data.get("license") if info.card_data else ""
    return Repository(
        role=asset.role,
        kind=asset.kind,
        name=name,
        commit=commit,
        licence=printable(str(stated or ""))[:MAX_LICENCE],
        terms=asset.terms,
        files=tuple(_file(entry) for entry in tree if isinstance(entry, RepoFile)),
    )


def _file(entry: RepoFile) -> HubFile:
    """One file of a list.

    Raises:
        ValueError: Naming it and what is wrong with its entry.
    """
    try:
        return HubFile(
            path=entry.path,
            size=entry.size,
            sha256=entry.lfs.sha256 if entry.lfs is not None else "",
            blob=entry.blob_id,
        )
    except ValidationError as error:
        raise ValueError(f"its file {shown(entry.path)}: {first_problem(error)}") from error


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
            f"{repository.name} has no {asset.archive or 'Parquet file'} of {', '.join(missing)}; "
            "leave these splits out with --splits, or give your own data with --data"
        )
    return repository.model_copy(update={"files": tuple(by_path[path] for path in paths)})
