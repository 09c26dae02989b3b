"""A published table from an empty folder to the printed comparison, against a hub on loopback."""

import dataclasses
import json
import shutil
import signal
import sys
import time
from pathlib import Path

import huggingface_hub.constants
import pytest
from loopback_hub import (
    CHECKPOINT,
    COARSE_FIGURES,
    FRESH_CLIENT,
    NEW_DATA,
    OLD_DATA,
    SHARD,
    TABLE,
    client_environment,
    make_files,
    serving,
)

from litelvlm.analysis.cli import main
from litelvlm.analysis.pages.cards import read_card
from litelvlm.analysis.reproduce.assets import CHECKPOINT as ASSET
from litelvlm.analysis.reproduce.assets import DATA
from litelvlm.analysis.reproduce.fetch import bytes_missing, fetch, partial_path
from litelvlm.analysis.reproduce.listing import kept_listing
from litelvlm.analysis.runs.parts import read_rows
from tests.warm import Command

ROOT = Path(__file__).parents[2]
PIECE = 65_536
# The client takes pieces of 10 MB, more than a file of the miniature holds.
START = f"""{FRESH_CLIENT}{COARSE_FIGURES}
import huggingface_hub.constants as constants
constants.DOWNLOAD_CHUNK_SIZE = {PIECE}
from litelvlm.analysis.cli import main
sys.exit(main())
"""
WHERE = [("refcoco", "testA")]
COMMAND = [
    "reproduce", "refseg", "--splits", "refcoco/testA", "--methods", "litelvlm", "--tokens", "64",
    "--draws", "2", "--yes", "--json", "--device", "cpu", "--by", "A laboratory",
]  # fmt: skip


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Repositories of a hub with six pictures; read-only."""
    return make_files(tmp_path_factory.mktemp("hub"), 6)


@pytest.fixture
def hub(files):
    with serving(files) as served:
        yield served


@pytest.fixture
def online(monkeypatch, tmp_path):
    """The client in this process may make connections."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub.constants, "DOWNLOAD_CHUNK_SIZE", PIECE)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "no-cache"))
    monkeypatch.setenv("LITELVLM_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def start(hub, tmp_path):
    """Start the command in a process of its own; whatever is left running at the end is killed."""
    environment = client_environment(hub, tmp_path)
    processes = []

    def begin(out):
        command = [sys.executable, "-c", START, *COMMAND, "--out", out, "--card", f"{out}.json"]
        printed = (tmp_path / f"{out}.out").open("w")
        errors = (tmp_path / f"{out}.err").open("a")
        with printed, errors:
            processes.append(Command(command, tmp_path, environment, printed, errors))
        return processes[-1]

    yield begin
    for process in processes:
        process.kill()
        process.wait()


def kill_when(process, reached):
    """Kill a process at a moment of its work, and see that it was not over before."""
    limit = time.monotonic() + 300
    while not reached():
        assert process.poll() is None, "the process ended too early"
        assert time.monotonic() < limit, "the moment never came"
        time.sleep(0.01)
    process.kill()
    assert process.wait() == -signal.SIGKILL


def partly_fetched(out, name, size):
    """Whether so many bytes of a file are on the disk."""
    return lambda: any(part.stat().st_size >= size for part in out.glob(f"hub/**/.{name}.*.part"))


def finish(process, printed):
    assert process.wait(timeout=300) == 0
    return json.loads(printed.read_text())


@pytest.mark.timeout(600)
def test_killed_three_times_on_the_way_it_gives_the_same_rows(hub, start, tmp_path):
    large = (f"{CHECKPOINT}/{SHARD}", f"{OLD_DATA}/{TABLE}")
    halves = {name: (hub.root / name).stat().st_size // 2 for name in large}
    there = {name: half // PIECE * PIECE for name, half in halves.items()}
    for name, half in halves.items():  # in the middle of the weights, then of the pictures
        hub.hold_at[Path(name).name] = half
        part = Path(name).name
        kill_when(start("killed"), partly_fetched(tmp_path / "killed", part, there[name]))
    parts = tmp_path / "killed" / "runs"
    kill_when(start("killed"), lambda: any(parts.glob("*/rows/part-*.parquet")))
    killed = finish(start("killed"), tmp_path / "killed.out")
    downloads = [(name, first) for name, first in hub.asked if name in halves]
    # Each file was begun once and went on behind the half that was there, and no file came twice.
    assert downloads == [(name, first) for name, size in there.items() for first in (0, size)]
    assert min(there.values()) > 0
    small = [name for name, _ in hub.asked if name not in halves]
    assert len(small) == len(set(small)) > 5
    hub.asked.clear()
    whole = finish(start("whole"), tmp_path / "whole.out")
    assert (tmp_path / "killed.err").read_text().count("Go on?") == 0

    # The same rows, the same table, and cards with the same scores.
    runs = [tmp_path / found["runs"]["refcoco/testA"] for found in (killed, whole)]
    assert runs[0].name == runs[1].name
    frames = [read_rows(run) for run in runs]
    assert frames[0].equals(frames[1])
    assert set(frames[0]["protocol"]) == {"official"}
    assert frames[0].groupby(["method", "budget", "seed"])["image_id"].nunique().eq(6).all()
    assert killed["lines"] == whole["lines"]
    cards = [read_card(tmp_path / f"{name}.json") for name in ("killed", "whole")]
    assert cards[0].results == cards[1].results
    assert list(cards[0].sources) == [
        "MBZUAI/GLaMM-RefSeg",
        "openai/clip-vit-large-patch14-336",
        "lmms-lab/RefCOCO",
    ]
    assert (cards[0].by, cards[0].model["name"]) == ("A laboratory", "GLaMM-RefSeg")

    # What is printed says what it is: six rendered pictures are no RefCOCO.
    assert "miniature: a rehearsal" in killed["title"]
    assert any("published: 750" in note for note in killed["notes"])
    lines = {(line["method"], line["tokens"]): line for line in killed["lines"]}
    assert (lines["litelvlm", 64]["published"], lines["litelvlm", 64]["budget"]) == (74.5, 16)
    measured = [line for line in killed["lines"] if line["label"] and line["n"]]
    assert {line["verdict"] for line in measured} == {"not comparable"}
    (needed,) = (note for note in killed["notes"] if "Avg. and Rel." in note)
    assert "not measured here: refcoco/val, refcoco/testB, refcoco+/val" in needed
    page = (tmp_path / "killed" / "report" / "reproduction.html").read_text()
    assert "not comparable" in page
    assert (tmp_path / "killed" / "report" / "index.html").is_file()


@pytest.mark.usefixtures("online")
def test_large_files_come_from_the_storage_that_the_hub_names(hub, tmp_path):
    """The hub is asked where a large file is; the storage alone hands it out."""
    repository = kept_listing(tmp_path / "hub.json", [ASSET], [], hub.url).of("checkpoint")
    large = {file.path: file for file in repository.files if file.path.endswith(".bin")}
    assert SHARD in large
    assert len(large) < len(repository.files)
    url = huggingface_hub.hf_hub_url(repository.name, SHARD, endpoint=hub.url)
    told = huggingface_hub.get_hf_file_metadata(url, token=False, endpoint=hub.url)
    assert told.location.startswith(f"{hub.storage}/cdn/{CHECKPOINT}/{SHARD}?")
    assert (told.etag, told.size) == (large[SHARD].sha256, large[SHARD].size)
    hub.redirected.clear()
    folder = fetch(repository, tmp_path, hub.url)
    assert hub.redirected == [("HEAD", f"{CHECKPOINT}/{name}") for name in large]
    assert {name for name, _ in hub.asked} == {
        f"{CHECKPOINT}/{file.path}" for file in repository.files
    }
    for name in large:
        assert (folder / name).read_bytes() == (hub.root / CHECKPOINT / name).read_bytes()


@pytest.mark.usefixtures("online")
def test_a_storage_that_refuses_is_told_as_the_hub_s_refusal(hub, tmp_path, monkeypatch):
    repository = kept_listing(tmp_path / "hub.json", [ASSET], [], hub.url).of("checkpoint")
    addressed = huggingface_hub.get_hf_file_metadata

    def unsigned(*args, **options):
        found = addressed(*args, **options)
        return dataclasses.replace(found, location=found.location.partition("?")[0])

    monkeypatch.setattr("litelvlm.analysis.reproduce.fetch.get_hf_file_metadata", unsigned)
    with pytest.raises(ConnectionError, match=f"the hub refuses {SHARD} of MBZUAI/GLaMM-RefSeg"):
        fetch(repository, tmp_path, hub.url)


@pytest.mark.usefixtures("online")
def test_a_download_that_is_cut_goes_on_in_the_same_process(hub, tmp_path):
    repository = kept_listing(tmp_path / "hub.json", [ASSET], [], hub.url).of("checkpoint")
    size = (hub.root / CHECKPOINT / SHARD).stat().st_size
    hub.cut_at[SHARD] = size // 3
    folder = fetch(repository, tmp_path, hub.url)
    places = [first for name, first in hub.asked if name.endswith(SHARD)]
    assert places == [0, size // 3 // PIECE * PIECE]
    assert (folder / SHARD).read_bytes() == (hub.root / CHECKPOINT / SHARD).read_bytes()
    assert not (folder / "README.md").exists()
    assert bytes_missing(repository, tmp_path) == 0
    hub.asked.clear()
    assert fetch(repository, tmp_path, hub.url) == folder
    assert hub.asked == []


@pytest.mark.usefixtures("online")
@pytest.mark.parametrize("name", [SHARD, "config.json"])
def test_a_wrong_hash_is_refused_and_the_file_does_not_stay(hub, tmp_path, name):
    repository = kept_listing(tmp_path / "hub.json", [ASSET], [], hub.url).of("checkpoint")
    hub.spoiled.add(name)
    with pytest.raises(OSError, match=f"{name} of MBZUAI/GLaMM-RefSeg hashes to .*run the same"):
        fetch(repository, tmp_path, hub.url)
    left = [path.name for path in (tmp_path / repository.folder).iterdir()]
    assert not any(name in path for path in left)
    hub.spoiled.clear()
    fetch(repository, tmp_path, hub.url)


@pytest.mark.usefixtures("online")
def test_a_damaged_beginning_is_fetched_again_from_the_start(hub, tmp_path):
    repository = kept_listing(tmp_path / "hub.json", [ASSET], [], hub.url).of("checkpoint")
    (file,) = (file for file in repository.files if file.path == SHARD)
    part = partial_path(tmp_path / repository.folder / SHARD, file)
    part.parent.mkdir(parents=True)
    part.write_bytes(b"\0" * 1000)
    said = []
    folder = fetch(repository, tmp_path, hub.url, said.append)
    assert [first for name, first in hub.asked if name.endswith(SHARD)] == [1000, 0]
    assert any("does not fit what was there" in line for line in said)
    assert (folder / SHARD).read_bytes() == (hub.root / CHECKPOINT / SHARD).read_bytes()


@pytest.mark.usefixtures("online")
def test_both_organisations_of_the_mirrors_are_known(files, tmp_path):
    new = tmp_path / "hub"
    (new / NEW_DATA).parent.mkdir(parents=True)
    shutil.copytree(files / OLD_DATA, new / NEW_DATA)
    for root, owner in ((files, "lmms-lab"), (new, "lmms-lab-encoder")):
        with serving(root) as hub:
            found = kept_listing(tmp_path / owner, [DATA["refcoco"]], WHERE, hub.url).of("refcoco")
        assert found.name == f"{owner}/RefCOCO"
        assert [file.path for file in found.files] == [TABLE]
    with (
        serving(new) as hub,
        pytest.raises(FileNotFoundError, match="no Parquet file of val; leave these splits out"),
    ):
        kept_listing(tmp_path / "a", [DATA["refcoco"]], [("refcoco", "val")], hub.url)
    with (
        serving(new) as hub,
        pytest.raises(FileNotFoundError, match="lmms-lab-encoder/RefCOCOg or lmms-lab/RefCOCOg"),
    ):
        kept_listing(tmp_path / "b", [DATA["refcocog"]], [("refcocog", "val")], hub.url)


@pytest.mark.usefixtures("online")
def test_a_pinned_listing_needs_no_network_and_no_network_is_said(
    files, tmp_path, monkeypatch, capsys
):
    path, assets = tmp_path / "hub.json", [ASSET]
    with serving(files) as hub:
        made = kept_listing(path, assets, [], hub.url)
    assert kept_listing(path, assets, [], hub.url) == made
    with pytest.raises(ConnectionError, match="cannot be fetched from"):
        kept_listing(path, [*assets, DATA["refcoco"]], WHERE, hub.url)
    path.write_text("{}")
    with pytest.raises(ConnectionError):
        kept_listing(path, assets, [], hub.url)
    assert path.with_name("hub.json.damaged").is_file()
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", hub.url)
    assert main([*COMMAND, "--out", str(tmp_path / "out")]) == 1
    said = capsys.readouterr().err
    assert "run the same command again once there is a connection" in said


@pytest.mark.usefixtures("online")
def test_more_splits_are_taken_from_the_commits_that_a_run_began_with(files, tmp_path):
    data, path = DATA["refcoco"], tmp_path / "hub.json"
    root = tmp_path / "two-splits"
    shutil.copytree(files, root)
    shutil.copy(root / OLD_DATA / TABLE, root / OLD_DATA / TABLE.replace("testA", "val"))
    with serving(root) as hub:
        first = kept_listing(path, [ASSET, data], WHERE, hub.url)
        hub.moved = True
        both = kept_listing(path, [data], [*WHERE, ("refcoco", "val")], hub.url)
        newer = kept_listing(tmp_path / "newer.json", [data], WHERE, hub.url)
    assert newer.of("refcoco").commit != first.of("refcoco").commit
    assert both.of("refcoco").commit == first.of("refcoco").commit
    assert len(both.of("refcoco").files) == 2
    # What is kept has both assets and both splits, and each run takes its own part.
    assert kept_listing(path, [ASSET, data], WHERE, hub.url) == first
    assert [file.path for file in first.of("refcoco").files] == [TABLE]
