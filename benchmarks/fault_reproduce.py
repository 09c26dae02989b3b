"""A published table of the miniature, fetched from a hub on the loopback address."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import huggingface_hub.constants as client

sys.path += [str(Path(__file__).parents[1] / part) for part in (".", "tests/integration")]

from loopback_hub import make_files, serving

from litelvlm.analysis import cli

IMAGES, PIECE = 6, 65_536
COMMAND = [
    "reproduce", "refseg", "--splits", "refcoco/testA", "--methods", "litelvlm", "--tokens", "64",
    "--draws", "2", "--yes", "--device", "cpu",
]  # fmt: skip


@contextmanager
def serve(folder: Path) -> Iterator[None]:
    """A hub that outlives every start; the client of each start asks it."""
    with serving(make_files(folder / "served", IMAGES)) as hub:
        client.ENDPOINT, client.HF_HUB_OFFLINE = hub.url, False
        client.HUGGINGFACE_CO_URL_TEMPLATE = (
            hub.url + "/" + client.HUGGINGFACE_CO_URL_TEMPLATE.split("/", 3)[3]
        )
        # The client takes pieces of 10 MB, more than a file of the miniature holds.
        client.DOWNLOAD_CHUNK_SIZE = PIECE
        yield


def reproduce(out: Path) -> int:
    """The whole command: download, conversion, study, comparison and report."""
    os.environ["LITELVLM_CACHE"] = str(out.with_name(f"{out.name}.cache"))
    return cli.main([*COMMAND, "--out", str(out)])
