"""`litelvlm reproduce refseg` meets every trouble on its way, and the same command goes on."""

import json
from pathlib import Path

import pytest
from loopback_hub import (
    CHECKPOINT,
    COARSE_FIGURES,
    FRESH_CLIENT,
    OLD_DATA,
    SHARD,
    TABLE,
    client_environment,
    make_files,
    serving,
)

from litelvlm.analysis.runs.parts import read_rows
from tests.warm import run_python

PIECE = 65_536
SECOND = SHARD.replace("00001-of", "00002-of")
PARQUET = Path(TABLE).name
# The client reads its settings when it is imported; it takes pieces of 10 MB, more than a file of
# the miniature holds. FREE stands for the free bytes of every disk; with NO_ENCODER no image can be
# encoded.
CODE = f"""{FRESH_CLIENT}{COARSE_FIGURES}
import os, shutil
import huggingface_hub.constants as constants
constants.DOWNLOAD_CHUNK_SIZE = {PIECE}
if "FREE" in os.environ:
    usage = shutil.disk_usage("/")._replace(free=int(os.environ["FREE"]))
    shutil.disk_usage = lambda _: usage
if "NO_ENCODER" in os.environ:
    from litelvlm.models.glamm.network import GlammNetwork
    GlammNetwork._encode = lambda *_: sys.exit("an image was encoded")
from litelvlm.analysis.cli import main
sys.exit(main(sys.argv[1:]))
"""
COMMAND = [
    "reproduce", "refseg", "--splits", "refcoco/testA", "--methods", "litelvlm", "--tokens", "64",
    "--draws", "1", "--yes", "--json", "--device", "cpu",
]  # fmt: skip


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Repositories of a hub with three pictures; read-only."""
    return make_files(tmp_path_factory.mktemp("hub"), 3)


@pytest.fixture
def reproduce(tmp_path):
    """Run the command against a hub: exit status, the printed table, what it said."""

    def run(hub, out, *more, **environment):
        own = client_environment(hub, tmp_path)
        command = ["-c", CODE, *COMMAND, "--out", out, *more]
        done = run_python(command, tmp_path, own | environment)
        assert "Traceback" not in done.stderr, done.stderr
        return done.returncode, json.loads(done.stdout) if done.stdout else None, done.stderr

    return run


def rows_of(found, folder):
    return read_rows(folder / found["runs"]["refcoco/testA"])


@pytest.mark.timeout(600)
def test_every_trouble_ends_with_a_message_and_the_same_command_goes_on(files, reproduce, tmp_path):
    out = tmp_path / "out"
    with serving(files) as hub:
        # No network: not even the list of files.
        hub.away = True
        code, table, said = reproduce(hub, "out")
        assert (code, table) == (1, None)
        assert "run the same command again once there is a connection" in said
        hub.away = False

        # The disk is too small: nothing is fetched.
        code, table, said = reproduce(hub, "out", FREE="100000000")
        assert (code, table) == (1, None)
        assert "is too small: 0.2 GB are still needed and 0.1 GB are free; make room" in said
        assert hub.asked == []

        # The network goes in the middle of the weights.
        half = (hub.root / CHECKPOINT / SHARD).stat().st_size // 2
        hub.leave_at[SHARD] = half
        code, table, said = reproduce(hub, "out")
        assert (code, table) == (1, None)
        assert f"{SHARD} of MBZUAI/GLaMM-RefSeg cannot be fetched from {hub.url}" in said
        assert "what is there is kept; run the same command again" in said
        (part,) = out.glob(f"hub/**/.{SHARD}.*.part")
        begun = part.stat().st_size
        assert 0 < half - begun < PIECE
        hub.away = False

        # The disk filled up meanwhile: what is there counts.
        code, table, said = reproduce(hub, "out", FREE="100000000")
        assert (code, table) == (1, None)
        assert "is too small" in said

        # It goes on in the middle of that file. The second half of the weights is damaged.
        hub.asked.clear()
        hub.spoiled.add(SECOND)
        code, table, said = reproduce(hub, "out")
        assert (code, table) == (1, None)
        assert [first for name, first in hub.asked if name.endswith(SHARD)] == [begun]
        assert f"{SECOND} of MBZUAI/GLaMM-RefSeg hashes to" in said
        assert "it was removed, so run the same command again" in said
        assert not any(SECOND in path.name for path in out.rglob("*"))

        # That file alone is fetched again. Then the pictures are damaged.
        hub.asked.clear()
        hub.spoiled = {PARQUET}
        code, table, said = reproduce(hub, "out")
        assert (code, table) == (1, None)
        assert (f"{CHECKPOINT}/{SECOND}", 0) in hub.asked
        assert not any(name.endswith(SHARD) for name, _ in hub.asked)
        assert f"{PARQUET.removesuffix('.parquet')}.parquet of lmms-lab/RefCOCO hashes to" in said
        assert not (out / "runs").exists()

        # The connection is cut once: the command goes on by itself, to the printed table.
        hub.asked.clear()
        hub.spoiled.clear()
        hub.cut_at[PARQUET] = (hub.root / OLD_DATA / TABLE).stat().st_size // 2
        code, table, said = reproduce(hub, "out")
        assert code == 0, said
        places = [first for name, first in hub.asked]
        assert [name for name, _ in hub.asked] == [f"{OLD_DATA}/{TABLE}"] * 2
        assert places[0] == 0 < places[1]

        code, whole, said = reproduce(hub, "undisturbed")
        assert code == 0, said
    assert rows_of(table, tmp_path).equals(rows_of(whole, tmp_path))
    assert table["lines"] == whole["lines"]
    counts = {line["verdict"]: line["n_images"] for line in table["lines"]}
    assert counts == {"not comparable": 3, "no published number": 3, "not measured": 0}


def test_encoded_images_are_read_again_and_change_no_row(files, reproduce, tmp_path):
    """The second run could not encode an image; the third keeps none."""
    with serving(files) as hub:
        code, part, said = reproduce(hub, "part", "--cache", "encoded", "--images", "2")
        assert code == 0, said
        assert len(list((tmp_path / "encoded").rglob("*.safetensors"))) == 2
        cached = ("--cache", "encoded", "--images", "2")
        code, again, said = reproduce(hub, "again", *cached, NO_ENCODER="1")
        assert code == 0, said
        code, plain, said = reproduce(hub, "plain", "--images", "2")
        assert code == 0, said
    assert rows_of(part, tmp_path).equals(rows_of(plain, tmp_path))
    assert rows_of(again, tmp_path).equals(rows_of(plain, tmp_path))
    assert again["lines"] == plain["lines"]
    # The title and the notes say that it is a part, and of what.
    assert "a balanced part: at most 2 images of a split" in part["title"]
    (note,) = (note for note in part["notes"] if "2 of 3 images" in note)
    assert "each once, balanced over" in note
    assert "the heaviest image holds" in note
