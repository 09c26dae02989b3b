"""Which files the hub holds, how large they are and what their content must hash to."""

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import Annotated

from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError
from huggingface_hub.hf_api import RepoFile
from pydantic import Field, ValidationError, field_validator

from litelvlm.analysis.reproduce.assets import Asset, Kind, wanted_files
from litelvlm.analysis.reproduce.network import plain_network_errors
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
        files: Those that are needed.
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
    """Everything a table needs from the hub, pinned to commits.

    Attributes:
        repositories: In order of their fetching.
        splits: What of the data sets is needed, as "dataset/split".
    """

    repositories: tuple[Repository, ...]
    splits: tuple[str, ...]

    def of(self, role: str) -> Repository:
        """The repository of one role.

        Raises:
            ValueError: If there is none.
        """
        for repository in self.repositories:
            if repository.role == role:
                return repository
        known = ", ".join(repository.role for repository in self.repositories)
        raise ValueError(f"the listing does not contain {role!r}; it contains {known}")

    def part(self, assets: Iterable[Asset], splits: Sequence[tuple[str, str]]) -> "Listing":
        """What some assets and splits need of it.

        Raises:
            ValueError: If an asset is not in it.
        """
        found = []
        for asset in assets:
            repository = self.of(asset.role)
            paths = [file.path for file in repository.files]
            needed = wanted_files(asset, paths, _splits_of(asset, splits))
            files = tuple(file for file in repository.files if file.path in needed)
            found.append(repository.model_copy(update={"files": files}))
        return Listing(repositories=tuple(found), splits=_names(splits))


def _splits_of(asset: Asset, splits: Sequence[tuple[str, str]]) -> list[str]:
    return [split for dataset, split in splits if dataset == asset.role]


def _names(splits: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    return tuple(f"{dataset}/{split}" for dataset, split in splits)


def make_listing(
    assets: Iterable[Asset],
    splits: Sequence[tuple[str, str]],
    endpoint: str | None = None,
    known: Sequence[Repository] = (),
) -> Listing:
    """Ask the hub for the files of some repositories.

    Args:
        assets: The repositories.
        splits: Data set and split of everything that is needed.
        endpoint: Address of the hub; `HF_ENDPOINT` or the public one by default.
        known: Repositories whose name and commit are settled already.

    Raises:
        ConnectionError: If the hub cannot be reached.
        FileNotFoundError: If a repository exists under none of its names, or lacks a split.
    """
    api = HfApi(endpoint=endpoint, token=False)
    pinned = {repository.role: repository for repository in known}
    found = [
        _repository(api, asset, _splits_of(asset, splits), pinned.get(asset.role))
        for asset in assets
    ]
    return Listing(repositories=tuple(found), splits=_names(splits))


def _repository(
    api: HfApi, asset: Asset, splits: Collection[str], known: Repository | None
) -> Repository:
    for name in asset.names if known is None else (known.name,):
        with plain_network_errors(name):
            try:
                ask = api.model_info if asset.kind == "model" else api.dataset_info
                info = ask(name, revision=known.commit if known else None)
            except RepositoryNotFoundError:
                continue
            except HfHubHTTPError as error:
                raise ConnectionError(f"the hub refuses {name}: {error}") from error
            commit = str(info.sha)
            entries = [
                entry
                for entry in api.list_repo_tree(
                    name, recursive=True, revision=commit, repo_type=asset.kind
                )
                if isinstance(entry, RepoFile)
            ]
        by_path = {entry.path: entry for entry in entries}
        files = tuple(_file(by_path[path]) for path in wanted_files(asset, list(by_path), splits))
        _require(name, asset, files, splits)
        stated = info.card_data.get("license") if info.card_data else ""
        return Repository(
            role=asset.role,
            kind=asset.kind,
            name=name,
            commit=commit,
            licence=str(stated or ""),
            terms=asset.terms,
            files=files,
        )
    raise FileNotFoundError(
        f"the hub has no {asset.kind} called {' or '.join(asset.names)}; "
        "give a copy of your own with --model, --clip or --data"
    )


def _file(entry: RepoFile) -> HubFile:
    sha256 = entry.lfs.sha256 if entry.lfs is not None else ""
    return HubFile(path=entry.path, size=entry.size, sha256=sha256, blob=entry.blob_id)


def _require(name: str, asset: Asset, files: Sequence[HubFile], splits: Collection[str]) -> None:
    if asset.kind == "model":
        if not any(file.path == "config.json" for file in files):
            raise FileNotFoundError(f"{name} has no config.json, so it is not a checkpoint")
        return
    missing = [s for s in splits if not any(wanted_files(asset, [f.path], [s]) for f in files)]
    if missing:
        raise FileNotFoundError(
            f"{name} has no Parquet file of {', '.join(missing)}; "
            "leave these splits out with --splits, or give your own data with --data"
        )


def kept_listing(
    path: Path, assets: Sequence[Asset], splits: Sequence[tuple[str, str]], endpoint: str | None
) -> Listing:
    """The part of the kept listing that a run needs; what is not in it is asked for and kept.

    A run that goes on takes the commits it began with and needs no network for this. One that needs
    more splits asks for them at these commits, so that nothing is mixed from two of them.

    Args:
        path: The file that keeps it.
        assets: As for ``make_listing``.
        splits: As for ``make_listing``.
        endpoint: As for ``make_listing``.

    Raises:
        ConnectionError: As ``make_listing``.
        FileNotFoundError: As ``make_listing``.
    """
    try:
        known = Listing.model_validate(read_json(path.read_bytes()))
    except FileNotFoundError:
        known = None
    except (ValidationError, ValueError, RecursionError):
        set_aside(path)
        known = None
    known = known or Listing(repositories=(), splits=())
    roles = {asset.role for asset in assets}
    listed = {repository.role for repository in known.repositories}
    if not (roles <= listed and set(_names(splits)) <= set(known.splits)):
        known = _extended(known, assets, splits, endpoint)
        atomic_write(path, known.model_dump_json(indent=1) + "\n")
    return known.part(assets, splits)


def _extended(
    known: Listing,
    assets: Sequence[Asset],
    splits: Sequence[tuple[str, str]],
    endpoint: str | None,
) -> Listing:
    """A listing with more assets and splits, those of before at their commits."""
    before = [(entry.split("/")[0], entry.split("/")[1]) for entry in known.splits]
    every = list(dict.fromkeys([*before, *splits]))
    made = make_listing(assets, every, endpoint, known.repositories).repositories
    roles = {repository.role for repository in made}
    others = (repository for repository in known.repositories if repository.role not in roles)
    return Listing(repositories=(*made, *others), splits=_names(every))
